"""Functions that tests call in boxes: values, errors and ends as they come."""

from __future__ import annotations

import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandboxer import sandboxed


@dataclass(frozen=True)
class Point:
    x: int
    y: int


@sandboxed(timeout="30s")
def add(a: int, b: int = 0) -> int:
    print("adding")
    return a + b


@sandboxed
def move(point: Point, by: int) -> list[Point]:
    return [Point(point.x + by, point.y + by)]


@sandboxed
def whole(values: Any) -> Any:
    return values


@sandboxed
def where() -> dict[str, Any]:
    return {"pid": os.getpid(), "uid": os.getuid(), "main": sys.modules["__main__"].__name__, "argv": sys.argv}


@sandboxed
def large(size: int) -> bytes:
    return b"x" * size


@sandboxed
def refuse(what: str) -> None:
    raise ValueError(what)


@sandboxed(timeout="1s")
def hang() -> None:
    print("begun", flush=True)
    time.sleep(100)


@sandboxed
def leave(status: int) -> None:
    os._exit(status)


@sandboxed
def quit_politely() -> None:
    sys.exit(0)


@sandboxed
def lie() -> int:
    return "text"  # type: ignore[return-value]


@sandboxed
def unsendable() -> Any:
    return [1, {"a": threading.Lock()}]


@sandboxed
def read(path: str) -> str:
    return Path(path).read_text()


@sandboxed
async def later(n: int) -> int:
    import asyncio

    await asyncio.sleep(0.01)
    return 2 * n


@sandboxed
def after(seconds: float, value: int) -> int:
    time.sleep(seconds)
    return value


@sandboxed
def odd_is_wrong(value: int) -> int:
    if value % 2:
        raise ValueError(str(value))
    return value
