"""The box's end of the wire: blocks from the caller, frames to it. It runs in the box and imports the standard library only."""

from __future__ import annotations

import os
import pickle
from _thread import allocate_lock
from collections.abc import Iterable
from typing import Any

from sandboxer.calls.wire.block import ANSWER, HEAD, NEXT, REFUSAL

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
    """One wire. Threads of the function may use it: one says or asks something at a time. It is not owned: whoever made the
    descriptor closes it.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = allocate_lock()
        self._room = [0, 0]
        self._is_over = True

    def take(self, kind: int) -> Any:
        """What the next block says, which must be of this kind. Raises: Gone; ValueError for another kind."""
        while True:
            found, said = self._read_block()
            if found == kind:
                return said
            if found != NEXT:  # which may come late, to a generator that had ended
                raise ValueError(f"a block of kind {found} came, and {kind} was expected")

    def begin(self, window: tuple[int, int] | None) -> None:
        """A call begins. window: how many items, and of how many bytes, the caller takes in advance."""
        self._room = list(window or (0, 0))
        self._is_over = False

    def end(self, buffers: Iterable[Any]) -> None:
        """Send what ends the call. Nothing is said after it, whatever threads of the function still run."""
        with self._lock:
            self._is_over = True
            self._send(buffers)

    def ask(self, buffers: Iterable[Any]) -> tuple[int, Any]:
        """Send a question and wait for what the caller says to it: the kind of the block, and what it says.

        Raises: Gone; RuntimeError after the end of the call.
        """
        with self._lock:
            if self._is_over:
                raise RuntimeError("the call is over")
            self._send(buffers)
            while True:
                kind, said = self._read_block()
                if kind in (ANSWER, REFUSAL):
                    return kind, said
                self._hear(kind, said)

    def give(self, buffers: Iterable[Any], content_bytes: int) -> None:
        """Send an item, for which there is room."""
        with self._lock:
            self._send(buffers)
            self._room[0] -= 1
            self._room[1] -= content_bytes

    @property
    def has_room(self) -> bool:
        """One more item may be sent."""
        return self._room[0] > 0 and self._room[1] > 0

    def wait_for_room(self) -> None:
        """Until the caller has taken some. Raises: Gone."""
        with self._lock:
            while not self.has_room:
                found, said = self._read_block()
                self._hear(found, said)

    def _send(self, buffers: Iterable[Any]) -> None:
        for buffer in buffers:
            left = memoryview(buffer).cast("B")
            while left:
                left = left[os.write(self._fd, left) :]

    def _hear(self, kind: int, said: Any) -> None:
        if kind != NEXT:
            raise ValueError(f"a block of kind {kind} came, and nobody had asked")
        self._room[0] += said[0]
        self._room[1] += said[1]

    def _read_block(self) -> tuple[int, Any]:
        kind, size = HEAD.unpack(self._read(HEAD.size))
        return kind, pickle.loads(self._read(size))

    def _read(self, size: int) -> bytearray:
        data = bytearray()
        while len(data) < size:
            piece = os.read(self._fd, min(size - len(data), 1 << 20))
            if not piece:
                raise Gone
            data += piece
        return data
