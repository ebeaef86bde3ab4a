"""Generators in boxes: honest ones, and an attacker's."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import Any

from boxed_jobs.forging import ITEM, WIRE_FD, forge, frame
from boxed_jobs.honest import Point

from sandboxer import sandboxed


@sandboxed
def count(to: int) -> Generator[int, None, str]:
    yield from range(to)
    return "counted"


@sandboxed(timeout="60s")
def notes(path: str, size: int = 0) -> Iterator[bytes]:
    """Yields for ever, and notes what it has made."""
    made = 0
    while True:
        made += 1
        Path(path).write_text(str(made))
        yield b"x" * size


@sandboxed
def points() -> Iterator[Point]:
    yield Point(1, 2)
    yield Point(3, 4)


@sandboxed
def breaks(after: int) -> Iterator[int]:
    yield from range(after)
    raise ValueError("broken")


@sandboxed
def lies_later() -> Iterator[int]:
    yield 1
    yield "two"  # type: ignore[misc]
    yield 3


@sandboxed
def gives_no_value() -> Iterator[Any]:
    yield 1
    yield threading.Lock()


@sandboxed(timeout="1s")
def stops_coming() -> Iterator[int]:
    yield 1
    time.sleep(100)


@sandboxed
async def later_ones(to: int) -> AsyncIterator[int]:
    import asyncio

    for number in range(to):
        await asyncio.sleep(0.001)
        yield number


@sandboxed
async def waits_for_ever() -> AsyncIterator[int]:
    import asyncio

    yield 1
    await asyncio.sleep(1000)


@sandboxed
def floods() -> Iterator[int]:
    """Items without end, whatever the window says."""
    while True:
        os.write(WIRE_FD, ITEM)
    yield 1


@sandboxed
def item_of_a_function() -> int:
    forge(ITEM)
    return 1


@sandboxed
def goes_on_after_the_end() -> Iterator[int]:
    yield 1
    forge(frame(4, b"null") + ITEM)


@sandboxed
def value_of_a_generator() -> Iterator[int]:
    yield 1
    forge(frame(1, b"7"))
