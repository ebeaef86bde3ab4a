"""Hears of every system call that a box is refused, while it runs: answers each as the policy does, and keeps the books.

The answer comes from the number, the architecture and the raw arguments of the call, never from memory of the box, and no call is
ever let go on. So the verdict is the policy's with and without us; what is read besides is for people. If this process dies, the
kernel answers ENOSYS, and the launcher's monitor kills the box.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from sandboxer.abi import bpf
from sandboxer.abi.errnos import Errno
from sandboxer.kernel.listener.notices import Listener, Notice, make_watch, receive_listener
from sandboxer.kernel.listener.waiting import Waiting
from sandboxer.launcher.record import Outcome
from sandboxer.launcher.spawn import Launch
from sandboxer.run.ledger import Ledger, Refusal, Use
from sandboxer.run.turns import Turns

SIGKILL, SIGSYS = 9, 31


class Hears(Protocol):
    """Who hears of what else the box is refused, from its start to its end."""

    def enter(self, turns: Turns, pid: int, launch: Launch, /) -> None:
        """Hear in these turns of the box of this launch, whose command this process is."""

    def leave(self, turns: Turns) -> None:
        """The box has ended."""


class Witness(Protocol):
    """Who knows the policy, and how to read the arguments of a call."""

    def decide(self, arch: int, number: int, arguments: tuple[int, ...]) -> int:
        """The policy's answer, as SECCOMP_RET_* with its data. arch: an AUDIT_ARCH_*; foreign ones too."""

    def read(self, notice: Notice, waiting: Waiting) -> tuple[str, ...]:
        """The arguments as text: bounded, printable, whatever the memory of the box holds."""


@dataclass(slots=True)
class Watch:
    """The books of one run, and the descriptors through which they are filled.

    hearings: of what the filter does not refuse, where that can be heard. tell: hears of each use of a call that is refused for
    the first time, while the call still waits for its answer.
    """

    witness: Witness
    ours: socket.socket
    theirs: socket.socket
    hearings: tuple[Hears, ...] = ()
    ledger: Ledger = field(default_factory=Ledger)
    tell: Callable[[Refusal], None] | None = None
    command_pid: int = 0
    is_command_killed: bool = False
    _listener: Listener | None = None

    @property
    def launcher_fd(self) -> int:
        """The socket that the launcher sends the listener on."""
        return self.theirs.fileno()

    def enter(self, turns: Turns, launch: Launch) -> None:
        """Listen in these turns, until the launcher has the result of the run."""
        self.theirs.close()
        turns.add(self.ours.fileno(), select.POLLIN, partial(self._welcome, turns, launch))
        turns.add(launch.result_fd, select.POLLIN, partial(self._end, turns, launch))

    def serve(self, launch: Launch) -> None:
        """Listen until the launcher has the result, for who waits for nothing else."""
        turns = Turns()
        self.enter(turns, launch)
        turns.run()

    def close(self) -> None:
        """Let go of everything. A call that still waits is answered ENOSYS by the kernel."""
        self.ours.close()
        self.theirs.close()
        if self._listener:
            self._listener.close()

    def correct(self, record: dict[str, int]) -> dict[str, int]:
        """The record of a run whose command we ended in the filter's place: as it would have been, it was ended by SIGSYS."""
        is_ours = record["outcome"] == Outcome.SIGNALLED and record["signal"] == SIGKILL and self.is_command_killed
        return {**record, "signal": SIGSYS} if is_ours else record

    def _welcome(self, turns: Turns, launch: Launch, _events: int) -> None:
        """Take the listener when it comes; the socket is of no more use then, nor where it closes without one."""
        found = receive_listener(self.ours)
        turns.drop(self.ours.fileno())
        self.ours.close()
        if found:
            self._listener, self.command_pid = found
            turns.add(self._listener.descriptor, select.POLLIN, partial(self._hear, self._listener, turns, launch))
            for hearing in self.hearings:
                hearing.enter(turns, self.command_pid, launch)

    def _end(self, turns: Turns, launch: Launch, _events: int) -> None:
        """The box has ended, so nobody waits for an answer any more."""
        turns.drop(launch.result_fd)
        if self.ours.fileno() >= 0:
            turns.drop(self.ours.fileno())
        if self._listener:
            turns.drop(self._listener.descriptor)
            self._listener.close()  # it was opened in the box's Landlock domain, which does not end as long as it is open
        for hearing in self.hearings:
            hearing.leave(turns)

    def _hear(self, listener: Listener, turns: Turns, launch: Launch, events: int) -> None:
        """Answer one call. The kernel hangs up when the last process with the filter has ended."""
        if events & select.POLLHUP and not events & select.POLLIN:
            turns.drop(listener.descriptor)
        # POLLERR comes where a signal to us kept the kernel from looking: then the next turn tells.
        notice = listener.receive() if events & select.POLLIN else None
        if notice is None:
            return
        verdict = self.witness.decide(notice.arch, notice.number, notice.arguments)
        self._write_down(listener, notice, verdict)
        match verdict & bpf.RET_ACTION:
            case bpf.RET_ERRNO:
                answer = verdict & bpf.RET_DATA
            case bpf.RET_USER_NOTIF:
                answer = int(Errno.ENOSYS)  # `action: notify`: what the kernel says where nobody listens
            case bpf.RET_ALLOW | bpf.RET_LOG:
                answer = int(Errno.EPERM)  # the filter refused it, and no filter is wider than the rules
            case _:
                self._kill(listener, notice, launch)
                return
        listener.refuse(notice, answer)

    def _kill(self, listener: Listener, notice: Notice, launch: Launch) -> None:
        """End the process: its call never returns. What cannot be killed takes the box along."""
        try:
            self.is_command_killed |= listener.kill(notice) == self.command_pid
        except OSError:
            launch.cancel()

    def _write_down(self, listener: Listener, notice: Notice, verdict: int) -> None:
        with Waiting(listener, notice) as waiting:
            use = Use(notice.arch, notice.number, notice.arguments, self.witness.read(notice, waiting))
            row = self.ledger.add(use, verdict)
            if row:
                row.pid, row.name = notice.pid, waiting.find_name()
                if self.tell:
                    self.tell(row)


@contextmanager
def open_watch(witness: Witness, hearings: tuple[Hears, ...] = ()) -> Iterator[Watch]:
    """A watch for one run. Raises: OSError."""
    watch = Watch(witness, *make_watch(), hearings)
    try:
        yield watch
    finally:
        watch.close()
