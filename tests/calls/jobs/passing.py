"""Functions with large contents, which go by descriptors: honest ones, and an attacker's."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

from boxed_jobs.forging import ITEM, WIRE_FD

from sandboxer import host, sandboxed


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
