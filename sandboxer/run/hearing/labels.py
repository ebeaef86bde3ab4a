"""Reads the audit log while a box runs, and keeps what the label of its command refused.

A record names the label and the process. A context of SELinux with two categories that no other box has speaks for itself. Two
boxes of equal policies share an AppArmor profile; without categories, or with some by name, they share a context. There the
process has to be one of the box too: a descendant of the launcher, which lives as long as the box does. A process may have ended
before anybody looked. Then the record of its system call, which comes behind it where auditing is on, names its parent; else the
label alone speaks for it, and that is told.

A mark, a refusal of our own that nobody can guess, shows ahead of the start that records come, and behind it that all of them
came. Both security modules write them whether or not auditing is on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic

from sandboxer.kernel.audit.avc import ContextRefusal, ProfileRefusal
from sandboxer.kernel.audit.kin import Kin
from sandboxer.kernel.audit.records import CallMade, Record
from sandboxer.launcher.spawn import Launch
from sandboxer.run.hearing.listening import Listening, UnheardError, open_listening
from sandboxer.run.hearing.refused import RefusedLedger
from sandboxer.run.hearing.whose import Label, T
from sandboxer.run.turns import Turns

EVENTS_WAITING = 64


@dataclass(slots=True)
class LabelHearing(Generic[T]):
    """The log, and what of it is ours. unsure: how many of the refusals may be those of an equal box."""

    listening: Listening
    label: Label[T]
    ledger: RefusedLedger[T] = field(default_factory=RefusedLedger)
    unsure: int = 0
    _kin: Kin | None = None
    _waiting: dict[int, list[T]] = field(default_factory=dict)
    _last: bytes = b""

    @property
    def losses(self) -> list[str]:
        """What may be missing, or too much, in sentences; when it is finished."""
        return self.listening.losses

    def enter(self, turns: Turns, pid: int, launch: Launch) -> None:
        """Hear in these turns of the box of this launch. pid: of its command."""
        self.label = self.label.filled(launch.pair)
        self._kin = Kin(launch.pid)
        self._kin.holds(pid)  # and what is between the two, a pid 1 of the box
        self._kin.add(pid)
        self.listening.enter(turns, self._take)

    def leave(self, turns: Turns) -> None:
        """The box has ended; what is still to be read comes with `finish`."""
        self.listening.leave(turns)

    def finish(self) -> None:
        """Read all that the log has about the box; when it has ended."""
        if not self._kin:
            return
        self._last = self.label.leave_mark()
        self.listening.drain(self._take, lambda: bool(self._last))
        self.listening.count_losses(has_end=not self._last)
        for serial in tuple(self._waiting):
            self._settle(serial, is_sure=False)
        if self.unsure:
            by = f"{self.unsure} of them by a process" if self.unsure == 1 else f"{self.unsure} of them by processes"
            self.losses.append(f"{by} that had ended before we looked: another box under the same label would be told here too")
        self.losses.extend(self.label.doubts(row.access for row in self.ledger.rows))
        self._kin = None

    def _take(self, record: Record) -> None:
        found = self.label.find(record)
        if found:
            self._look(found)
        match record:
            case ProfileRefusal() | ContextRefusal() if self._last and record.path == self._last:
                self._last = b""
            case CallMade() if record.serial in self._waiting and self._kin:
                is_ours = self._kin.holds(record.parent)
                if is_ours:
                    self._kin.add(record.pid)
                if is_ours is False:
                    del self._waiting[record.serial]
                else:
                    self._settle(record.serial, is_sure=is_ours is True)

    def _look(self, record: T) -> None:
        """Keep what is ours, and what may be so until more is known of it."""
        is_ours = not self.label.is_shared or (self._kin.holds(record.pid) if self._kin else None)
        if is_ours:
            self._keep(record)
        elif is_ours is None:
            self._waiting.setdefault(record.serial, []).append(record)
            if len(self._waiting) > EVENTS_WAITING:
                self._settle(next(iter(self._waiting)), is_sure=False)

    def _settle(self, serial: int, *, is_sure: bool) -> None:
        for record in self._waiting.pop(serial):
            self.unsure += not is_sure
            self._keep(record)

    def _keep(self, record: T) -> None:
        self.ledger.add(record)
        self.ledger.name(CallMade(record.serial, record.pid, record.process))


@contextmanager
def open_label_hearing(label: Label[T]) -> Iterator[LabelHearing[T]]:
    """The log from now on, when a mark has shown that records come. Raises: UnheardError."""
    with open_listening() as listening:
        mark = label.leave_mark()
        found: list[ProfileRefusal | ContextRefusal] = []

        def is_mark(record: Record) -> bool:
            if isinstance(record, ProfileRefusal | ContextRefusal) and record.path == mark:
                found.append(record)
            return bool(found)

        if not listening.find(is_mark):
            raise UnheardError("the rules of the audit log keep records of labels back, or it is another network namespace's")
        if found[0].pid != os.getpid():
            raise UnheardError("the kernel's audit log names processes by the numbers of another pid namespace")
        yield LabelHearing(listening, label)
