"""How callables of every kind go: which by name, which by value, and what their arguments and their annotation are then."""

from __future__ import annotations

import functools
import math
import operator
from dataclasses import dataclass
from typing import Any

import pytest

from sandboxer import sandboxed
from sandboxer.calls.executor.naming import annotation_of, find_task, has_name
from sandboxer.calls.request import Pickled


@dataclass
class Scale:
    factor: int

    def of(self, value: int) -> int:
        return self.factor * value

    def __call__(self, value: int) -> str:
        return str(self.factor * value)

    @classmethod
    def double(cls) -> Scale:
        return cls(2)


def plain(value: int) -> list[int]:
    return [value]


@sandboxed
def boxed(value: int) -> int:
    return value


def replaced() -> int:
    return 1


original = replaced
replaced = functools.wraps(original)(lambda: 2)  # type: ignore[assignment]


@pytest.mark.parametrize("function", [plain, math.sqrt, len, Scale, Scale.double, Scale.of, boxed.local, replaced])
def test_function_of_a_module_has_a_name(function: Any) -> None:
    assert has_name(function)
    assert find_task(function, (1,), {"a": 2}).function == function


@pytest.mark.parametrize("function", [original, lambda: 0, operator.itemgetter(1), Scale(2), Scale(2).of])
def test_what_its_module_has_not_by_that_name_has_none(function: Any) -> None:
    assert not has_name(function)


@pytest.mark.parametrize("function", [original, lambda: 0, operator.itemgetter(1), Scale(2)])
def test_what_has_no_name_goes_by_value(function: Any) -> None:
    assert isinstance(find_task(function, (), {}).function, Pickled)


def test_parts_of_a_partial_are_arguments() -> None:
    given = functools.partial(functools.partial(plain, 1, a=1), 2, b=2)
    found = find_task(given, (3,), {"b": 3})
    assert (found.function, found.arguments, found.keywords) == (plain, (1, 2, 3), {"a": 1, "b": 3})


def test_object_of_a_method_is_its_first_argument() -> None:
    found = find_task(Scale(3).of, (4,), {})
    assert (found.function, found.arguments) == (Scale.of, (Scale(3), 4))


@pytest.mark.parametrize(
    ("function", "annotation"),
    [
        (plain, list[int]),
        (boxed.local, int),
        (Scale, Scale),
        (Scale(2), str),
        (Scale(2).of, int),
        (Scale.double, Scale),
        (functools.partial(plain, 1), list[int]),
        (len, Any),
        (operator.itemgetter(1), Any),
        (lambda: 0, Any),
    ],
)
def test_annotation_is_of_what_is_returned(function: Any, annotation: Any) -> None:
    assert annotation_of(function) == annotation
    assert find_task(function, (), {}).annotation == annotation
