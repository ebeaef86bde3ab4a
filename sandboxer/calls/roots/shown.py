"""What a plan shows of the host, and whether that is still there.

A box that waits, and a root that is kept, hold on to files. Whoever replaces a directory of the host leaves them with the old
one; whoever removes one takes away what was mounted on it, in every mount namespace, and with it what kept a box from writing
there.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable

from sandboxer.calls.roots.parting import is_below
from sandboxer.compile.encode import decode_ops
from sandboxer.model.op import OpenTree

Identity = tuple[int, int] | None
"""Device and inode; None: no file that we can see."""


class Shown:
    """The host trees of a plan, as they are now.

    Those that lie on another one are held by descriptors, until it is closed or nobody has it any more: what was mounted on them
    holds nothing once they are removed, and the next directory might get the same inode.
    """

    def __init__(self, plan: bytes) -> None:
        """plan: encoded."""
        self._sources = tuple(op.path for op in decode_ops(plan)["inside"] if isinstance(op, OpenTree))
        self._covering = tuple(path for path in self._sources if any(is_below(path, other) for other in self._sources))
        pins: list[int] = []
        self.close = weakref.finalize(self, _close, pins)
        self._mounts = _read_mounts(self._sources)
        self._identities: dict[str, Identity] = {path: _identify(path) for path in self._sources}
        for path in self._covering:
            self._identities[path] = _pin(path, pins)

    def is_whole(self) -> bool:
        """Whether those that lie on another one are the same files still. It takes a few microseconds for each."""
        return self._are_same(self._covering)

    def is_current(self) -> bool:
        """Whether all of them are the same files, with the same mounts on them."""
        return self._are_same(self._sources) and self._mounts == _read_mounts(self._sources)

    def _are_same(self, paths: Iterable[str]) -> bool:
        return all(self._identities[path] == _identify(path) for path in paths)


def _identify(file: str | int) -> Identity:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _pin(path: str, pins: list[int]) -> Identity:
    """Hold a file, and say which it is. One that cannot be held is none that we know."""
    try:
        pins.append(os.open(path, os.O_PATH | os.O_CLOEXEC))
    except OSError:
        return None
    return _identify(pins[-1])


def _close(pins: list[int]) -> None:
    while pins:
        os.close(pins.pop())


def _read_mounts(paths: Iterable[str]) -> list[bytes]:
    """The lines of /proc/self/mountinfo of what is mounted on these paths and below; none where it cannot be read. proc(5)"""
    points = tuple(_escape(path.rstrip("/")) + b"/" for path in paths)
    try:
        with open("/proc/self/mountinfo", "rb") as file:
            lines = file.readlines()
    except OSError:
        return []
    return [line for line in lines if (line.split(b" ", 5)[4] + b"/").startswith(points)]


def _escape(path: str) -> bytes:
    """A path as the kernel writes it there."""
    return b"".join(b"\\%03o" % byte if byte in b" \t\n\\" else bytes([byte]) for byte in os.fsencode(path))
