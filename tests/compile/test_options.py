"""compile/options.py: what one-line options may widen."""

from __future__ import annotations

import pytest

from sandboxer.compile.options import FIELDS, matches
from sandboxer.model.section import Merge
from tests.compile.tree import Tree

ALLOWANCES = """
options:
  read: [/data, "~/shared"]
  write: ["${cwd}"]
  env: [TOKEN, "CI_*"]
  timeout: 1h
  network: loopback
  fds: [5]
"""


@pytest.fixture
def web(tree: Tree) -> Tree:
    tree.profile("web", "limits: {wall: 10s, memory: 1G}\nnetwork: {mode: none}\nfilesystem: {read: [/usr]}\n" + ALLOWANCES)
    return tree


@pytest.mark.parametrize(
    ("option", "control", "row", "wanted"),
    [
        (("read", "/data"), "filesystem", "read", ("/data", "/usr")),
        (("read", "/data/./x/../y/"), "filesystem", "read", ("/data/y", "/usr")),
        (("env", "TOKEN"), "environment", "pass", ("TOKEN",)),
        (("env", "CI_JOB"), "environment", "pass", ("CI_JOB",)),
        (("env", "CI_X*"), "environment", "pass", ("CI_X*",)),
        (("env", "TOKEN=a=b"), "environment", "set", (("TOKEN", "a=b"),)),
        (("timeout", "1h"), "limits", "wall", (3_600_000,)),
        (("timeout", "1s"), "limits", "wall", (1000,)),
        (("memory", "128M"), "limits", "memory", (128 << 20,)),
        (("memory", "8388608B"), "limits", "memory", (8 << 20,)),
        (("network", "loopback"), "network", "mode", ("loopback",)),
        (("network", "none"), "network", "mode", ("none",)),
        (("fds", "5"), "process", "fds", (5,)),
    ],
)
def test_option_that_the_profile_allows_is_said(
    web: Tree, option: tuple[str, str], control: str, row: str, wanted: tuple[object, ...]
) -> None:
    assert web.said("web", control, row, option) == wanted


@pytest.mark.parametrize(
    ("option", "place"),
    [
        (("read", "/database"), "options.read allows less"),
        (("read", "/"), "options.read allows less"),
        (("read", "/data/../etc"), "options.read allows less"),
        (("write", "/data"), "options.write allows less"),
        (("env", "SECRET"), "options.env allows less"),
        (("env", "*"), "options.env allows less"),
        (("env", "TOKEN*"), "options.env allows less"),
        (("timeout", "2h"), "options.timeout allows less"),
        (("memory", "1025M"), "limits.memory at"),
        (("network", "host"), "options.network allows less"),
        (("fds", "6"), "options.fds allows less"),
    ],
)
def test_option_that_the_profile_does_not_allow_is_refused_with_the_place_of_the_allowance(
    web: Tree, option: tuple[str, str], place: str
) -> None:
    text = web.refusal("web", option)
    assert text.startswith("command line: this profile does not allow")
    assert place in text
    assert "web.yaml:" in text


@pytest.mark.parametrize(
    "option", [("read", "/data"), ("write", "/data"), ("env", "A"), ("env", "A=b"), ("network", "loopback"), ("fds", "5")]
)
def test_profile_that_says_nothing_allows_nothing(tree: Tree, option: tuple[str, str]) -> None:
    tree.profile("web")
    assert "nothing in the profile says options" in tree.refusal("web", option)


@pytest.mark.parametrize(
    "option",
    [
        ("timeout", "10"),
        ("memory", "x"),
        ("memory", "unlimited"),
        ("timeout", "x"),
        ("network", "wide"),
        ("env", "A B"),
        ("env", "=x"),
        ("read", ""),
        ("fds", "x"),
    ],
)
def test_option_that_cannot_be_read_is_refused_at_its_place(web: Tree, option: tuple[str, str]) -> None:
    assert web.refusal("web", option).startswith("command line")


def test_relative_path_is_taken_from_the_working_directory(web: Tree) -> None:
    (web.cwd / "out").mkdir()
    assert web.said("web", "filesystem", "write", ("write", "out")) == (str(web.cwd / "out"),)
    assert web.said("web", "filesystem", "write", ("write", ".")) == (str(web.cwd),)


def test_home_in_an_allowance_and_in_an_option_is_the_callers(web: Tree) -> None:
    assert web.said("web", "filesystem", "read", ("read", f"{web.home}/shared/x"))
    assert web.said("web", "filesystem", "read", ("read", "~/shared/x"))


def test_link_that_leads_out_of_an_allowance_is_refused(web: Tree) -> None:
    (web.cwd / "inside").mkdir()
    (web.cwd / "good").symlink_to(web.cwd / "inside")
    (web.cwd / "bad").symlink_to("/etc")
    assert web.said("web", "filesystem", "write", ("write", "good"))
    assert "it leads to /etc" in web.refusal("web", ("write", "bad"))
    assert "it leads to /etc" in web.refusal("web", ("write", "bad/new"))


def test_timeout_may_always_go_down_and_up_to_the_allowance(web: Tree) -> None:
    assert web.said("web", "limits", "wall", ("timeout", "10s")) == (10_000,)
    web.profile("free")
    assert web.said("free", "limits", "wall", ("timeout", "2d")) == (172_800_000,)


def test_memory_may_go_down_only(web: Tree) -> None:
    """There is no allowance that would let it go up."""
    assert web.said("web", "limits", "memory", ("memory", "1G")) == (1 << 30,)
    assert "which can only be less" in web.refusal("web", ("memory", "2G"))
    web.profile("free")
    assert web.said("free", "limits", "memory", ("memory", "64M")) == (64 << 20,)
    web.profile("narrow", "extends: [web]\nrestrict: [{limits: {memory: 100M}}]\n")
    assert "taken away by a restrict layer" in web.refusal("narrow", ("memory", "200M"))
    assert web.said("narrow", "limits", "memory", ("memory", "50M")) == (50 << 20,)


def test_longest_of_several_allowances_holds(web: Tree) -> None:
    web.profile("more", "extends: [web]\noptions: {timeout: 3h}\n")
    assert web.said("more", "limits", "wall", ("timeout", "2h")) == (7_200_000,)


@pytest.mark.parametrize("option", [("read", "/data/secret/x"), ("env", "CI_TOKEN")])
def test_option_that_a_denial_makes_worthless_is_refused(web: Tree, option: tuple[str, str]) -> None:
    assert web.resolve("web", option)
    web.profile("hard", "extends: [web]\nfilesystem: {hide: [/data/secret]}\nenvironment: {deny: [CI_TOKEN]}\n")
    text = web.refusal("hard", option)
    assert "has no effect" in text
    assert "hard.yaml:" in text


def test_option_that_a_layer_takes_away_is_refused(web: Tree) -> None:
    web.profile("narrow", "extends: [web]\nrestrict: [{filesystem: {read: [/usr]}}]\n")
    assert "taken away by a restrict layer" in web.refusal("narrow", ("read", "/data"))
    assert web.said("narrow", "filesystem", "read") == ("/usr",)


def test_variable_set_by_an_option_replaces_what_the_profile_sets(web: Tree) -> None:
    web.profile("sets", "extends: [web]\nenvironment: {set: {TOKEN: old, B: c}}\n")
    assert web.said("sets", "environment", "set", ("env", "TOKEN=new")) == (("B", "c"), ("TOKEN", "new"))


def test_accepted_options_are_told_with_what_allows_them(web: Tree) -> None:
    widened = web.resolve("web", ("read", "/data/x"), ("timeout", "1s")).widened
    assert [(item.option.value, item.allowance and item.allowance.place.line) for item in widened] == [
        ("/data/x", 9),
        ("1s", None),
    ]


def test_several_refusals_are_told_together(web: Tree) -> None:
    text = web.refusal("web", ("read", "/etc"), ("network", "host"), ("timeout", "x"))
    assert text.count("command line:") == 3


def test_every_row_of_options_grants() -> None:
    assert {row.merge for row in FIELDS} <= {Merge.GRANT, Merge.WIDEST}


@pytest.mark.parametrize(
    ("pattern", "name", "wanted"), [("A", "A", True), ("A", "AB", False), ("A*", "AB", True), ("*", "A", True)]
)
def test_pattern_matches_whole_names_and_beginnings(pattern: str, name: str, wanted: bool) -> None:
    assert matches(pattern, name) is wanted
