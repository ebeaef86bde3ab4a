"""The standard streams of a box whose caller wants them as bytes: pipes, fed and drained while the box runs."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

CHUNK_BYTES = 1 << 16
MAX_OUTPUT_BYTES = 64 << 20
"""How much of each output is kept where the caller says nothing: a job chooses what it fills the caller's memory with."""


@dataclass(slots=True)
class Streams:
    """Our ends of the pipes. `theirs` are the command's 0, 1 and 2; `close_theirs` lets go of them once it has started.

    max_output_bytes: for each of the outputs. excess: the name of the first one that was longer; empty if both are whole.
    """

    input: bytes | None
    max_output_bytes: int = 0
    excess: str = ""
    theirs: tuple[int, int, int] = (0, 1, 2)
    _opened: list[int] = field(default_factory=list)
    _write_fd: int = -1
    _read_fds: dict[int, bytearray] = field(default_factory=dict)
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

    def pump(self, end: Callable[[], None]) -> tuple[bytes | None, bytes | None]:
        """Feed the input and drain both outputs until the command has closed them. The outputs, as far as they are kept; or None.

        end: is called once when an output is too long; the rest is thrown away until everybody who could write it has ended.
        """
        left = memoryview(self.input or b"")
        is_captured = bool(self._read_fds)
        poll = select.poll()
        for descriptor in self._read_fds:
            poll.register(descriptor, select.POLLIN)
        if self._write_fd >= 0:
            os.set_blocking(self._write_fd, False)
            poll.register(self._write_fd, select.POLLOUT)
        while self._read_fds or self._write_fd >= 0:
            for descriptor, _ in poll.poll():
                if descriptor != self._write_fd:
                    self._drain(descriptor, poll, end)
                    continue
                left = self._feed(left)
                if not left:
                    poll.unregister(descriptor)
                    os.close(descriptor)
                    self._write_fd = -1
        return (bytes(self._outputs[0]), bytes(self._outputs[1])) if is_captured else (None, None)

    def _drain(self, descriptor: int, poll: select.poll, end: Callable[[], None]) -> None:
        data = os.read(descriptor, CHUNK_BYTES)
        if data:
            kept = self._read_fds[descriptor]
            room = self.max_output_bytes - len(kept)
            kept += data[:room]
            if len(data) > room and not self.excess:
                self.excess = "standard output" if kept is self._outputs[0] else "standard error"
                end()
            return
        poll.unregister(descriptor)
        os.close(descriptor)
        del self._read_fds[descriptor]

    def _feed(self, left: memoryview) -> memoryview:
        try:
            return left[os.write(self._write_fd, left) :] if left else left
        except BrokenPipeError:
            return left[:0]  # the command does not want the rest
        except BlockingIOError:
            return left


@contextmanager
def open_streams(stdin: bytes | None, max_output_bytes: int | None) -> Iterator[Streams]:
    """Pipes for what is wanted: standard input if there is one to give, both outputs unless they are the caller's (None)."""
    streams = Streams(stdin, max_output_bytes or 0)
    theirs = [0, 1, 2]
    try:
        if stdin is not None:
            theirs[0], streams._write_fd = os.pipe()
            streams._opened.append(theirs[0])
        for number in (1, 2) if max_output_bytes is not None else ():
            read_fd, theirs[number] = os.pipe()
            streams._opened.append(theirs[number])
            streams._read_fds[read_fd] = streams._outputs[number - 1]
        streams.theirs = (theirs[0], theirs[1], theirs[2])
        yield streams
    finally:
        streams.close()
