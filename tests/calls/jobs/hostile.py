"""An attacker's functions: what he answers, what he breaks, and what he leaves behind."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from typing import Any

from boxed_jobs.forging import WIRE_FD, forge, frame

from sandboxer import sandboxed


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
    forge(frame(1, b'{"$":["object","os:system",{"command":"touch /tmp/forged"}]}'))


@sandboxed
def two_answers() -> int:
    forge(frame(1, b"1") * 2)
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
