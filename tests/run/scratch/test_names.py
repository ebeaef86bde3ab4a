"""Names that go in, and globs of what comes back."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandboxer.run.scratch.names import Glob, Globs, parse_name


def matches(pattern: str, path: str) -> bool:
    glob = Glob(pattern)
    state = glob.begin
    for part in path.split("/"):
        state = glob.advance(state, part)
    return glob.is_match(state)


@pytest.mark.parametrize("name", ["a", "a/b/c.txt", ".hidden", "a b", "ä", "..."])
def test_relative_name_is_taken_apart(name: str) -> None:
    assert b"/".join(parse_name(name)) == name.encode()


@pytest.mark.parametrize("name", ["", "/a", "../a", "a/../b", "a//b", "a/", ".", "a\0b", "x" * 256, "/".join("a" * 65)])
def test_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no name for a file"):
        parse_name(name)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("a.csv", "a.csv"),
        ("*.csv", "a.csv"),
        ("*", ".hidden"),
        ("out/**", "out/a"),
        ("out/**", "out/a/b/c"),
        ("**", "a"),
        ("**", "a/b"),
        ("**/*.log", "a.log"),
        ("**/*.log", "x/y/a.log"),
        ("a/**/z", "a/z"),
        ("a/**/z", "a/b/c/z"),
        ("[ab]?.txt", "ax.txt"),
        ("**/**/a", "a"),
    ],
)
def test_glob_means(pattern: str, path: str) -> None:
    assert matches(pattern, path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*.csv", "d/a.csv"),
        ("out/**", "out"),
        ("out/**", "other/a"),
        ("a/*/z", "a/z"),
        ("a/**/z", "b/a/z"),
        ("a", "A"),
        ("**/x", "x/y"),
    ],
)
def test_glob_does_not_mean(pattern: str, path: str) -> None:
    assert not matches(pattern, path)


@given(st.text("ab*?", min_size=1, max_size=6), st.text("ab", min_size=1, max_size=6))
def test_one_part_is_as_in_fnmatch(pattern: str, name: str) -> None:
    if pattern != "**":
        assert matches(pattern, name) == fnmatch.fnmatchcase(name, pattern)


PARTS = st.lists(st.sampled_from(["**", "*", "a", "b"]), min_size=1, max_size=5)


@given(PARTS, st.lists(st.sampled_from("ab"), min_size=1, max_size=5))
def test_parts_are_as_in_a_plain_recursion(pattern: list[str], path: list[str]) -> None:
    def plain(left: list[str], names: list[str]) -> bool:
        if not left:
            return not names
        if left[0] == "**":
            return plain(left[1:] or ["*"], names) or (bool(names) and plain(left, names[1:]))
        return bool(names) and left[0] in ("*", names[0]) and plain(left[1:], names[1:])

    assert matches("/".join(pattern), "/".join(path)) == plain(pattern, path)


def test_nothing_below_what_cannot_match_is_looked_at() -> None:
    globs = Globs(["out/*.csv", "log"])
    assert not any(globs.advance(globs.begin, "other"))
    assert any(globs.advance(globs.begin, "out"))


@pytest.mark.parametrize("pattern", ["/etc/*", "../*", "a//b", ""])
def test_glob_that_leads_elsewhere_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        Globs([pattern])
