"""Reads the audit log while a box runs, and keeps what is about the box's own Landlock domains.

A record names a domain by a number, which no other domain ever gets and which grows with each domain, and a domain's first record
names the process that entered it. So a domain is ours if it was entered by the process that sent the listener of the run, whose
pid the kernel vouches for, and if its number is above that of a mark that we made ahead of the start: an older process that had
the pid before, and a domain that outlived it, has a smaller one. Domains that the job makes for itself are not recorded at all,
because the last of ours says so. That a number of a process is given twice between our mark and the launcher's clone, or
between the end of the command and that of the box, would take a turn through all pids within that moment.

A second mark, made when the box has ended, comes behind all of its records: no time has to be waited for them.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sandboxer.kernel.audit.log import AuditLog, Status, read_status
from sandboxer.kernel.audit.mark import Mark, make_mark
from sandboxer.kernel.audit.records import Access, CallMade, DomainGone, DomainMade, Record
from sandboxer.run.hearing.refused import RefusedLedger
from sandboxer.run.turns import Turns

MARK_LIMIT_S = 2.0
"""How long the log may be silent before the records of a mark. It needs a moment; the limit is for rules that keep them back."""
DRAIN_LIMIT_S = 30.0
"""How long the rest of the log is read in all, which others may be writing too."""
TURN = 64
DOMAINS_WAITING = 64
ACCESSES_WAITING = 16


class UnheardError(Exception):
    """What Landlock refuses cannot be heard; the text says why."""


@dataclass(slots=True)
class Hearing:
    """The log, and what of it is ours. first: the domain of the mark ahead of the start. before: the kernel's state then."""

    log: AuditLog
    first: int
    before: Status | None = None
    pid: int = 0
    ledger: RefusedLedger = field(default_factory=RefusedLedger)
    losses: list[str] = field(default_factory=list)
    _domains: dict[int, int | None] = field(default_factory=dict)
    _waiting: dict[int, list[Access]] = field(default_factory=dict)
    _last: Mark | None = None

    def enter(self, turns: Turns, pid: int) -> None:
        """Hear in these turns of the domains that this process has entered."""
        self.pid = pid
        turns.add(self.log.descriptor, select.POLLIN, self._serve)

    def leave(self, turns: Turns) -> None:
        """The box has ended; what is still to be read comes with `finish`."""
        turns.drop(self.log.descriptor)

    def finish(self) -> None:
        """Read all that the log has about the box; when it has ended. What was not told is in `losses` then."""
        if self.pid:
            try:
                self._last = make_mark()
            except OSError:
                self.losses.append("how much of it came cannot be told, for the mark behind it failed")
            self._drain()
            self._count_losses()
        self.pid = 0

    def _drain(self) -> None:
        """Until the mark is here, and the end of each of our domains: the kernel frees them when it comes to that."""
        poll = select.poll()
        poll.register(self.log.descriptor, select.POLLIN)
        end = time.monotonic() + DRAIN_LIMIT_S
        while self._read() or self._last or None in self._domains.values():
            if time.monotonic() > end or not poll.poll(MARK_LIMIT_S * 1000):
                break

    def _count_losses(self) -> None:
        if self._last:
            self.losses.append("the kernel did not come to its end of the log in time")
        if self.log.is_overrun:
            self.losses.append("records came faster than they were read")
        after = _find_status()
        if self.before and after:
            lost = after.lost - self.before.lost - (0 if after.has_daemon else self.log.received)
            if lost > 0:
                self.losses.append(f"the kernel lost {lost} records of this machine meanwhile, of whatever kind")
        if None in self._domains.values():
            self.losses.append("the kernel did not tell how often it refused in all")
            return
        missing = sum(count or 0 for count in self._domains.values()) - self.ledger.count
        if missing > 0:
            self.ledger.others += missing
            self.losses.append(f"of {missing} refusals only the number is known")

    def _serve(self, _events: int) -> None:
        """Some records, and then it is the others' turn."""
        self._read()

    def _read(self) -> bool:
        """Some records; whether there may be more."""
        for _ in range(TURN):
            is_there, record = self.log.receive()
            if not is_there:
                return False
            if record:
                self._take(record)
        return True

    def _take(self, record: Record) -> None:
        match record:
            case Access() if record.domain in self._domains:
                self.ledger.add(record)
            case Access() if self._last and (record.address, record.port) == (self._last.address, self._last.port):
                self._last = None
            case Access() if record.domain > self.first:
                self._keep_waiting(record)
            case DomainMade() if record.domain > self.first and record.domain not in self._domains:
                waiting = self._waiting.pop(record.domain, ())
                if record.pid == self.pid:
                    self._domains[record.domain] = None
                    for access in waiting:
                        self.ledger.add(access)
            case DomainGone() if record.domain in self._domains:
                self._domains[record.domain] = record.denials
            case CallMade():
                self.ledger.name(record)

    def _keep_waiting(self, access: Access) -> None:
        """A domain's first refusal comes ahead of the record that tells whose it is."""
        waiting = self._waiting.setdefault(access.domain, [])
        if len(waiting) < ACCESSES_WAITING:
            waiting.append(access)
        if len(self._waiting) > DOMAINS_WAITING:
            del self._waiting[next(iter(self._waiting))]


def _find_status() -> Status | None:
    try:
        return read_status()
    except OSError:  # we may read the log, and are not told its state
        return None


@contextmanager
def open_hearing() -> Iterator[Hearing]:
    """The log from now on, when a mark has shown that records come. Raises: UnheardError."""
    try:
        log = AuditLog()
    except PermissionError as error:
        raise UnheardError("only root of the first user namespace may read the kernel's audit log") from error
    except OSError as error:
        raise UnheardError(f"the kernel's audit log cannot be read ({error.strerror})") from error
    with log:
        before = _find_status()
        try:
            mark = make_mark()
        except OSError as error:
            raise UnheardError(f"a trial of Landlock failed ({error.strerror})") from error
        yield Hearing(log, _find_mark(log, mark), before)


def _find_mark(log: AuditLog, mark: Mark) -> int:
    """The domain of a mark. Raises: UnheardError where the log does not tell of it, or counts processes otherwise than we."""
    poll = select.poll()
    poll.register(log.descriptor, select.POLLIN)
    end = time.monotonic() + MARK_LIMIT_S
    domain = 0
    while (left_ms := int((end - time.monotonic()) * 1000)) > 0 and poll.poll(left_ms):
        _, record = log.receive()
        match record:
            case Access() if (record.address, record.port) == (mark.address, mark.port):
                domain = record.domain
            case DomainMade() if record.domain == domain:
                if record.pid != os.getpid():
                    raise UnheardError("the kernel's audit log names processes by the numbers of another pid namespace")
                return domain
    raise UnheardError(
        "auditing is off, its rules keep the records of Landlock back, or it reports to another network namespace than ours"
    )
