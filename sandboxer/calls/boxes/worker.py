"""A box with an interpreter that takes calls: made ahead of a call or for it, used for one call or for several of one caller.

Whatever it starts from, it is an ordinary box under the whole plan of its profile; only its command differs.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandboxer.calls.bundle import BOOT
from sandboxer.compile.cache import Entry
from sandboxer.compile.seal import SealError
from sandboxer.errors import HostError, Problem, ProfileError
from sandboxer.kernel.buffers.passing import close_aside
from sandboxer.kernel.explain import explain
from sandboxer.launcher.spawn import Launch
from sandboxer.launcher.unforked import unforked
from sandboxer.model.result import Reason, Result, Timings, Usage
from sandboxer.run.about import read_about
from sandboxer.run.live.running import finish
from sandboxer.run.request import Command, Request, RequestError, make_command
from sandboxer.run.start import find_or_prepare
from sandboxer.run.streams import Streams, open_streams
from sandboxer.run.turns import Turns
from sandboxer.run.warm import launch_entry

if TYPE_CHECKING:
    from sandboxer.calls.boxes.image import Image
    from sandboxer.calls.call import Wire


@dataclass(frozen=True, slots=True)
class Ground:
    """What boxes of one request start from, as of now: the plan, and the command that starts an interpreter."""

    request: Request
    entry: Entry
    command: Command

    def is_like(self, other: Ground) -> bool:
        """Whether the same would be started from both."""
        mine, theirs = self.command, other.command
        same = (mine.argv, mine.candidates, mine.environment) == (theirs.argv, theirs.candidates, theirs.environment)
        return same and self.entry.plan == other.entry.plan and self.entry.kept == other.entry.kept


def find_ground(request: Request) -> Ground:
    """Compile the request, or find it compiled. Raises: ProfileError, HostError."""
    entry = find_or_prepare(request)
    argv = [os.path.realpath(sys.executable), "-I", "-S", "-B", "-c", BOOT]
    try:
        return Ground(request, entry, make_command(argv, entry, dict(os.environb), request.values))
    except RequestError as error:
        raise ProfileError(Problem(str(error), attempt=error.attempt)) from error


class Worker:
    """One such box, from its start on. It is closed by whoever runs its last call, or kills it.

    is_ready: it takes a call at once; else it must be told first what an interpreter needs. image: what it came from.
    uses: calls that were begun in it.
    """

    def __init__(self, ground: Ground, max_output_bytes: int, *, image: Image | None = None, output_fd: int = -1) -> None:
        """Start it. image: to go on from. output_fd: what it has as standard output in place of a pipe of ours.

        Its clocks stand still until a call begins. Raises: ProfileError, HostError.
        """
        self.ground = ground
        self.image = image
        self.is_ready = image is not None
        self.uses = 0
        self._open = ExitStack()
        self.command = ground.command
        self._entry = image.root.entry if image and image.root else ground.entry
        passed = []
        if image:
            passed = [image.fd, image.root.fd] if image.root else [image.fd]
            found = (b"/proc/self/fd/%d" % image.fd,)
            self.command = Command(ground.command.argv, candidates=found, environment=ground.command.environment)
        try:
            with unforked():
                self.streams: Streams = self._open.enter_context(open_streams(None, max_output_bytes))
                self.socket, theirs = socket.socketpair()
                self._open.enter_context(self.socket)
                with theirs:
                    outer = self.streams.theirs
                    stdio = (theirs.fileno(), output_fd if output_fd >= 0 else outer[1], outer[2])
                    self.launch: Launch = launch_entry(self._entry, self.command, stdio=stdio, passed=passed)
                self.streams.close_theirs()
            self.launch.pause()
        except BaseException as error:
            self._open.close()
            raise _start_error(error) from error

    def has_ended(self) -> bool:
        """Whether the box is gone already, or has said something that nobody asked for: it is not to be used any more."""
        signs = select.poll()
        for descriptor in (self.launch.result_fd, self.socket.fileno()):
            signs.register(descriptor, select.POLLIN)
        return bool(signs.poll(0))

    def begin(self, wire: Wire) -> None:
        """Let the clocks run, and send at once what can be: there is work to do meanwhile."""
        self.uses += 1
        self.launch.begin()
        wire.begin()

    def run_last(self, wire: Wire) -> Result:
        """Hold a conversation that was begun, and that ends with the box. An interrupt kills it."""
        try:
            return finish(self.launch, self.streams, self._entry, self.command, watch=wire)
        finally:
            self._close(wire)

    def run(self, wire: Wire, is_over: Callable[[], bool]) -> Result | None:
        """Hold a conversation that was begun until it is over, and leave the box as it is for the next one.

        None: the box ended instead, or has to; `run_last` with the same wire tells how. An interrupt kills it.
        """
        begun = time.monotonic()
        has_ended = False

        def end(_events: int) -> None:
            nonlocal has_ended
            has_ended = True
            turns.drop(self.launch.result_fd)

        with closing(Turns()) as turns:
            try:
                self.streams.enter(turns, self.launch.cancel)
                wire.enter(turns, self.launch)
                turns.add(self.launch.result_fd, select.POLLIN, end)
                turns.run(until=lambda: has_ended or is_over())
                turns.settle()
            except BaseException:
                self.kill()
                raise
        self.launch.pause()
        if has_ended or self.streams.excess or not is_over():
            return None
        stdout, stderr = self.streams.take_outputs()
        return self._result(time.monotonic() - begun, stdout, stderr)

    def kill(self) -> None:
        """End it and wait until nothing of it is left."""
        self.launch.cancel()
        self.launch.wait()
        self._close()

    def forget(self) -> None:
        """Let go of it in a process that has only inherited it: it is not ours."""
        self._open.close()
        self.launch.forget()

    def _close(self, wire: Wire | None = None) -> None:
        """Close all, once the box has ended. What it has sent and nobody heard may be descriptors, whose close may last."""
        left = wire.take_leftovers() if wire else []
        is_drained = wire.is_drained if wire else not self.uses
        close_aside(left if is_drained else [*left, self.socket.detach()])
        self._open.close()

    def _result(self, seconds: float, stdout: bytes | None, stderr: bytes | None) -> Result:
        """Of a call after which the box goes on: what it used is not known apart from other calls, but for the time."""
        about = read_about(self.ground.entry.about)
        return Result(
            profile=about.profile,
            argv=self.command.argv,
            reason=Reason.EXITED,
            exit_code=0,
            signal=None,
            core_dumped=False,
            usage=Usage(wall_us=round(seconds * 1e6)),
            timings=Timings(),
            report=about.report,
            digest=about.digest,
            stdout=stdout,
            stderr=stderr,
        )


def _start_error(error: BaseException) -> BaseException:
    if isinstance(error, SealError):
        return ProfileError(Problem(str(error)))
    if isinstance(error, OSError):
        return HostError(explain("launch", error.errno or 0).problem())
    return error
