"""Functions for tests of images and pools: what a call finds of those before it. The test copies this file into its project."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

calls = 0
DIRECTORIES = ("/tmp", "/var/tmp", "/dev/shm", "/home/sandbox")


def count() -> int:
    """How often it was called in this interpreter."""
    global calls
    calls += 1
    return calls


def pid_of_wait(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def value_after(seconds: float, value: int) -> int:
    time.sleep(seconds)
    return value


def reads(path: str) -> str:
    """What is in a file; empty where it is not there, or hidden."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def where_it_is() -> str:
    return os.getcwd()


def numbers() -> list[Any]:
    """Random ones, from everywhere."""
    found: list[Any] = [random.random(), os.urandom(8), hash("text")]
    if "numpy" in sys.modules:
        found.append(float(sys.modules["numpy"].random.rand()))
    if "ssl" in sys.modules:
        found.append(sys.modules["ssl"].RAND_bytes(8))
    return found


def works() -> list[Any]:
    """Threads, children, signals, memory, depth, input and output."""
    seen: list[int] = []
    thread = threading.Thread(target=seen.append, args=(1,))
    thread.start()
    thread.join()
    said = subprocess.run(["/bin/echo", "said"], capture_output=True, text=True, check=True).stdout
    signal.signal(signal.SIGUSR1, lambda number, _frame: seen.append(number))
    os.kill(os.getpid(), signal.SIGUSR1)
    size = len(bytearray(50_000_000))
    sys.setrecursionlimit(6000)
    return [seen, said, size, _depth(5000), sys.stdin.read(), Path("/proc/self/comm").read_text()]


def _depth(left: int) -> int:
    return 0 if not left else 1 + _depth(left - 1)


def says(text: str) -> int:
    print(text)
    print(text, file=sys.stderr)
    return len(text)


def fails() -> None:
    raise ValueError("it failed")


def dies(status: int) -> None:
    os._exit(status)


def is_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def eats(size: int) -> int:
    held = mmap.mmap(-1, size)
    for at in range(0, size, 4096):
        held[at] = 1
    return size


# ── an attacker's ─────────────────────────────────────────────────────────────────────────────────────────────────────


def spoils_the_image() -> list[str]:
    """Everything that could change the file from which others start."""
    tried: list[Callable[[], object]] = [
        lambda: os.write(os.open("/proc/self/exe", os.O_RDWR), b"x"),
        lambda: os.truncate("/proc/self/exe", 0),
        lambda: os.chmod("/proc/self/exe", 0),
        lambda: os.ftruncate(os.open("/proc/self/exe", os.O_RDONLY), 0),
        lambda: fcntl.fcntl(os.open("/proc/self/exe", os.O_RDONLY), fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL),
        lambda: mmap.mmap(os.open("/proc/self/exe", os.O_RDONLY), 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE),
    ]
    refused = []
    for attempt in tried:
        try:
            attempt()
            refused.append("")
        except OSError as error:
            refused.append(type(error).__name__)
    return refused


def leaves() -> list[str]:
    """Leave something everywhere where the next one could find it; what could be left."""
    left = []
    for directory in DIRECTORIES:
        with contextlib.suppress(OSError):
            Path(directory, "left").write_text("secret")
            left.append(directory)
    os.environ["LEFT"] = "secret"
    os.umask(0o000)
    os.chdir("/")
    sys.modules["left"] = sys
    import builtins

    builtins.left = "secret"  # type: ignore[attr-defined]
    random.random = lambda: 0.5
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    socket.socket(socket.AF_UNIX).bind("\0left-by-a-call")
    held = os.open(__file__, os.O_RDONLY)
    with contextlib.suppress(OSError):
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        left.append("flock")
    if os.fork() == 0:
        os.setsid()
        time.sleep(1000)
    for name in ("key", "message", "segment"):
        with contextlib.suppress(Exception):
            _leave_ipc(name)
            left.append(name)
    return left


def _leave_ipc(name: str) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    calls: dict[str, Callable[[], int]] = {
        "key": lambda: libc.syscall(248, b"user", b"left", b"secret", 6, -4),
        "message": lambda: libc.msgget(4711, 0o1666),
        "segment": lambda: libc.shmget(4711, 4096, 0o1666),
    }
    if calls[name]() < 0:
        raise OSError(ctypes.get_errno(), name)


def finds() -> list[str]:
    """What there is of that."""
    import builtins
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    found = [directory for directory in DIRECTORIES if Path(directory, "left").exists()]
    found += ["environment"] if "LEFT" in os.environ else []
    found += ["umask"] if os.umask(0o022) != 0o022 else []
    found += ["directory"] if os.getcwd() == "/" else []
    found += ["module"] if "left" in sys.modules else []
    found += ["builtin"] if hasattr(builtins, "left") else []
    found += ["patch"] if random.random() == random.random() else []
    found += ["signal"] if signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN else []
    with contextlib.suppress(OSError):
        socket.socket(socket.AF_UNIX).connect("\0left-by-a-call")
        found.append("socket")
    try:
        fcntl.flock(os.open(__file__, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        found.append("flock")
    found += ["process"] if len([name for name in os.listdir("/proc") if name.isdigit()]) > 2 else []
    found += ["message"] if libc.msgget(4711, 0) >= 0 else []
    found += ["segment"] if libc.shmget(4711, 0, 0) >= 0 else []
    found += ["key"] if libc.syscall(249, b"user", b"left", None, 0) >= 0 else []
    return found


SECRET = b"a secret that only one call knows"


def keeps_a_secret(seconds: float, secret: str) -> int:
    """Hold it in memory for a while."""
    held = bytearray(secret.encode() * 100)
    time.sleep(seconds)
    return len(held)


def looks_around(wanted: str) -> list[str]:
    """Look for text in the memory of every process that there is, for processes to signal, and for files of theirs."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            Path("/proc", name, "mem").open("rb").close()
            found.append(f"memory of {name}")
        with contextlib.suppress(OSError):
            os.kill(int(name), 0)
            found += [] if int(name) == 1 else [f"signal to {name}"]
    for directory in DIRECTORIES:
        with contextlib.suppress(OSError):
            found += [str(path) for path in Path(directory).rglob("*") if wanted.encode() in path.read_bytes()]
    return found


def searches_itself(parts: list[str]) -> int:
    """How often text is in our own memory, in pages that can be read."""
    pattern = "".join(parts).encode()
    found = 0
    with open("/proc/self/mem", "rb") as memory:
        for line in Path("/proc/self/maps").read_text().splitlines():
            begin, _, end = line.split()[0].partition("-")
            if line.split()[1].startswith("r") and "[v" not in line:
                with contextlib.suppress(OSError):
                    memory.seek(int(begin, 16))
                    found += memory.read(int(end, 16) - int(begin, 16)).count(pattern)
    return found


def descriptors() -> list[str]:
    """What is open."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            found.append(os.readlink(f"/proc/self/fd/{name}").partition(":")[0])
    return sorted(found)


def environment() -> dict[str, str]:
    return dict(os.environ)
