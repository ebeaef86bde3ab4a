"""What goes in comes out: every kind, of the same type, whole; and what cannot cross says where it is."""

from __future__ import annotations

import datetime
import json
import math
from decimal import Decimal
from typing import Any

import numpy
import pytest
from hypothesis import given, settings

from sandboxer.calls.wire.caps import Caps, SerializationError
from sandboxer.calls.wire.declared import find_classes
from sandboxer.calls.wire.decode import decode
from sandboxer.calls.wire.encode import encode
from sandboxer.calls.wire.kinds import KINDS
from tests.calls.wire.values import VALUES, Colour, Crate, Level, Node, Pair, Point


def there_and_back(value: Any, annotation: Any = Any) -> Any:
    sent = encode(value)
    return decode(sent.text, list(map(bytes, sent.segments)), find_classes(annotation))


def same(one: Any, other: Any) -> bool:
    """Equal, and of the same types all the way down."""
    if type(one) is not type(other) or one != other:
        return False
    if isinstance(one, dict):
        return all(map(same, one, other)) and all(map(same, one.values(), other.values()))
    return all(map(same, one, other)) if isinstance(one, list | tuple) else True


@settings(max_examples=300, deadline=None)
@given(VALUES)
def test_value_comes_out_as_it_went_in(value: Any) -> None:
    assert same(there_and_back(value), value)


@pytest.mark.parametrize(
    "value", [math.inf, -math.inf, Decimal("Infinity"), Decimal("-0"), -0.0, 1 << 63, -(1 << 63), {"$": 1}, {"a": {}}]
)
def test_value_at_an_edge_comes_out_as_it_went_in(value: Any) -> None:
    assert repr(there_and_back(value)) == repr(value)


def test_numbers_that_are_none_cross_too() -> None:
    assert math.isnan(there_and_back(math.nan))
    assert there_and_back(Decimal("NaN")).is_nan()


def test_every_kind_has_a_sample_and_a_tag_of_its_own() -> None:
    assert len({kind.tag for kind in KINDS}) == len({kind.type for kind in KINDS}) == len(KINDS)


@pytest.mark.parametrize(
    "value",
    [
        Colour.RED,
        Level.HIGH,
        Point(1.0, 2.5, ("a", "b")),
        Node(1, [Node(2), Node(3, [Node(4)])]),
        Pair(1, Colour.BLUE),
        Crate(7, ["x"]),
        [Point(0.0, 0.0), None],
    ],
)
def test_instance_of_a_class_that_the_annotation_names(value: Any) -> None:
    found = there_and_back(value, list[Point | Node | Pair | Crate | Colour | Level] | None)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("value", [Colour.RED, Point(1.0, 2.0), Pair(1, Colour.RED), Crate(1)])
def test_instance_of_a_class_that_the_annotation_does_not_name_is_refused(value: Any) -> None:
    with pytest.raises(SerializationError, match="the function's annotation does not name that class"):
        there_and_back(value, list[Node])


ARRAYS = (
    numpy.arange(12, dtype="f8").reshape(3, 4),
    numpy.arange(12).reshape(3, 4).T,
    numpy.zeros((0, 3)),
    numpy.array(5, dtype="i2"),
    numpy.array(["a", "bcd"]),
    numpy.array([b"x", b"yz"]),
    numpy.array(["2026-11-25", "NaT"], dtype="M8[D]"),
    numpy.array([True, False]),
    numpy.array([1 + 2j]),
    numpy.arange(5, dtype=">u4"),
)


@pytest.mark.parametrize("value", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_array_keeps_its_type_and_shape(value: Any) -> None:
    found = there_and_back(value)
    assert (found.dtype, found.shape) == (value.dtype, value.shape)
    assert (found.view("u1") == numpy.ascontiguousarray(value).view("u1")).all() if value.size and value.shape else True
    assert not found.flags.writeable


def test_number_of_numpy_is_one_again() -> None:
    found = there_and_back([numpy.float32(1.5), numpy.int64(3)])
    assert [type(one) for one in found] == [numpy.float32, numpy.int64]
    assert found == [1.5, 3]


@pytest.mark.parametrize("value", [numpy.array([object()]), numpy.zeros(2, dtype=[("a", "i4"), ("b", "f8")])])
def test_array_that_is_more_than_numbers_is_refused(value: Any) -> None:
    with pytest.raises(SerializationError, match="an array of"):
        encode(value)


@pytest.mark.parametrize(
    ("value", "path", "what"),
    [
        ([1, {"rows": [0, 0, lambda: 0]}], "[1]['rows'][2]", "a function cannot cross"),
        ({1: object()}, "[1]", "a object cannot cross"),
        ([datetime.datetime(2026, 1, 1, tzinfo=type("T", (datetime.tzinfo,), {})())], "[0]", "a time zone that is neither"),
        (type("Text", (str,), {})("x"), "", "a Text cannot cross"),
    ],
)
def test_what_cannot_cross_says_where_it_is(value: Any, path: str, what: str) -> None:
    with pytest.raises(SerializationError) as caught:
        encode(value)
    assert (caught.value.path, caught.value.what.startswith(what)) == (path, True)


def test_value_in_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(SerializationError, match="deeper than 64"):
        encode(value)


@pytest.mark.parametrize(
    ("value", "caps"),
    [
        ([[[]]], Caps(depth=2)),
        ((((),),), Caps(depth=2)),
        ([0] * 10, Caps(items=10)),
        ("x" * 100, Caps(text_bytes=100)),
        (b"x" * 100, Caps(segment_bytes=99)),
        ([b""] * 3, Caps(segments=2)),
    ],
)
def test_more_than_the_caps_is_refused_on_both_sides(value: Any, caps: Caps) -> None:
    with pytest.raises(SerializationError):
        encode(value, caps)
    sent = encode(value)
    with pytest.raises(SerializationError):
        decode(sent.text, sent.segments, caps=caps)


def test_depth_that_may_be_sent_may_come() -> None:
    values: list[Any] = [(), [], {}, {1: 2}, frozenset()]
    for value in values:
        deep = value
        for level in range(63):
            deep = (deep,) if level % 3 else [deep] if level % 2 else {"a": deep}
        assert there_and_back(deep) == deep
        with pytest.raises(SerializationError, match="deeper than 64"):
            encode((deep,))


def test_text_is_json_and_nothing_long_is_in_it() -> None:
    sent = encode({"a": [1, None, "x"], "b": "y" * 5000, "c": b"z" * 5000})
    assert json.loads(sent.text) == {"a": [1, None, "x"], "b": {"$": ["str", 0]}, "c": {"$": ["bytes", 1]}}
    assert list(map(len, sent.segments)) == [5000, 5000]
