"""What a hostile path becomes: a rule for that path, or a refusal with its place; never another rule."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandboxer.controls.lsm.apparmor.quote import REFUSED, quoted
from sandboxer.errors import ProfileError
from sandboxer.model.place import Place
from sandboxer.verify.apparmor import May, read_file_rules
from tests.controls.lsm.apparmor.parser import compiled, names

PLACE = Place("mine.yaml", 3, 5)
DECOYS = (b"/", b"/etc/shadow", b"/usr/bin/sh", b"/a", b"/ab", b"/x/y")
SPECIAL = "\\*?[]{}^@$#,;:()|+.-!<>=&~% \t\r'`"
names_of_files = st.text(
    st.one_of(
        st.sampled_from(SPECIAL),
        st.sampled_from("abx019"),
        st.characters(codec="utf-8", exclude_characters='/\n\0"'),
        st.integers(0x80, 0xFF).map(lambda byte: os.fsdecode(bytes([byte]))),
    ),
    min_size=1,
    max_size=12,
).filter(lambda name: name not in (".", ".."))
paths = st.lists(names_of_files, min_size=1, max_size=3).map(lambda names: "/" + "/".join(names))
hostile = st.sampled_from(
    (
        "/a r, /etc/shadow",
        "/a, capability sys_admin,",
        "/@{HOME}",
        "/@{profile_name}/{a,b}",
        "/a{b,c}*?[d-f]^",
        "/ends in a backslash\\",
        "/\\",
        "/\\\\",
        "/\\052",
        "/\\x2a\\n\\t",
        "/# comment",
        "/}",
        "/a} profile b {",
        "/include <x>",
        "/[^a]",
        "/**",
    )
)


def profile(rule: str) -> bytes:
    return os.fsencode(f'abi <abi/3.0>,\nprofile "one" {{\n  network unix,\n  {rule} r,\n}}\n')


def rest(policy: bytes) -> bytes:
    """Everything that a compiled profile holds but its file rules: its name, capabilities, sockets, processes."""
    return policy[: policy.rindex(b"aadfa")]


def mutants(path: bytes) -> set[bytes]:
    """Other paths that a pattern at any place of this one would match too."""
    found = {path[:at] + put + path[at + cut :] for at in range(1, len(path)) for put in (b"", b"z", b"/") for cut in (0, 1)}
    return {one for one in found if one != path}


@settings(max_examples=60, deadline=None)
@given(st.one_of(paths, hostile))
def test_quoted_path_matches_itself_and_nothing_else(path: str) -> None:
    raw = os.fsencode(path)
    text = profile(quoted(path, PLACE))
    policy = compiled(text)
    rules = read_file_rules(policy)
    assert names(text) == ["one"]
    assert rest(policy) == rest(compiled(profile('"/plain"')))
    assert rules.at(raw) == May.R
    allowed = [one for one in {*mutants(raw), *DECOYS} - {raw} if rules.at(one)]
    assert not allowed


@settings(max_examples=20, deadline=None)
@given(st.one_of(paths, hostile))
def test_pattern_behind_a_quoted_path_is_one(path: str) -> None:
    raw = os.fsencode(path)
    rules = read_file_rules(compiled(profile(quoted(path, PLACE, ending="/{,**}"))))
    for below in (b"/", b"/a", b"/a/b", b"/\\*"):
        assert rules.at(raw + below) == May.R
    assert not any(rules.at(one) for one in (raw, raw + b"x", raw[:-1], *DECOYS) if not one.startswith(raw + b"/"))


@pytest.mark.parametrize("character", REFUSED)
def test_what_could_end_a_rule_is_refused_with_its_place(character: str) -> None:
    with pytest.raises(ProfileError) as caught:
        quoted(f"/srv/a{character}, /etc/shadow r, b", PLACE)
    (problem,) = caught.value.problems
    assert problem.where == PLACE
    assert REFUSED[character] in problem.why
    assert "\n" not in problem.what
