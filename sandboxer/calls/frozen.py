"""In the box: an interpreter that has loaded what it needs is written to a file, and goes on from there in other boxes.

It is the child of a fork that is written: threads of libraries have ended in it as they expect. Each process that goes on is to
them one more child of a fork. What a process cannot share with its like is renewed there.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable
from importlib.machinery import ExtensionFileLoader
from types import ModuleType
from typing import Any

from sandboxer.calls.channel import WIRE_FD, Channel, take_wire

IMAGE_FD = 61
"""Where the file is, which came as standard output."""
RESUMED = -1
REFUSALS = {
    "ENOTSUP": "it has memory that it shares with a device or a file",
    "E2BIG": "its memory is in too many pieces",
    "EFBIG": "its stack is too large",
    "ENOSYS": "this processor or this libc is not one that can be frozen",
    "ENOTUNIQ": "it has a shadow stack",
    "EINVAL": "the kernel does not tell where libc keeps the thread's id (CONFIG_CHECKPOINT_RESTORE)",
    "ENOTRECOVERABLE": "libc keeps the thread's id elsewhere than the kernel says",
    "ENOENT": "the box has no /proc, or the kernel tells no flags of memory (CONFIG_PROC_PAGE_MONITOR)",
}
MAX_REASON = 300
UNTOLD = {"threading", "logging", "concurrent.futures.thread"}
"""Whose functions make locks and threads anew in the child of a fork. Who goes on from the file has them as they were left."""


_KEPT: list[object] = []
"""What is not to be freed by who goes on: each page that is written is one to be copied."""


class Forks:
    """Who asked to be told of forks since this was made: `before`, and `after` in the child. os.register_at_fork()."""

    def __init__(self) -> None:
        self.before: list[Callable[[], object]] = []
        self.after: list[Callable[[], object]] = []
        self._register = os.register_at_fork
        os.register_at_fork = self._hear

    def end(self) -> None:
        """Hear of no more: what goes on from here finds the function that it knows."""
        os.register_at_fork = self._register

    def _hear(self, **asked: Any) -> None:
        self._register(**asked)
        if sys._getframe(1).f_globals.get("__name__") not in UNTOLD:
            if "before" in asked:
                self.before.insert(0, asked["before"])
            if "after_in_child" in asked:
                self.after.append(asked["after_in_child"])


def _tell(functions: Iterable[Callable[[], object]]) -> None:
    """As at a fork, an error of one is shown and does not keep the others from it."""
    for function in functions:
        try:
            function()
        except BaseException:
            with contextlib.suppress(Exception):
                traceback.print_exc()


def keep_output() -> None:
    """Keep the file, and let what is printed while modules load go to standard error."""
    os.dup2(1, IMAGE_FD, inheritable=False)
    os.dup2(2, 1)


def freeze(code: bytes, forks: Forks) -> str | Channel:
    """Write this interpreter to the file. Answers why that cannot be; empty: it is done.

    Each process that goes on from the file returns from here too, with its wire. code: the image module.
    """
    forks.end()
    refusal = _find_threads()
    if refusal:
        return refusal
    try:
        module = _load(code)
    except (OSError, ImportError) as error:
        return f"the box does not let the image module be loaded: {error}"
    _open_streams()
    heard, told = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(heard)
        os.close(WIRE_FD)
        reason = _find_open({0, 1, 2, IMAGE_FD, told}) or _write(module, forks)
        if not isinstance(reason, str):
            return reason
        os.write(told, reason.encode(errors="replace")[:MAX_REASON])
        os._exit(0)
    os.close(told)
    with open(heard, "rb") as told_file:
        reason = told_file.read().decode()
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        return f"it was ended by {signal.Signals(os.WTERMSIG(status)).name} while it was written"
    return reason


def _write(module: Any, forks: Forks) -> str | Channel:
    _KEPT.extend((module, forks))
    gc.collect()
    gc.freeze()  # so that no collection writes to what all who go on from here share
    _tell(forks.before)
    number = module.freeze(IMAGE_FD)
    if number == RESUMED:
        if forks.after:
            _tell(forks.after)
        channel = take_wire()
        _renew()
        return channel
    from errno import errorcode

    name = errorcode.get(number, str(number))
    return REFUSALS.get(name, f"{os.strerror(number)} ({name})") if number else ""


def _load(code: bytes) -> ModuleType:
    """The image module, which no directory of the box has."""
    fd = os.memfd_create("sandboxer-image-module")
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(code)
        loader = ExtensionFileLoader("_image", f"/proc/self/fd/{fd}")
        spec = importlib.util.spec_from_loader("_image", loader, origin=loader.path)
        assert spec is not None
        return importlib.util.module_from_spec(spec)
    finally:
        os.close(fd)


def _find_threads() -> str:
    """Threads would be gone, and what they hold with them. Those of native libraries end with the fork, as these arrange it."""
    threading = sys.modules.get("threading")
    others = [thread.name for thread in threading.enumerate()[1:]] if threading else []
    return f"the thread {others[0]} runs in it" if others else ""


def _find_open(known: set[int]) -> str:
    """What is open, other than these. The listing's own descriptor is closed by the time that it is looked at."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) in known:
            continue
        try:
            return f"descriptor {name} is open in it: {os.readlink(f'/proc/self/fd/{name}')}"
        except FileNotFoundError:
            continue
    return ""


def _open_streams() -> None:
    """Standard streams for who goes on from here: an empty input and two pipes, as there are here by now.

    Those that the interpreter began with are made for what it had then. What is still in them is written first, once.
    """
    for name, fd, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        old = getattr(sys, f"__{name}__")
        if mode == "w":
            getattr(sys, name).flush()
            old.flush()
        new = open(  # noqa: SIM115  # for the life of the process
            fd, mode, encoding=old.encoding, errors=old.errors, closefd=False, buffering=1 if old.line_buffering else -1
        )
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)


def _renew() -> None:
    """What must not be the same in any two processes: where random numbers come from.

    `random` and what is like it asked to be told, and has seeded itself. The secret of hashes is in every dictionary, and stays.
    """
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()
    if "_ssl" in sys.modules:
        sys.modules["_ssl"].RAND_add(os.urandom(32), 32.0)
