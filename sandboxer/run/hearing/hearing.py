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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sandboxer.kernel.audit.mark import Mark, make_mark
from sandboxer.kernel.audit.records import Access, CallMade, DomainGone, DomainMade, Record
from sandboxer.launcher.spawn import Launch
from sandboxer.run.hearing.listening import Listening, UnheardError, open_listening
from sandboxer.run.hearing.refused import RefusedLedger
from sandboxer.run.turns import Turns

DOMAINS_WAITING = 64
ACCESSES_WAITING = 16


@dataclass(slots=True)
class Hearing:
    """The log, and what of it is ours. first: the domain of the mark ahead of the start."""

    listening: Listening
    first: int
    pid: int = 0
    ledger: RefusedLedger[Access] = field(default_factory=RefusedLedger)
    _domains: dict[int, int | None] = field(default_factory=dict)
    _waiting: dict[int, list[Access]] = field(default_factory=dict)
    _last: Mark | None = None

    @property
    def losses(self) -> list[str]:
        """What may be missing, in sentences; when it is finished."""
        return self.listening.losses

    def enter(self, turns: Turns, pid: int, _launch: Launch) -> None:
        """Hear in these turns of the domains that this process has entered."""
        self.pid = pid
        self.listening.enter(turns, self._take)

    def leave(self, turns: Turns) -> None:
        """The box has ended; what is still to be read comes with `finish`."""
        self.listening.leave(turns)

    def finish(self) -> None:
        """Read all that the log has about the box; when it has ended. What was not told is in `losses` then."""
        if self.pid:
            try:
                self._last = make_mark()
            except OSError:
                self.losses.append("how much of it came cannot be told, for the mark behind it failed")
            # Until the mark is here, and the end of each of our domains: the kernel frees them when it comes to that.
            self.listening.drain(self._take, lambda: bool(self._last) or None in self._domains.values())
            self.listening.count_losses(has_end=not self._last)
            self._count_missing()
        self.pid = 0

    def _count_missing(self) -> None:
        """What the kernel counted, and did not tell."""
        if None in self._domains.values():
            self.losses.append("the kernel did not tell how often it refused in all")
            return
        missing = sum(count or 0 for count in self._domains.values()) - self.ledger.count
        if missing > 0:
            self.ledger.others += missing
            self.losses.append(f"of {missing} refusals only the number is known")

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


@contextmanager
def open_hearing() -> Iterator[Hearing]:
    """The log from now on, when a mark has shown that records come. Raises: UnheardError."""
    with open_listening() as listening:
        try:
            mark = make_mark()
        except OSError as error:
            raise UnheardError(f"a trial of Landlock failed ({error.strerror})") from error
        yield Hearing(listening, _find_mark(listening, mark))


def _find_mark(listening: Listening, mark: Mark) -> int:
    """The domain of a mark. Raises: UnheardError where the log does not tell of it, or counts processes otherwise than we."""
    found: list[DomainMade] = []
    domain = 0

    def is_end(record: Record) -> bool:
        nonlocal domain
        match record:
            case Access() if (record.address, record.port) == (mark.address, mark.port):
                domain = record.domain
            case DomainMade() if record.domain == domain:
                found.append(record)
        return bool(found)

    if not listening.find(is_end):
        raise UnheardError(
            "auditing is off, its rules keep the records of Landlock back, or it reports to another network namespace than ours"
        )
    if found[0].pid != os.getpid():
        raise UnheardError("the kernel's audit log names processes by the numbers of another pid namespace")
    return domain
