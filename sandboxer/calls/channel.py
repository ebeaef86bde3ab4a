"""The box's end of the wire: blocks from the caller, frames to it. It runs in the box and imports the standard library only."""

from __future__ import annotations

import os
import pickle
from _thread import allocate_lock
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sandboxer.calls.wire.block import ANSWER, HEAD, LAST, NEXT, REFUSAL
from sandboxer.calls.wire.frame import LARGE_BYTES, MAX_PASSED, Frame, pack_frame
from sandboxer.kernel.buffers.sealed import make_sealed, map_copy

if TYPE_CHECKING:
    from sandboxer.calls.wire.encode import Encoded

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
        self._has_last = False
        self._most_passed_bytes = 0

    def take(self, kind: int) -> tuple[Any, list[Any]]:
        """What the next block says, which must be of this kind, and its buffers.

        Raises: Gone, also where the last one has come; ValueError for another kind.
        """
        while True:
            if self._has_last:
                raise Gone
            found, said, buffers = self._read_block()
            if found == kind:
                return said, buffers
            self._has_last = found == LAST
            if found not in (LAST, NEXT):  # NEXT may come late, to a generator that had ended
                raise ValueError(f"a block of kind {found} came, and {kind} was expected")

    def begin(self, *, window: tuple[int, int] | None, most_passed_bytes: int) -> None:
        """A call begins. window: how many items, and of how many bytes, the caller takes in advance.

        most_passed_bytes: how much of a frame may go by descriptors.
        """
        self._room = list(window or (0, 0))
        self._most_passed_bytes = most_passed_bytes
        self._is_over = False

    def end(self, kind: int, sent: Encoded) -> None:
        """Send what ends the call. Nothing is said after it, whatever threads of the function still run."""
        with self._lock:
            self._is_over = True
            self._send(kind, sent.text, sent.segments)

    def ask(self, kind: int, text: bytes, segments: list[Any]) -> tuple[int, Any]:
        """Send a question and wait for what the caller says to it: the kind of the block, and what it says.

        Raises: Gone; RuntimeError after the end of the call.
        """
        with self._lock:
            if self._is_over:
                raise RuntimeError("the call is over")
            self._send(kind, text, segments)
            while True:
                found, said, _ = self._read_block()
                if found in (ANSWER, REFUSAL):
                    return found, said
                self._hear(found, said)

    def give(self, kind: int, sent: Encoded) -> None:
        """Send an item, for which there is room."""
        with self._lock:
            self._send(kind, sent.text, sent.segments)
            self._room[0] -= 1
            self._room[1] -= Frame(kind, sent.text, sent.segments).content_bytes

    @property
    def has_room(self) -> bool:
        """One more item may be sent."""
        return self._room[0] > 0 and self._room[1] > 0

    def wait_for_room(self) -> None:
        """Until the caller has taken some. Raises: Gone."""
        with self._lock:
            while not self.has_room:
                found, said, _ = self._read_block()
                self._hear(found, said)

    def _hear(self, kind: int, said: Any) -> None:
        if kind == LAST:
            self._has_last = True
            return
        if kind != NEXT:
            raise ValueError(f"a block of kind {kind} came, and nobody had asked")
        self._room[0] += said[0]
        self._room[1] += said[1]

    def _send(self, kind: int, text: bytes, segments: list[Any]) -> None:
        passed = self._make_passed(segments)
        try:
            buffers = pack_frame(kind, text, segments, passed)
            for buffer in buffers if segments else [b"".join(buffers)]:
                left = memoryview(buffer).cast("B")
                if passed:  # the head
                    left = left[self._pass(left, list(passed.values())) :]
                    self._close(passed)
                while left:
                    left = left[os.write(self._fd, left) :]
        finally:
            self._close(passed)

    def _make_passed(self, segments: list[Any]) -> dict[int, int]:
        """Descriptors of the segments that are passed, by their numbers."""
        passed: dict[int, int] = {}
        left = self._most_passed_bytes
        for number, segment in enumerate(segments) if left else ():
            size = memoryview(segment).nbytes
            if LARGE_BYTES <= size <= left and len(passed) < MAX_PASSED:
                try:
                    passed[number] = make_sealed(segment)
                except OSError:  # too large a file, no descriptor left: it goes over the wire
                    break
                left -= size
        return passed

    @staticmethod
    def _close(passed: dict[int, int]) -> None:
        while passed:
            os.close(passed.popitem()[1])

    def _pass(self, data: memoryview, descriptors: list[int]) -> int:
        from sandboxer.kernel.buffers.passing import send

        with self._socket() as wire:
            return send(wire, data, descriptors)

    def _read_block(self) -> tuple[int, Any, list[Any]]:
        kind, count, size = HEAD.unpack(self._read(HEAD.size))
        first, descriptors = self._receive(size) if count else (b"", [])
        if len(descriptors) != count:
            raise OSError(f"{count} buffers were sent, and {len(descriptors)} came: too many descriptors are open")
        said = pickle.loads(self._read(size, first))
        return kind, said, list(map(_map_and_close, descriptors))

    def _receive(self, size: int) -> tuple[bytes, list[int]]:
        """The first bytes of a block, and its descriptors."""
        from sandboxer.kernel.buffers.passing import receive

        with self._socket() as wire:
            data, descriptors, _ = receive(wire, size)
        return data, descriptors

    @contextmanager
    def _socket(self) -> Iterator[Any]:
        from socket import AF_UNIX, SOCK_STREAM, socket

        wire = socket(AF_UNIX, SOCK_STREAM, 0, self._fd)
        try:
            yield wire
        finally:
            wire.detach()

    def _read(self, size: int, first: bytes = b"") -> bytearray:
        """So many bytes, of which the first are here already. The caller is believed: there is memory for all of them at once."""
        data = bytearray(size)
        data[: len(first)] = first
        left = memoryview(data)[len(first) :]
        while left:
            count = os.readv(self._fd, [left])
            if not count:
                raise Gone
            left = left[count:]
        return data


def _map_and_close(descriptor: int) -> Any:
    try:
        return map_copy(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)
