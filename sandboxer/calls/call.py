"""One call: a fresh interpreter in a box of its own, the arguments on their way in, and the answer on its way out.

The wire is a socket of its own, so nothing that the function prints can be taken for its answer.
"""

from __future__ import annotations

import os
import select
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sandboxer.calls.bundle import BOOT
from sandboxer.calls.child import MAIN
from sandboxer.calls.errors import ExecutionError, death, remote_error
from sandboxer.calls.request import Packed, pack_call, pack_ready
from sandboxer.calls.wire.caps import Caps, SerializationError
from sandboxer.calls.wire.declared import check, find_classes, hints_of
from sandboxer.calls.wire.decode import decode
from sandboxer.calls.wire.frame import VALUE, FrameReader
from sandboxer.errors import SandboxerError
from sandboxer.launcher.spawn import Launch
from sandboxer.model.result import Reason, Result
from sandboxer.run.request import Request
from sandboxer.run.start import run_wired
from sandboxer.run.turns import Turns

R = TypeVar("R")
CHUNK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Call(Generic[R]):
    """What a call came to. error: None where there is a value. result: of the box, why it ended, what it used and printed."""

    value: R | None
    error: SandboxerError | None
    result: Result

    def unwrap(self) -> R:
        """The value. Raises: the error."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # None is a value like any other


class Wire:
    """Our end: the request is fed and the answer taken while the box runs. A hostile answer ends the box.

    stop_fd: readable when somebody wants the end of it.
    """

    def __init__(self, ours: socket.socket, request: bytes, caps: Caps, stop_fd: int = -1) -> None:
        self._ours = ours
        self._stop_fd = stop_fd
        self._left = memoryview(request)
        self.reader = FrameReader(caps)
        self.error: SerializationError | None = None

    def enter(self, turns: Turns, launch: Launch) -> None:
        """Take turns with the streams, and listen until the box has ended to whoever wants that."""
        self._ours.setblocking(False)
        if self._stop_fd >= 0:
            turns.add(self._stop_fd, select.POLLIN, lambda _: self._end(turns, launch))
            turns.add(launch.result_fd, select.POLLIN, lambda _: self._let_go(turns, launch))
        turns.add(self._ours.fileno(), select.POLLIN | select.POLLOUT, lambda events: self._serve(turns, launch, events))

    def correct(self, record: dict[str, int]) -> dict[str, int]:
        """The monitor's record as it is."""
        return record

    def _end(self, turns: Turns, launch: Launch) -> None:
        turns.drop(self._stop_fd)
        launch.cancel()

    def _let_go(self, turns: Turns, launch: Launch) -> None:
        turns.drop(self._stop_fd)
        turns.drop(launch.result_fd)

    def _serve(self, turns: Turns, launch: Launch, events: int) -> None:
        if events & select.POLLOUT and self._left:
            self._send(turns, launch)
        if events & (select.POLLIN | select.POLLHUP | select.POLLERR):
            self._take(turns, launch)

    def _send(self, turns: Turns, launch: Launch) -> None:
        try:
            self._left = self._left[self._ours.send(self._left[: 1 << 20]) :]
        except (BrokenPipeError, ConnectionResetError):
            self._left = self._left[:0]  # nobody is there any more; why, the record says
        except BlockingIOError:
            return
        if not self._left:
            turns.drop(self._ours.fileno())
            turns.add(self._ours.fileno(), select.POLLIN, lambda events: self._serve(turns, launch, events))

    def _take(self, turns: Turns, launch: Launch) -> None:
        try:
            data = self._ours.recv(CHUNK_BYTES)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data:
            turns.drop(self._ours.fileno())
            return
        try:
            if self.error is None:
                self.reader.feed(data)
        except SerializationError as error:
            self.error = error
            launch.cancel()


def make_call(
    function: Callable[..., R],
    arguments: tuple[Any, ...],
    keywords: dict[str, Any],
    *,
    request: Request,
    caps: Caps,
    max_output_bytes: int,
    stop_fd: int = -1,
) -> Call[R]:
    """Call a function in a box and wait. stop_fd: as in `Wire`.

    Raises: ProfileError, HostError, SerializationError, all of them ahead of the start.
    """
    packed = pack_call(function, arguments, keywords)
    wire, result = run_fresh(packed, request=request, caps=caps, max_output_bytes=max_output_bytes, stop_fd=stop_fd)
    try:
        return Call(read_answer(wire, function, caps, result), None, result)
    except (ExecutionError, SerializationError) as error:
        return Call(None, error, result)


def run_fresh(packed: Packed, *, request: Request, caps: Caps, max_output_bytes: int, stop_fd: int = -1) -> tuple[Wire, Result]:
    """Run a packed call in a fresh interpreter in a box of its own. Raises: ProfileError, HostError."""
    argv = [os.path.realpath(sys.executable), "-I", "-S", "-c", BOOT]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wire = Wire(ours, pack_ready(by_value=packed.by_value) + packed.data, caps, stop_fd)
        result = run_wired(request, argv, wire, theirs, max_output_bytes=max_output_bytes)
    return wire, result


def read_answer(wire: Wire, function: Callable[..., R], caps: Caps, result: Result) -> R:
    """The value that came. Raises: SerializationError for what is none, ExecutionError for what came instead of one."""
    if wire.error is not None:
        raise wire.error
    if result.reason in (Reason.SETUP_FAILED, Reason.NOT_FOUND, Reason.NOT_EXECUTABLE):
        raise ExecutionError(result.detail, result)
    reader = wire.reader
    if result.reason is not Reason.EXITED or not reader.is_whole:
        raise death(result)
    if reader.kind != VALUE:
        raise remote_error(decode(reader.text, reader.segments, caps=caps), result)
    annotation = hints_of(function).get("return", Any)
    classes = find_classes(annotation)
    classes |= {f"{MAIN}{name.removeprefix('__main__')}": one for name, one in classes.items() if name.startswith("__main__:")}
    value: R = decode(reader.text, reader.segments, classes, caps)
    check(value, annotation)
    return value
