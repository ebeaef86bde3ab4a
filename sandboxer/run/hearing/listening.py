"""The audit log from a start to an end, for whoever knows which of its records are a box's: in turns, and what of it was lost."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sandboxer.kernel.audit.log import AuditLog, Status, find_refusal, read_status
from sandboxer.kernel.audit.records import Record
from sandboxer.kernel.prctl import read_capability_sets
from sandboxer.run.turns import Turns

MARK_LIMIT_S = 2.0
"""How long the log may be silent before the records of a mark. It needs a moment; the limit is for rules that keep them back."""
DRAIN_LIMIT_S = 30.0
"""How long the rest of the log is read in all, which others may be writing too."""
TURN = 64


class UnheardError(Exception):
    """What a wall refuses cannot be heard; the text says why."""


@dataclass(slots=True)
class Listening:
    """The log, and what is missing of it, in sentences. before: the kernel's state at the start."""

    log: AuditLog
    before: Status | None = None
    losses: list[str] = field(default_factory=list)

    def enter(self, turns: Turns, take: Callable[[Record], None]) -> None:
        """Give each record to `take`, in these turns."""
        turns.add(self.log.descriptor, select.POLLIN, lambda _events: self._serve(take))

    def leave(self, turns: Turns) -> None:
        """No more turns."""
        turns.drop(self.log.descriptor)

    def drain(self, take: Callable[[Record], None], is_waiting: Callable[[], bool]) -> None:
        """Give all that there is to `take`, and what still comes as long as something is waited for."""
        poll = select.poll()
        poll.register(self.log.descriptor, select.POLLIN)
        end = time.monotonic() + DRAIN_LIMIT_S
        while self._read(take) or is_waiting():
            if time.monotonic() > end or not poll.poll(MARK_LIMIT_S * 1000):
                break

    def count_losses(self, *, has_end: bool) -> None:
        """What was not told. has_end: the mark came that was made when the box had ended."""
        if not has_end:
            self.losses.append("the kernel did not come to its end of the log in time")
        if self.log.is_overrun:
            self.losses.append("records came faster than they were read")
        after = find_status()
        if self.before and after:
            lost = after.lost - self.before.lost - (0 if after.has_daemon else self.log.received)
            if lost > 0:
                self.losses.append(f"the kernel lost {lost} records of this machine meanwhile, of whatever kind")

    def find(self, is_it: Callable[[Record], bool]) -> bool:
        """Whether such a record comes within the limit."""
        poll = select.poll()
        poll.register(self.log.descriptor, select.POLLIN)
        end = time.monotonic() + MARK_LIMIT_S
        while (left_ms := int((end - time.monotonic()) * 1000)) > 0 and poll.poll(left_ms):
            _, record = self.log.receive()
            if record and is_it(record):
                return True
        return False

    def _serve(self, take: Callable[[Record], None]) -> None:
        """Some records, and then it is the others' turn."""
        self._read(take)

    def _read(self, take: Callable[[Record], None]) -> bool:
        """Some records; whether there may be more."""
        for _ in range(TURN):
            is_there, record = self.log.receive()
            if not is_there:
                return False
            if record:
                take(record)
        return True


def find_status() -> Status | None:
    """The kernel's state; None where we may read the log, and are not told that."""
    try:
        return read_status()
    except OSError:
        return None


@contextmanager
def open_listening() -> Iterator[Listening]:
    """The log from now on. Raises: UnheardError."""
    try:
        log = AuditLog()
    except PermissionError as error:
        refusal = find_refusal(read_capability_sets().effective)
        raise UnheardError(refusal or "only root of the first user namespace may read the kernel's audit log") from error
    except OSError as error:
        raise UnheardError(f"the kernel's audit log cannot be read ({error.strerror})") from error
    with log:
        yield Listening(log, find_status())
