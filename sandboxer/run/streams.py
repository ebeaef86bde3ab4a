"""The standard streams of a box whose caller wants them as bytes: pipes, fed and drained while the box runs."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from sandboxer.launcher.unforked import keep, release
from sandboxer.run.turns import Turns

CHUNK_BYTES = 1 << 16
Sink = Callable[[int, bytes], None]
"""Takes what the command wrote to 1 or 2, as it comes."""
MAX_OUTPUT_BYTES = 64 << 20
"""How much of each output is kept where the caller says nothing: a job chooses what it fills the caller's memory with."""


@dataclass(slots=True)
class Streams:
    """Our ends of the pipes. `theirs` are the command's 0, 1 and 2; `close_theirs` lets go of them once it has started.

    is_captured: the outputs are kept, max_output_bytes of each. excess: the name of the first one that was longer; empty if both
    are whole. sink: takes the outputs, and none is kept.
    """

    input: bytes | None
    is_captured: bool = False
    sink: Sink | None = None
    max_output_bytes: int = 0
    excess: str = ""
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
        release(self)

    def forget(self) -> None:
        """Let go of them in the child of a fork, which has only inherited them."""
        self.close()

    def open_input(self) -> int:
        """A pipe as the command's standard input; our end of it, which is the caller's to close."""
        theirs, ours = os.pipe()
        self._opened.append(theirs)
        self.theirs = (theirs, *self.theirs[1:])
        return ours

    def enter(self, turns: Turns, end: Callable[[], None]) -> None:
        """Feed the input and drain both outputs in these turns, until the command has closed them.

        end: is called once when an output is too long; the rest is thrown away until everybody who could write it has ended.
        """
        for descriptor in self._read_fds:
            turns.add(descriptor, select.POLLIN, partial(self._drain, descriptor, turns, end))
        if self._write_fd >= 0:
            os.set_blocking(self._write_fd, False)
            self._left = memoryview(self.input or b"")
            turns.add(self._write_fd, select.POLLOUT, partial(self._feed, turns))

    @property
    def outputs(self) -> tuple[bytes | None, bytes | None]:
        """What came out so far, as far as it is kept; None for streams that are the caller's."""
        return (bytes(self._outputs[0]), bytes(self._outputs[1])) if self.is_captured and not self.sink else (None, None)

    def take_outputs(self) -> tuple[bytes | None, bytes | None]:
        """What came out since the last time, which is not kept any longer."""
        taken = self.outputs
        for kept in self._outputs:
            kept.clear()
        return taken

    def _drain(self, descriptor: int, turns: Turns, end: Callable[[], None], _events: int) -> None:
        data = os.read(descriptor, CHUNK_BYTES)
        if data and self.sink:
            self.sink(1 if self._read_fds[descriptor] is self._outputs[0] else 2, data)
            return
        if data:
            kept = self._read_fds[descriptor]
            room = self.max_output_bytes - len(kept)
            kept += data[:room]
            if len(data) > room and not self.excess:
                self.excess = "standard output" if kept is self._outputs[0] else "standard error"
                end()
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
def open_streams(stdin: bytes | None, max_output_bytes: int | None, sink: Sink | None = None) -> Iterator[Streams]:
    """Pipes for what is wanted: standard input if there is one to give, both outputs unless they are the caller's (None)."""
    streams = Streams(stdin, max_output_bytes is not None, sink, max_output_bytes or 0)
    theirs = [0, 1, 2]
    keep(streams)
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
