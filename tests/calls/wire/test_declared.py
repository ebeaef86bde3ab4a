"""Annotations: which classes they name, and what they say of a value."""

from __future__ import annotations

import collections.abc
import typing
from typing import Any

import pytest

from sandboxer.calls.wire.caps import SerializationError
from sandboxer.calls.wire.declared import check, find_classes, hints_of, parts_of_generator
from tests.calls.wire.values import Colour, Crate, Level, Node, Pair, Point, Row

Name = typing.NewType("Name", str)
T = typing.TypeVar("T", bound=Point)


@pytest.mark.parametrize(
    ("annotation", "names"),
    [
        (int, set()),
        (None, set()),
        (Any, set()),
        (list[Point], {"Point"}),
        (dict[str, Pair | None], {"Pair", "Colour"}),
        (Node, {"Node"}),
        (typing.Annotated[Crate, "x"], {"Crate"}),
        (tuple[Level, ...], {"Level"}),
        (T, {"Point"}),
        (typing.Literal["a"], set()),
    ],
)
def test_classes_of_an_annotation_are_found_with_those_of_their_fields(annotation: Any, names: set[str]) -> None:
    assert {name.partition(":")[2] for name in find_classes(annotation) if ":" in name} == names


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (1, int),
        (1, float),
        (True, bool),
        (None, None),
        ("x", Name),
        ([1, 2], list[int]),
        ([1, 2], collections.abc.Sequence[int]),
        ((1, "a"), tuple[int, str]),
        ((1, 2, 3), tuple[int, ...]),
        ((), tuple[int, ...]),
        ({"a": [1]}, dict[str, list[int]]),
        ({"a": 1}, collections.abc.Mapping[str, int]),
        ({1, 2}, set[int]),
        (None, int | None),
        ("b", typing.Literal["a", "b"]),
        (1, typing.Annotated[int, "metres"]),
        (Point(1.0, 2.0, ("a",)), Point),
        (Pair(1, Colour.RED), Pair),
        ({"name": "x"}, Row),
        ({"name": "x", "size": 3}, Row),
        (object(), Any),
        ("x", "NotThere"),
        (3, collections.abc.Callable[[int], int] | int),
    ],
)
def test_value_that_is_what_the_annotation_says(value: Any, annotation: Any) -> None:
    check(value, annotation)


@pytest.mark.parametrize(
    ("value", "annotation", "path"),
    [
        ("1", int, ""),
        (True, int, ""),
        (1.0, int, ""),
        (0, None, ""),
        ([1, "2"], list[int], "[1]"),
        ((1, 2), tuple[int], ""),
        ((1, "a", 2), tuple[int, ...], "[1]"),
        ({"a": [1, None]}, dict[str, list[int]], "['a'][1]"),
        ({1: 2}, dict[str, int], " key 1"),
        ({"a"}, set[int], "[0]"),
        ("c", typing.Literal["a", "b"], ""),
        (1, typing.Literal[True], ""),
        ("x", int | None, ""),
        (Point(1.0, "y"), Point, ".y"),  # type: ignore[arg-type]
        ([Pair(1, 2)], list[Pair], "[0].right"),  # type: ignore[arg-type]
        ({"size": 3}, Row, ""),
        ({"name": "x", "more": 3}, Row, ""),
        ({"name": "x", "size": "3"}, Row, "['size']"),
        ([1], tuple[int, ...], ""),
        ("text", collections.abc.Mapping[str, int], ""),
    ],
)
def test_value_that_is_something_else_says_where(value: Any, annotation: Any, path: str) -> None:
    with pytest.raises(SerializationError) as caught:
        check(value, annotation)
    assert caught.value.path == path
    assert "the function says" in caught.value.what


def test_annotations_that_nothing_resolves_are_anything() -> None:
    def function(a: NotThere) -> AlsoNot: ...  # type: ignore[name-defined]  # noqa: F821

    assert hints_of(function) == {"a": Any, "return": Any}


def test_annotations_are_resolved_once_and_also_of_what_has_no_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    class Callable:
        """Equal to all of its kind, so without a hash."""

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Callable)

        def __call__(self) -> int:
            return 0

    assert hints_of(Callable().__call__) == hints_of(Callable.__call__) == {"return": int}

    def later() -> Later:  # type: ignore[name-defined]  # noqa: F821
        return 0

    assert hints_of(later) == {"return": Any}
    monkeypatch.setitem(globals(), "Later", int)
    assert hints_of(later) == {"return": int}, "what could not be resolved was not remembered"
    assert hints_of(later) is hints_of(later)


@pytest.mark.parametrize(
    ("annotation", "item", "returned"),
    [
        (collections.abc.Iterator[Point], Point, Any),
        (typing.Iterable[int], int, Any),
        (collections.abc.Generator[int, None, str], int, str),
        (collections.abc.AsyncIterator[int], int, Any),
        (collections.abc.AsyncGenerator[int, None], int, Any),
        (collections.abc.Iterator, Any, Any),
        (list[int], Any, Any),
        (Any, Any, Any),
    ],
)
def test_annotation_of_a_generator_says_what_its_items_are(annotation: Any, item: Any, returned: Any) -> None:
    assert parts_of_generator(annotation) == (item, returned)
