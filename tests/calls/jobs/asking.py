"""Host functions, and functions in boxes that ask for them: honest ones, and an attacker's."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from boxed_jobs.forging import WIRE_FD, forge, question
from boxed_jobs.honest import Point

from sandboxer import HostFunction, HostRefusal, host, sandboxed

seen: list[Any] = []
"""What the host functions were given, in the caller."""


def double(point: Point, *, times: int = 1) -> Point:
    seen.append((point, times, threading.current_thread() is threading.main_thread()))
    return Point(point.x * 2**times, point.y * 2**times)


def open_secret() -> str:
    return Path("/nonexistent/secret/path").read_text()


def say_no(what: str) -> str:
    raise HostRefusal(f"not {what}")


def echo(*values: int, **named: str) -> list[Any]:
    return [*values, named]


def give_lock() -> Any:
    return threading.Lock()


def kill_time() -> None:
    time.sleep(0.2)


FUNCTIONS: dict[str, Any] = {
    "double": double,
    "open_secret": open_secret,
    "say_no": say_no,
    "echo": echo,
    "give_lock": give_lock,
    "few": HostFunction(echo, most_calls=2),
    "slow": HostFunction(echo, calls_per_second=20),
    "short": HostFunction(echo, most_bytes=200),
}


@sandboxed(host=FUNCTIONS)
def asks_twice(x: int) -> Point:
    return host.double(host.double(Point(x, 0)), times=2)  # type: ignore[no-any-return]


@sandboxed(host=FUNCTIONS)
def told_what(name: str, *arguments: Any) -> tuple[list[str], str]:
    try:
        getattr(host, name)(*arguments)
    except Exception as error:
        return [kind.__name__ for kind in type(error).__mro__], str(error)
    return [], ""


@sandboxed(host=FUNCTIONS)
def asks_often(name: str, times: int) -> int:
    answered = 0
    for number in range(times):
        with contextlib.suppress(HostRefusal):
            getattr(host, name)(number)
            answered += 1
    return answered


@sandboxed(host=FUNCTIONS)
def asks_in_threads(count: int) -> list[int]:
    found: list[int] = []
    threads = [threading.Thread(target=lambda n=n: found.append(host.echo(n)[0])) for n in range(count)]  # type: ignore[misc]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(found)


@sandboxed(host=FUNCTIONS)
def yields_what_it_asks(to: int) -> Iterator[int]:
    for number in range(to):
        yield host.echo(number)[0]


@sandboxed
def has_no_host() -> str:
    try:
        host.double(1)
    except AttributeError as error:
        return str(error)
    return "it has"


@sandboxed(host=FUNCTIONS)
def floods_with_questions() -> int:
    while True:
        os.write(WIRE_FD, question(b"echo\n[[1],{}]"))


@sandboxed(host=FUNCTIONS)
def asks_raw(text: bytes) -> int:
    forge(question(text))
    return 1


@sandboxed
def asks_uninvited() -> int:
    forge(question(b"echo\n[[1],{}]"))
    return 1


@sandboxed(host={"kill_time": kill_time})
def asks_and_goes() -> int:
    os.write(WIRE_FD, question(b"kill_time\n[[],{}]"))
    os._exit(0)


@sandboxed(timeout="1s", host={"slow": HostFunction(echo, calls_per_second=0.01)})
def waits_for_its_turn() -> int:
    host.slow(1)
    host.slow(2)
    return 1
