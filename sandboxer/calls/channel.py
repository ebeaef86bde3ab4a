"""The box's end of the wire: blocks from the caller, frames to it. It runs in the box and imports the standard library only."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterable
from typing import Any

from sandboxer.calls.wire.block import HEAD

WIRE_FD = 60
"""Where the wire is, once standard input is empty; out of the way of what the function opens."""


class Gone(Exception):
    """The caller has closed its end: there is nobody to answer."""


def take_wire() -> Channel:
    """The wire that came as standard input, which is empty from now on."""
    wire = os.dup2(0, WIRE_FD, inheritable=False)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return Channel(wire)


class Channel:
    """One wire. It is not owned: whoever made the descriptor closes it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def take(self, kind: int) -> Any:
        """What the next block says, which must be of this kind. Raises: Gone; ValueError for another kind."""
        found, size = HEAD.unpack(self._read(HEAD.size))
        if found != kind:
            raise ValueError(f"a block of kind {found} came, and {kind} was expected")
        return pickle.loads(self._read(size))

    def write(self, buffers: Iterable[Any]) -> None:
        """Send bytes-like objects, one after the other."""
        for buffer in buffers:
            left = memoryview(buffer).cast("B")
            while left:
                left = left[os.write(self._fd, left) :]

    def _read(self, size: int) -> bytearray:
        data = bytearray()
        while len(data) < size:
            piece = os.read(self._fd, min(size - len(data), 1 << 20))
            if not piece:
                raise Gone
            data += piece
        return data
