"""What the calls of `benchmarks.calls` call: in a module of its own, so that no process has to import more."""

from __future__ import annotations

from typing import Any


def add(first: int, second: int) -> int:
    """As little as possible."""
    return first + second


def send(pipe: Any, first: int, second: int) -> None:
    """The same, for a process that has to send its value."""
    pipe.send(add(first, second))


def same(array: Any) -> Any:
    """Give back what came."""
    return array


def last(array: Any) -> int:
    """Take what came."""
    return int(array[-1])
