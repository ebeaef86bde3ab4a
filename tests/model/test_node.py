"""model/node.py: what is read, what is refused, and where."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sandboxer.errors import Problem, ProfileError
from sandboxer.model import node
from sandboxer.model.node import Mapping, Scalar, Sequence, parse_node, plain, read_nodes
from sandboxer.model.place import Place

BOTH = pytest.mark.parametrize("is_pure", [False, True], ids=["libyaml", "python"])


def problems_of(text: str | bytes, *, is_pure: bool = False) -> tuple[Problem, ...]:
    data = text.encode() if isinstance(text, str) else text
    with pytest.raises(ProfileError) as caught:
        parse_node(data, "f.yaml", is_pure=is_pure)
    return caught.value.problems


def places_of(problems: tuple[Problem, ...]) -> list[tuple[int, int]]:
    return [(p.where.line, p.where.column) for p in problems if isinstance(p.where, Place)]


def root_of(text: str, *, is_pure: bool = False) -> Mapping:
    root = parse_node(text.encode(), "f.yaml", is_pure=is_pure)
    assert isinstance(root, Mapping)
    return root


def scalar_of(text: str) -> Scalar:
    value = root_of(f"key: {text}\n").get("key")
    assert isinstance(value, Scalar)
    return value


@BOTH
def test_a_profile_becomes_nodes_with_places(is_pure: bool) -> None:
    root = root_of("kind: profile\nlimits:\n  wall: 10s # why\n  list: [a, 'b c']\n", is_pure=is_pure)
    limits = root.get("limits")
    assert isinstance(limits, Mapping)
    assert limits.get("wall") == Scalar("10s", "10s", False, Place("f.yaml", 3, 9, "  wall: 10s # why"))
    words = limits.get("list")
    assert isinstance(words, Sequence)
    assert [item.place.column for item in words.items] == [10, 13]
    assert plain(root) == {"kind": "profile", "limits": {"wall": "10s", "list": ["a", "b c"]}}


@BOTH
def test_columns_count_characters_and_not_bytes(is_pure: bool) -> None:
    value = root_of("'äöü€😀': value\n", is_pure=is_pure).get("äöü€😀")
    assert value is not None
    assert value.place.column == 10


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("-7", -7),
        ("0", 0),
        ("true", True),
        ("false", False),
        ("yesterday", "yesterday"),
        ('"no"', "no"),
        ("'022'", "022"),
        ('"1:30"', "1:30"),
        ('"12"', "12"),
        ("", None),
        ("10:80", "10:80"),
        ("2030-01-31", "2030-01-31"),
        ("1.2.3", "1.2.3"),
        ("64K", "64K"),
        ("0s", "0s"),
        ("on/off", "on/off"),
    ],
)
def test_scalar_has_its_plain_type(text: str, value: object) -> None:
    found = scalar_of(text)
    assert (found.value, type(found.value)) == (value, type(value))


@BOTH
@pytest.mark.parametrize(
    "text",
    [
        *("no", "No", "NO", "yes", "Yes", "on", "ON", "off", "y", "n", "Y", "N", "True", "TRUE", "False"),
        *("null", "NULL", "~", "022", "-07", "00", "1:30", "1:30:00", "190:20:30.15", "1_000", "0x10", "0b11", "0o17"),
        *("1.5", "3.10", ".5", "1e3", "1.5e+3", "+5", ".inf", "-.INF", ".nan", "99999999999999999999"),
        *("2030-01-31 10:00:00", "2030-01-31T10:00:00Z"),
    ],
)
def test_scalar_that_readers_take_for_different_things_is_refused(text: str, is_pure: bool) -> None:
    (problem,) = problems_of(f"key: {text}\n", is_pure=is_pure)
    assert places_of((problem,)) == [(1, 6)]
    assert problem.attempt


def test_ambiguous_key_is_refused_and_quotes_are_advised() -> None:
    (problem,) = problems_of("on: 1\n")
    assert problem.attempt == 'put it in quotes: "on"'
    assert plain(root_of('"on": 1\n')) == {"on": 1}


@BOTH
def test_all_problems_of_a_file_are_reported_at_once_and_sorted(is_pure: bool) -> None:
    text = "a: no\nb: [022, ok, 1:30]\na: 2\nc: &x 1\nd: *x\n<<: {e: 1}\nf: !!str x\n? [k]\n: 1\n"
    found = places_of(problems_of(text, is_pure=is_pure))
    assert found == sorted(found)
    assert [line for line, _ in found] == [1, 2, 2, 3, 4, 5, 6, 7, 8]


@BOTH
def test_key_twice_is_refused_with_the_first_place(is_pure: bool) -> None:
    (problem,) = problems_of("a: 1\nb: 2\n'a': 3\n", is_pure=is_pure)
    assert places_of((problem,)) == [(3, 1)]
    assert "f.yaml:1:1" in problem.why


def test_same_key_in_two_mappings_is_allowed() -> None:
    assert plain(root_of("a: {x: 1}\nb: {x: 1}\n")) == {"a": {"x": 1}, "b": {"x": 1}}


@BOTH
@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a: *x\n", "alias"),
        ("a: &x 1\n", "anchor"),
        ("a: !!python/object:os.system 1\n", "tag"),
        ("a: ! 1\n", "tag"),
        ("a: 1\n---\nb: 2\n", "second document"),
        ("%YAML 1.1\n---\na: 1\n", "directives"),
        ("", "empty"),
        ("# only a comment\n", "empty"),
        ("? \n: 1\n", "empty key"),
        ("true: 1\n", "as a key"),
    ],
)
def test_more_than_plain_yaml_is_refused(text: str, part: str, is_pure: bool) -> None:
    assert any(part in problem.what for problem in problems_of(text, is_pure=is_pure))


@BOTH
@pytest.mark.parametrize(
    ("text", "place", "advice"),
    [
        ("a:\n\tb: 1\n", (2, 1), "spaces"),
        ("a: [1, 2\n", (1, 4), ""),
        ("a: 'x\nb: 1\n", (1, 4), ""),
        ("a: b: c\n", (1, 5), "quotes"),
        ("a:\n  b: 1\n c: 2\n", (3, 2), "indentation"),
        ("a: b\nfoo\nc: d\n", (2, 1), ":"),
        ("a: @b\n", (1, 4), "quotes"),
    ],
)
def test_syntax_error_has_place_and_advice(text: str, place: tuple[int, int], advice: str, is_pure: bool) -> None:
    *_, problem = problems_of(text, is_pure=is_pure)
    assert places_of((problem,)) == [place]
    assert advice in problem.attempt


def test_bytes_that_are_not_utf8_are_refused_with_their_place() -> None:
    (problem,) = problems_of(b"a: 1\nbc: \xff\n")
    assert places_of((problem,)) == [(2, 5)]


@pytest.mark.parametrize("character", ["\0", "\x07", "\x1b", "\x7f", "\x85", "\r", "\u202e", "\u200b", "\u2028", "\ufeff"])
def test_invisible_character_is_refused_raw_and_escaped(character: str) -> None:
    assert places_of(problems_of(f"a: x\nb: 'y{character}z'\n"))[0][0] == 2
    escape = "".join(f"\\U{ord(one):08x}" for one in character)
    assert problems_of(f'a: "y{escape}z"\n')


def test_windows_line_ends_and_byte_order_mark_are_taken() -> None:
    root = parse_node(b"\xef\xbb\xbfa: 1\r\nb: |\r\n  text\r\n", "f.yaml")
    assert plain(root) == {"a": 1, "b": "text\n"}


def test_file_over_the_size_is_refused() -> None:
    fits = b"a: " + b"x" * (node.MAX_FILE_BYTES - 3)
    assert isinstance(parse_node(fits, "f.yaml"), Mapping)
    assert "bytes" in problems_of(fits + b"x")[0].what


def test_nesting_over_the_depth_is_refused() -> None:
    fits = "[" * (node.MAX_DEPTH - 1) + "]" * (node.MAX_DEPTH - 1)
    assert root_of(f"a: {fits}\n")
    assert "nested" in problems_of(f"a: [{fits}]\n")[0].what


@BOTH
def test_nesting_without_end_is_refused_at_once(is_pure: bool) -> None:
    assert "nested" in problems_of("[" * 200_000, is_pure=is_pure)[0].what


def test_too_many_values_are_refused() -> None:
    count = node.MAX_NODES - 3
    assert root_of(f"a: [{'1,' * count}]\n")
    assert "values" in problems_of(f"a: [{'1,' * (count + 3)}]\n")[0].what


def test_problems_without_end_are_cut() -> None:
    assert len(problems_of("a: [" + "no," * 5000 + "]\n")) == node.MAX_PROBLEMS + 1


def test_alias_bomb_is_refused_without_being_built() -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert all("alias" in p.what or "anchor" in p.what for p in problems_of(bomb))


YAML_CHARACTERS = st.text(st.sampled_from("ab:-[]{},#&*!|>'\"%@`?~ \n\t0123.trueno\\é\x00"), max_size=80)


@settings(max_examples=300, deadline=None)
@given(YAML_CHARACTERS)
def test_any_text_is_read_or_refused(text: str) -> None:
    for is_pure in (False, True):
        root, problems = read_nodes(text.encode(), "f.yaml", is_pure=is_pure)
        assert root is not None or problems
        assert all(problem.show() for problem in problems)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    root, problems = read_nodes(data, "f.yaml")
    assert root is not None or problems


LEAVES = st.one_of(
    st.booleans(),
    st.integers(-(10**15), 10**15),
    st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), max_size=12),
)
TREES = st.recursive(
    LEAVES,
    lambda below: st.one_of(
        st.lists(below, max_size=4),
        st.dictionaries(st.text(st.sampled_from("abcdef"), min_size=1, max_size=5), below, max_size=4),
    ),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text(st.sampled_from("abcdef"), min_size=1, max_size=5), TREES, min_size=1, max_size=4))
def test_what_another_writer_wrote_with_quotes_is_read_back(data: dict[str, object]) -> None:
    written = yaml.safe_dump(data, default_style='"', allow_unicode=True)
    # With quotes everywhere the writer tags what is no text; its plain style is what people write.
    if "!!" not in written:
        assert plain(parse_node(written.encode(), "f.yaml")) == data


@BOTH
def test_reference_in_brackets_without_quotes_is_told_so(is_pure: bool) -> None:
    (problem,) = problems_of("a: [${cwd}]\n", is_pure=is_pure)
    assert '["${name}"]' in problem.attempt
    assert plain(root_of('a: ["${cwd}"]\nb: ${cwd}\n', is_pure=is_pure)) == {"a": ["${cwd}"], "b": "${cwd}"}
