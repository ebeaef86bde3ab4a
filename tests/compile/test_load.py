"""compile/load.py: one file, everything that is wrong in it at once."""

from __future__ import annotations

import textwrap

import pytest

from sandboxer.compile.load import load
from sandboxer.errors import Problem, ProfileError
from sandboxer.model.node import Scalar
from sandboxer.model.place import Place
from sandboxer.model.profile import Kind, ParamType, Profile
from tests.compile.tree import fake_words

WORDS = fake_words()
HEAD = "kind: profile\nname: web\ndescription: a test\n"


def loaded(text: str, *, head: str = HEAD, kind: Kind | None = None, name: str = "web") -> Profile:
    return load((head + textwrap.dedent(text)).encode(), file="web.yaml", words=WORDS, kind=kind, name=name)


def problems(text: str, *, head: str = HEAD, kind: Kind | None = None, name: str = "web") -> list[Problem]:
    with pytest.raises(ProfileError) as caught:
        loaded(text, head=head, kind=kind, name=name)
    return list(caught.value.problems)


def lines(found: list[Problem]) -> list[int]:
    return [problem.where.line - 3 for problem in found if isinstance(problem.where, Place)]


def test_whole_profile_is_loaded_with_places() -> None:
    profile = loaded(
        """\
        extends: [default]
        policies: [filesystem/runtime, limits/tight]
        params:
          memory: {type: bytes, default: 1G, max: 8G, help: "how much"}
        restrict:
          - no-network
          - {limits: {wall: 10s}}
        override:
          - {path: limits.memory, value: 4G, reason: "the linker", expires: 2031-01-31}
          - {path: seccomp.deny, remove: [ptrace], reason: "a debugger"}
        limits: {memory: "${memory}", enforce: best_effort}
        options: {read: [/], timeout: 1h}
        """
    )
    assert (profile.kind, profile.name, profile.description, profile.file) == (Kind.PROFILE, "web", "a test", "web.yaml")
    assert [(r.kind, r.name) for r in profile.parents] == [
        (Kind.PROFILE, "default"),
        (Kind.POLICY, "filesystem/runtime"),
        (Kind.POLICY, "limits/tight"),
    ]
    param = profile.params["memory"]
    assert (param.kind, param.default and param.default.text, param.most and param.most.text) == (ParamType.BYTES, "1G", "8G")
    assert profile.restrict[0].reference is not None
    assert list(profile.restrict[1].sections) == ["limits"]
    assert [(o.path, o.reason, o.expires) for o in profile.overrides] == [
        ("limits.memory", "the linker", "2031-01-31"),
        ("seccomp.deny", "a debugger", ""),
    ]
    assert isinstance(profile.overrides[0].value, Scalar)
    assert set(profile.sections) == {"limits", "options"}
    assert profile.extends[0].place.line == 4


def test_policy_file_is_loaded() -> None:
    head = "kind: policy\nname: limits/tight\ndescription: tight\n"
    assert loaded("limits: {wall: 10s}\n", head=head, kind=Kind.POLICY, name="limits/tight").kind is Kind.POLICY


def test_all_problems_of_all_stages_are_sorted_by_line() -> None:
    found = problems(
        """\
        extend: [default]
        limits:
          wall: 90
          open_files: lots
          memry: 1G
        process: {init: yes}
        filesystem:
          read: [relative, /ok, "*"]
        wall: 10s
        """
    )
    assert lines(found) == [1, 3, 4, 5, 6, 8, 8, 9]


def test_yaml_surprise_is_told_once_and_does_not_hide_the_rest() -> None:
    found = problems("process: {init: yes}\nlimits: {wall: 90}\n")
    assert [problem.what for problem in found] == ["yes is ambiguous", "'90' is not a duration"]


@pytest.mark.parametrize(
    ("text", "what", "attempt"),
    [
        ("extend: [a]", "unknown key 'extend'", "extends"),
        ("wall: 10s", "unknown key 'wall'", "limits: {wall: ...}"),
        ("limits: {wal: 10s}", "unknown key 'wal'", "wall"),
        ("limits: 10s", "expected a mapping", ""),
        ("limits:", "limits has no value", "leave the line out"),
        ("limits: {enforce: maybe}", "unknown value 'maybe'", ""),
        ("extends: default", "expected a list", "[default]"),
        ("extends: [../x]", "no name of a profile", "profiles/"),
        ("policies: [a, a]", "second time", ""),
        ("params: {Mem: {type: bytes}}", "no name of a parameter", ""),
        ("params: {cwd: {type: path}}", "built in", ""),
        ("params: {mem: {type: byte}}", "unknown value 'byte'", "bytes"),
        ("params: {mem: {}}", "'type' is missing", ""),
        ("params: {mem: {type: '${cwd}'}}", "type is never expanded", ""),
        ("restrict: [{options: {read: [/]}}]", "unknown key 'options'", ""),
        ("restrict: [{limits: {wall: 90}}]", "'90' is not a duration", ""),
        ("override: [{path: limits.wall, value: 1s}]", "'reason' is missing", ""),
        ("override: [{path: limits.wall, value: 1s, reason: ' '}]", "the reason says nothing", ""),
        ("override: [{path: limits.wal, value: 1s, reason: x}]", "no 'limits.wal'", "limits.wall"),
        ("override: [{path: limit.wall, value: 1s, reason: x}]", "no 'limit.wall'", "limits.wall"),
        ("override: [{path: limits.wall, reason: x}]", "either a value or a list", ""),
        ("override: [{path: limits.wall, value: 1s, remove: [1s], reason: x}]", "either a value or a list", ""),
        ("override: [{path: limits.wall, remove: [90], reason: x}]", "no list from which", "value"),
        ("override: [{path: limits.wall, value: 90, reason: x}]", "'90' is not a duration", ""),
        ("override: [{path: limits.wall, value: 1s, reason: x, expires: soon}]", "'soon' is no date", "2030-01-31"),
        (
            "override: [{path: limits.wall, value: 1s, reason: x}, {path: limits.wall, value: 2s, reason: x}]",
            "overridden twice",
            "",
        ),
        ("options: {timeout: long}", "not a duration", ""),
        ("options: {enforce: required}", "unknown key 'enforce'", ""),
    ],
)
def test_wrong_part_is_refused_with_advice(text: str, what: str, attempt: str) -> None:
    (problem,) = problems(text + "\n")
    assert what in problem.what
    assert attempt in problem.attempt
    assert isinstance(problem.where, Place)
    assert problem.where.line == 4


@pytest.mark.parametrize("name", ["extends: [a]", "restrict: [a]", "options: {read: [/]}"])
def test_policy_does_not_say_what_only_profiles_say(name: str) -> None:
    head = "kind: policy\nname: web\ndescription: a test\n"
    (problem,) = problems(name + "\n", head=head)
    assert "only profiles say this" in problem.why


@pytest.mark.parametrize(
    ("head", "what"),
    [
        ("name: web\ndescription: x\n", "'kind' is missing"),
        ("kind: profile\ndescription: x\n", "'name' is missing"),
        ("kind: profile\nname: web\n", "'description' is missing"),
        ("kind: profile\nname: wab\ndescription: x\n", "not that of the file"),
        ("kind: profile\nname: We b\ndescription: x\n", "is no name"),
        ('kind: profile\nname: web\ndescription: "a\\nb"\n', "more than one line"),
        ("kind: thing\nname: web\ndescription: x\n", "unknown value 'thing'"),
        ("kind: ${cwd}\nname: web\ndescription: x\n", "kind is never expanded"),
        ("kind: profile\nname: ${user}\ndescription: x\n", "is no name"),
        ("- a\n- b\n", "mapping of keys"),
    ],
)
def test_wrong_head_is_refused(head: str, what: str) -> None:
    assert what in problems("", head=head)[0].what


def test_profile_where_a_policy_is_wanted_is_refused() -> None:
    (problem,) = problems("", kind=Kind.POLICY)
    assert problem.what == "this file is a profile"


def test_value_with_a_reference_is_left_for_later() -> None:
    assert loaded('limits: {wall: "${t}", open_files: "${n}"}\nprocess: {init: "${i}"}\n').sections.keys() == {
        "limits",
        "process",
    }


def test_error_is_laid_out_like_a_compilers() -> None:
    (problem,) = problems("limits: {opne_files: 3}\n")
    assert problem.show() == textwrap.dedent(
        """\
        web.yaml:4:10: unknown key 'opne_files'
          4 | limits: {opne_files: 3}
            |          ^
          try: did you mean open_files?"""
    )
