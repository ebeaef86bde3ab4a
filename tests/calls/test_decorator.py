"""What the decorator takes, and what it refuses before there is any box."""

from __future__ import annotations

import functools
import operator
from typing import Any

import pytest

import sandboxer
from sandboxer import Stocking


@pytest.mark.parametrize(
    ("function", "argument", "value"),
    [
        ("abc".join, ["1", "2"], "1abc2"),
        (functools.partial(max, 3), 9, 9),
        (operator.itemgetter(1), [5, 6], 6),
        (len, "four", 4),
        (dict, [(1, 2)], {1: 2}),
    ],
    ids=["method of a builtin", "partial", "object that can be called", "builtin", "class"],
)
def test_whatever_can_be_called_is_called_in_a_box(function: Any, argument: Any, value: Any) -> None:
    assert sandboxer.sandboxed(function)(argument) == value


def test_objects_without_a_name_share_no_box() -> None:
    first, second = (sandboxer.sandboxed(functools.partial(max, number), reuse="same-key") for number in (3, 5))
    assert (first(0), second(0), first(0)) == (3, 5, 3)


@pytest.mark.parametrize("value", [3, "len", None])
def test_what_cannot_be_called_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="is no function"):
        sandboxer.sandboxed()(value)


@pytest.mark.parametrize(
    ("said", "error", "what"),
    [
        ({"preload": "json"}, TypeError, "preload is a list of modules, and not one"),
        ({"ahead": 0}, ValueError, "ahead is at least 1"),
        ({"max_answer_bytes": -1}, ValueError, "less than 0 bytes"),
        ({"max_output_bytes": -1}, ValueError, "max_output_bytes is at least 0"),
        ({"fresh": "old"}, ValueError, "fresh is 'old', and may be"),
        ({"reuse": "always"}, ValueError, "reuse is 'always', and may be"),
        ({"host": "search"}, TypeError, "host is 'search', and may be a mapping"),
        ({"host": {"a b": len}}, ValueError, "'a b' is no name of a host function"),
        ({"host": {"a": 3}}, TypeError, "a host function is a plain function, not 3"),
    ],
)
def test_what_is_said_wrong_is_named(said: dict[str, Any], error: type[Exception], what: str) -> None:
    with pytest.raises(error, match=what):
        sandboxer.sandboxed(**said)(len)


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({"preload": "json"}, TypeError),
        ({"size": 0}, ValueError),
        ({"max_queue": -1}, ValueError),
        ({"max_age": 0.0}, ValueError),
        ({"spares": -1}, ValueError),
    ],
)
def test_stocking_that_cannot_be_is_refused(said: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        Stocking(**said)
