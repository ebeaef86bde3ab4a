"""Bytes that a hostile process wrote: nothing but SerializationError comes of them, and no more memory than they are worth."""

from __future__ import annotations

import contextlib
import json
import sys
import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sandboxer.calls.wire.caps import SerializationError
from sandboxer.calls.wire.declared import find_classes
from sandboxer.calls.wire.decode import decode
from sandboxer.calls.wire.encode import encode
from sandboxer.calls.wire.kinds import BY_TAG
from sandboxer.calls.wire.measure import measure
from tests.calls.wire.values import VALUES, Colour, Crate, Pair, Point, Positive

CLASSES = find_classes(list[Point | Pair | Crate | Colour | Positive])
TAGS = (*BY_TAG, "array", "enum", "object", "nothing", "")
JUNK = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-9, 1 << 70), st.floats(), st.text(max_size=9), st.sampled_from(sorted(CLASSES))
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.text(max_size=3), st.sampled_from(["x", "y", "value", "left"])), inner, max_size=3),
        st.builds(lambda tag, parts: {"$": [tag, *parts]}, st.sampled_from(TAGS), st.lists(inner, max_size=5)),
    ),
    max_leaves=12,
)
SEGMENTS = st.lists(st.binary(max_size=64), max_size=3)


def comes_to_nothing_worse(text: bytes, segments: Any = (), **options: Any) -> None:
    """A value, or the one error."""
    with contextlib.suppress(SerializationError):
        decode(text, segments, CLASSES, **options)


@settings(max_examples=500, deadline=None)
@given(JUNK, SEGMENTS)
@example({"$": ["array", "<f8", [1 << 61, 8], 0, False]}, [b""])
@example({"$": ["array", "|S0", [5], 0, False]}, [b""])
@example({"$": ["array", "<O8", [1], 0, False]}, [b"12345678"])
@example({"$": ["datetime", "2026-01-01T00:00:00", 1 << 60, 0]}, [])
@example({"$": ["datetime", "2026-01-01T00:00:00", "../../../etc/passwd", 0]}, [])
@example({"$": ["dict", [[[], 1]]]}, [])
@example({"$": ["set", [{}]]}, [])
@example({"$": ["object", "tests.calls.wire.values:Positive", {"value": -1}]}, [])
@example({"$": ["object", "tests.calls.wire.values:Colour", {"value": -1}]}, [])
@example({"$": ["enum", "tests.calls.wire.values:Colour", "__class__"]}, [])
@example({"$": ["object", "os:system", {"command": "true"}]}, [])
def test_tagged_junk_is_a_value_or_the_one_error(tree: Any, segments: list[bytes]) -> None:
    comes_to_nothing_worse(json.dumps(tree).encode("utf-8", "surrogatepass"), segments)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), SEGMENTS)
@example(b"\xff\xfe[\x00", [])
@example(b'{"a":1,"a":2}', [])
@example(b"[" * 100_000, [])
@example(b'{"$":' * 50_000, [])
@example(b'"' + b"\\" * 99_999, [])
def test_any_bytes_are_a_value_or_the_one_error(text: bytes, segments: list[bytes]) -> None:
    comes_to_nothing_worse(text, segments)


@settings(max_examples=200, deadline=None)
@given(VALUES, st.integers(0, 1 << 30), st.binary(min_size=1, max_size=3))
def test_text_that_was_changed_is_a_value_or_the_one_error(value: Any, at: int, change: bytes) -> None:
    sent = encode(value)
    at %= len(sent.text)
    comes_to_nothing_worse(sent.text[:at] + change + sent.text[at + len(change) :], sent.segments)


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.one_of(st.none(), st.integers(0, 9), st.text(max_size=9)), lambda i: st.lists(i) | st.dictionaries(st.text(), i)
    )
)
def test_measure_is_never_below_what_is_there(tree: Any) -> None:
    def look(one: Any) -> tuple[int, int]:
        below = [look(item) for item in (one.values() if isinstance(one, dict) else one if isinstance(one, list) else ())]
        is_container = isinstance(one, dict | list)
        return 1 + sum(count for count, _ in below), is_container + max((depth for _, depth in below), default=0)

    items, depth = measure(json.dumps(tree).encode())
    count, deepest = look(tree)
    assert items >= count
    assert depth == deepest


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"[" * 400 + b"]" * 400, "deeper than 64"),
        (b"[" + b"0," * 2_000_000 + b"0]", "more than 1000000 items"),
        (b'"' + b"x" * (17 << 20) + b'"', "bytes of text came"),
        (b"1" * 5000, "longer than it may be"),
        (b'{"$":["int","0x' + b"f" * 20_000 + b'"]}', "no 'int' can be made"),
        (
            b'{"$":["set",[' + b",".join(b'{"$":["int","%#x"]}' % (i * ((1 << 61) - 1)) for i in range(1, 5000)) + b"]]}",
            "the same hash",
        ),
        (b'{"$":["dict",[[1,2],[1,3]]]}', "no 'dict' can be made"),
        (b'{"$":["tuple",[]],"a":1}', "a tag came that is none"),
        (b'{"$":[]}', "a tag came that is none"),
        (b'{"$":["bytes",0]}', "a segment is named that did not come"),
        (b'{"$":["what"]}', "nobody knows the tag 'what'"),
    ],
)
def test_what_is_too_much_or_nothing_is_refused_in_words(text: bytes, what: str) -> None:
    with pytest.raises(SerializationError, match=what):
        decode(text, (), CLASSES)


def test_interpreter_that_recurses_without_a_limit_is_not_led_to() -> None:
    """The depth is known ahead of the parser, whatever the program has set."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1 << 30)
    try:
        with pytest.raises(SerializationError, match="deeper"):
            decode(b"[" * 900_000)
    finally:
        sys.setrecursionlimit(before)


@pytest.mark.parametrize(
    "text",
    [
        b"[" + b"[]," * 300_000 + b"[]]",
        b"[" + b"{}," * 300_000 + b"{}]",
        b'["' + b'","ab' * 200_000 + b'"]',
        b"[" + b'{"$":["tuple",[]]},' * 100_000 + b"0]",
        b"[" + b'{"$":["date","2026-01-01"]},' * 60_000 + b"0]",
    ],
)
def test_memory_is_bounded_by_what_came(text: bytes) -> None:
    tracemalloc.start()
    try:
        comes_to_nothing_worse(text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100 * len(text)


@pytest.mark.parametrize(
    "item", [b'{"$":["set",["a","b"]]},', b'{"a":{"b":1}},', b'{"$":["dict",[[1,2]]]},', b'{"$":["int","0x1"]},']
)
def test_work_is_linear_in_what_came(item: bytes) -> None:
    """Counted in calls, which no other work of the machine adds to."""

    def calls(count: int) -> int:
        seen = 0

        def note(_frame: Any, event: str, _argument: Any) -> None:
            nonlocal seen
            seen += event in ("call", "c_call")

        sys.setprofile(note)
        try:
            decode(b"[" + item * count + b"0]")
        finally:
            sys.setprofile(None)
        return seen

    assert calls(4000) < 4.1 * calls(1000)


def test_message_of_a_hostile_name_is_short() -> None:
    with pytest.raises(SerializationError) as caught:
        decode(json.dumps({"k" * 5000: {"$": ["object", "n" * 100_000, {}]}}).encode())
    assert len(str(caught.value)) < 300
