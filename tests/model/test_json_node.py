"""JSON as nodes with places: what is read, what is refused, and that nothing else happens to hostile bytes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandboxer.errors import ProfileError
from sandboxer.model.json_node import MAX_JSON_BYTES, MAX_JSON_DEPTH, MAX_JSON_VALUES, parse_json
from sandboxer.model.node import Mapping, plain

NUMBERS = st.integers(-(1 << 63), (1 << 64) - 1)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def refused(text: str | bytes) -> str:
    data = text.encode() if isinstance(text, str) else text
    with pytest.raises(ProfileError) as caught:
        parse_json(data, "x.json")
    return str(caught.value)


@given(VALUES, st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_whatever_json_writes_is_read_the_same(value: object, is_ascii: bool, indent: int | str | None) -> None:
    assert plain(parse_json(json.dumps(value, ensure_ascii=is_ascii, indent=indent).encode(), "x.json")) == value


@given(st.binary(max_size=60) | st.text(alphabet='{}[],:"\\u0aeE-.+ \n\ttrufalsn', max_size=60).map(str.encode))
def test_any_bytes_are_read_as_json_does_or_refused(data: bytes) -> None:
    try:
        node = parse_json(data, "x.json")
    except ProfileError:
        return
    assert plain(node) == json.loads(data.removeprefix(b"\xef\xbb\xbf"))


def test_every_value_has_its_place() -> None:
    node = parse_json(b'{\n\t"a": [1,\n\t\t"b"]\n}', "x.json")
    assert isinstance(node, Mapping)
    key, value = node.entries[0]
    assert [item.place.show() for item in (key, value, *value.items)] == [  # type: ignore[union-attr]
        "x.json:2:2", "x.json:2:7", "x.json:2:8", "x.json:3:3",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "x.json: the file is empty"),
        (" \n ", "x.json: the file is empty"),
        ("{", "x.json:1:2: not JSON: expected `\"`, found the end of the file"),
        ("[1", "x.json:1:3: not JSON: expected `,` or `]`, found the end of the file"),
        ("[1,]", "x.json:1:4: not JSON: expected a value, found `]`"),
        ("[1] x", "x.json:1:5: not JSON: there is more after the end"),
        ("{'a': 1}", "x.json:1:2: not JSON: expected `\"`, found `'`"),
        ("[nil]", "x.json:1:2: not JSON: expected a value, found `nil`"),
        ("[1, // one\n2]", "x.json:1:5: not JSON: JSON has no comments"),
        ("[01]", "x.json:1:2: not JSON: 01 has a leading zero"),
        ("[1.0]", "x.json:1:2: 1.0 is not written as a whole number"),
        ("[1e3]", "x.json:1:2: 1e3 is not written as a whole number"),
        ("[NaN]", "expected a value, found `NaN`"),
        ('["a]', "x.json:1:2: not JSON: the string that begins here is never closed"),
        ('["a\tb"]', "x.json:1:4: not JSON: a control character in a string"),
        ('["\\x41"]', "x.json:1:3: not JSON: this escape has no meaning"),
        ('["\\u12"]', "x.json:1:3: not JSON: \\u takes four hexadecimal digits"),
        ('["\\ud800"]', "x.json:1:3: not JSON: half of a surrogate pair"),
        ('["\\ud800\\u0041"]', "x.json:1:3: not JSON: half of a surrogate pair"),
        ('{"a": 1,\n "a": 2}', "x.json:2:2: the key 'a' stands here a second time"),
        ("9" * 21, "has 21 digits"),
        (b'{"\xff": 1}', "x.json:1:3: the byte 0xff is not UTF-8"),
        ("[" * (MAX_JSON_DEPTH + 1), f"x.json:1:{MAX_JSON_DEPTH + 1}: nested deeper than"),
        ("[" + "0," * MAX_JSON_VALUES + "0]", "the file has more than"),
        (b" " * (MAX_JSON_BYTES + 1), f"at most {MAX_JSON_BYTES} are read"),
    ],
)  # fmt: skip
def test_wrong_json_is_refused_with_its_place(text: str | bytes, says: str) -> None:
    assert says in refused(text)


def test_depth_that_is_allowed_is_read() -> None:
    assert parse_json(("[" * MAX_JSON_DEPTH + "]" * MAX_JSON_DEPTH).encode(), "x.json")


def test_excerpt_of_a_long_line_shows_the_caret_and_not_the_line() -> None:
    said = refused("[" + "1," * 5000 + "x]")
    assert all(len(line) < 200 for line in said.splitlines())
    assert "^" in said
