"""Functions that tests call in boxes: honest ones, and those of an attacker. The test copies this file into its project."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandboxer import HostFunction, HostRefusal, host, sandboxed


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


# ── an attacker's ─────────────────────────────────────────────────────────────────────────────────────────────────────

WIRE_FD = 60


def forge(data: bytes) -> None:
    os.write(WIRE_FD, data)
    os._exit(0)


@sandboxed
def garbage() -> int:
    forge(b"\x00\xff" * 5000)
    return 1


@sandboxed
def endless() -> int:
    while True:
        os.write(WIRE_FD, b"SBX1\x01" + b"\xff" * 8 + b"x" * 65536)


@sandboxed
def slow_drip() -> int:
    os.write(WIRE_FD, b"SBX1\x01" + (1 << 20).to_bytes(4, "little") + (0).to_bytes(4, "little") + b"[")
    os._exit(0)


@sandboxed
def forged_code() -> Any:
    text = b'{"$":["object","os:system",{"command":"touch /tmp/forged"}]}'
    forge(b"SBX1\x01" + len(text).to_bytes(4, "little") + (0).to_bytes(4, "little") + text)


@sandboxed
def two_answers() -> int:
    text = b"1"
    one = b"SBX1\x01" + len(text).to_bytes(4, "little") + (0).to_bytes(4, "little") + text
    forge(one + one)
    return 2


class Reduces:
    def __reduce__(self) -> Any:
        return os.system, ("touch /tmp/reduced",)


@sandboxed
def reduces() -> Any:
    return Reduces()


@sandboxed
def closes_everything() -> int:
    os.closerange(0, 1024)
    return 1


@sandboxed
def patches() -> int:
    import json
    import pickle

    json.dumps = pickle.dumps = lambda *a, **k: "1"  # type: ignore[assignment]
    sys.excepthook = lambda *a: None
    sys.stdout = None
    return 5


@sandboxed
def never_ending_thread() -> int:
    threading.Thread(target=time.sleep, args=(1000,)).start()
    return 7


@sandboxed
def grandchildren() -> int:
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            time.sleep(1000)
    return 8


@sandboxed(max_output_bytes=10_000, timeout="20s")
def shouts() -> int:
    while True:
        os.write(1, b"x" * 65536)


@sandboxed
def signals_the_parent() -> int:
    try:
        os.kill(os.getppid(), signal.SIGKILL)
    except OSError:
        return 1
    return 2


@sandboxed
def calls_out() -> str:
    try:
        socket.create_connection(("127.0.0.1", 9), timeout=1)
    except OSError as error:
        return type(error).__name__
    return "connected"


# ── several at once ───────────────────────────────────────────────────────────────────────────────────────────────────


@sandboxed
def after(seconds: float, value: int) -> int:
    time.sleep(seconds)
    return value


@sandboxed
def odd_is_wrong(value: int) -> int:
    if value % 2:
        raise ValueError(str(value))
    return value


# ── generators ────────────────────────────────────────────────────────────────────────────────────────────────────────


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


ITEM = b"SBX1\x03" + (1).to_bytes(4, "little") + (0).to_bytes(4, "little") + b"7"


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
    done = b"SBX1\x04" + (4).to_bytes(4, "little") + (0).to_bytes(4, "little") + b"null"
    forge(done + ITEM)


@sandboxed
def value_of_a_generator() -> Iterator[int]:
    yield 1
    forge(b"SBX1\x01" + (1).to_bytes(4, "little") + (0).to_bytes(4, "little") + b"7")


# ── host functions ────────────────────────────────────────────────────────────────────────────────────────────────────

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
def asks(name: str, *arguments: Any, **keywords: Any) -> Any:
    return getattr(host, name)(*arguments, **keywords)


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


def question(text: bytes) -> bytes:
    return b"SBX1\x05" + len(text).to_bytes(4, "little") + (0).to_bytes(4, "little") + text


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


# ── large contents ────────────────────────────────────────────────────────────────────────────────────────────────────


def scaled(values: Any, by: float) -> Any:
    return values * by


def changed(values: Any) -> tuple[float, bool]:
    values[0] = 7
    return float(values.sum()), bool(values.flags.writeable)


def ramps(sizes: list[int]) -> Iterator[Any]:
    import numpy

    for size in sizes:
        yield numpy.arange(size, dtype="f8")


def pass_on(function: Any, values: Any) -> Any:
    return getattr(host, function)(values)


def memory(size: int = 100_000, seals: int = 15) -> int:
    """Memory that is as it should be, or nearly."""
    import fcntl

    made = os.memfd_create("x", os.MFD_ALLOW_SEALING)
    os.write(made, b"x" * size)
    fcntl.fcntl(made, fcntl.F_ADD_SEALS, seals)
    return made


def send_passed(descriptors: list[int], sizes: list[int], *, rest: bytes = b"") -> None:
    """A frame whose segments are said to be passed, with descriptors of all kinds."""
    text = json.dumps([{"$": ["bytes", number]} for number in range(len(sizes))]).encode()
    head = b"SBX1\x01" + len(text).to_bytes(4, "little") + len(sizes).to_bytes(4, "little")
    head += b"".join((size | 1 << 63).to_bytes(8, "little") for size in sizes)
    with socket.socket(fileno=os.dup(WIRE_FD)) as wire:
        socket.send_fds(wire, [head + text + rest], descriptors)
    os._exit(0)


@sandboxed
def passes(kind: str) -> list[bytes]:
    size = 100_000
    holes = os.memfd_create("x", os.MFD_ALLOW_SEALING)
    os.truncate(holes, size)
    match kind:
        case "as it should be":
            send_passed([memory()] * 2, [size] * 2)
        case "a directory":
            send_passed([os.open("/", os.O_RDONLY)], [size])
        case "a device":
            send_passed([os.open("/dev/zero", os.O_RDONLY)], [size])
        case "a socket":
            send_passed([socket.socketpair()[0].detach()], [size])
        case "unsealed":
            send_passed([memory(seals=0)], [size])
        case "can be written":
            send_passed([memory(seals=1 | 2 | 4)], [size])
        case "too short":
            send_passed([memory(size - 1)], [size])
        case "too long":
            send_passed([memory(size + 1)], [size])
        case "empty":
            send_passed([memory(0)], [0])
        case "holes":
            import fcntl

            fcntl.fcntl(holes, fcntl.F_ADD_SEALS, 15)
            send_passed([holes], [size])
        case "too many":
            send_passed([memory()] * 250, [size] * 250)
        case "more than announced":
            send_passed([memory()] * 2, [size])
        case "unannounced":
            send_passed([memory()] * 200, [])
        case "fewer than announced":
            send_passed([memory()], [size] * 2)
        case "too large":
            send_passed([memory()], [1 << 40])
    return []


def speaks_later(times: int) -> int:
    """A thread of it goes on when the call is over, and says something, with descriptors."""

    def speak() -> None:
        time.sleep(0.05)
        with socket.socket(fileno=os.dup(WIRE_FD)) as wire:
            socket.send_fds(wire, [ITEM * times], [memory() for _ in range(5)])

    threading.Thread(target=speak, daemon=True).start()
    return times
