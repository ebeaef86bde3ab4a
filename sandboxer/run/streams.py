"""The standard streams of a box whose caller wants them as bytes: pipes, fed and drained while the box runs."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from sandboxer.run.turns import Turns

CHUNK_BYTES = 1 << 16


@dataclass(slots=True)
class Streams:
    """Our ends of the pipes. `theirs` are the command's 0, 1 and 2; `close_theirs` lets go of them once it has started."""

    input: bytes | None
    theirs: tuple[int, int, int] = (0, 1, 2)
    _opened: list[int] = field(default_factory=list)
    _write_fd: int = -1
    _read_fds: dict[int, bytearray] = field(default_factory=dict)
    _left: memoryview = field(default_factory=lambda: memoryview(b""))
    _outputs: tuple[bytearray, bytearray] = field(default_factory=lambda: (bytearray(), bytearray()))

    def close_theirs(self) -> None:
        """Close the command's ends on our side, so that its end is the end of the stream."""
        while self._opened:
            os.close(self._opened.pop())

    def close(self) -> None:
        """Close everything that is still open."""
        self.close_theirs()
        for descriptor in (self._write_fd, *self._read_fds):
            if descriptor >= 0:
                os.close(descriptor)
        self._write_fd = -1
        self._read_fds.clear()

    def enter(self, turns: Turns) -> None:
        """Feed the input and drain both outputs in these turns, until the command has closed them."""
        for descriptor in self._read_fds:
            turns.add(descriptor, select.POLLIN, partial(self._drain, descriptor, turns))
        if self._write_fd >= 0:
            os.set_blocking(self._write_fd, False)
            self._left = memoryview(self.input or b"")
            turns.add(self._write_fd, select.POLLOUT, partial(self._feed, turns))

    @property
    def outputs(self) -> tuple[bytes, bytes]:
        """What came out so far."""
        return bytes(self._outputs[0]), bytes(self._outputs[1])

    def _drain(self, descriptor: int, turns: Turns, _events: int) -> None:
        data = os.read(descriptor, CHUNK_BYTES)
        if data:
            self._read_fds[descriptor] += data
            return
        turns.drop(descriptor)
        os.close(descriptor)
        del self._read_fds[descriptor]

    def _feed(self, turns: Turns, _events: int) -> None:
        try:
            self._left = self._left[os.write(self._write_fd, self._left) :] if self._left else self._left
        except BrokenPipeError:
            self._left = self._left[:0]  # the command does not want the rest
        except BlockingIOError:
            return
        if not self._left:
            turns.drop(self._write_fd)
            os.close(self._write_fd)
            self._write_fd = -1


@contextmanager
def open_streams(stdin: bytes | None, *, is_captured: bool) -> Iterator[Streams]:
    """Pipes for what is wanted: standard input if there is one to give, both outputs if they are to be captured."""
    streams = Streams(stdin)
    theirs = [0, 1, 2]
    try:
        if stdin is not None:
            theirs[0], streams._write_fd = os.pipe()
            streams._opened.append(theirs[0])
        for number in (1, 2) if is_captured else ():
            read_fd, theirs[number] = os.pipe()
            streams._opened.append(theirs[number])
            streams._read_fds[read_fd] = streams._outputs[number - 1]
        streams.theirs = (theirs[0], theirs[1], theirs[2])
        yield streams
    finally:
        streams.close()
