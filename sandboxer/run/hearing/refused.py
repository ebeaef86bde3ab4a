"""What Landlock refused while a box ran, in bounded memory: each thing that was wanted with its count; the rest is counted."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandboxer.kernel.audit.records import Access, CallMade

THINGS_KEPT = 16
RIGHTS_KEPT = 64


@dataclass(slots=True)
class Refused:
    """One thing that was wanted, and how often. access: the first time. is_rest: it stands for all further things of its rights.

    pid and name are those of the first process, where the log told them; the name is what it calls itself.
    """

    access: Access
    is_rest: bool = False
    count: int = 1
    pid: int = 0
    name: bytes = b""


@dataclass(slots=True)
class RefusedLedger:
    """All that was told, in the order in which each came first. others: how many refusals are in none of the rows."""

    others: int = 0
    _kept: dict[tuple[object, ...], Refused] = field(default_factory=dict)
    _things: dict[tuple[str, ...], int] = field(default_factory=dict)
    _unnamed: dict[int, list[Refused]] = field(default_factory=dict)

    @property
    def rows(self) -> tuple[Refused, ...]:
        """What is kept."""
        return tuple(self._kept.values())

    @property
    def count(self) -> int:
        """How many refusals were told in all."""
        return self.others + sum(row.count for row in self._kept.values())

    def add(self, access: Access) -> None:
        """Count a refusal."""
        rights = access.blockers
        # The rules know ports and no addresses. A process to be signalled is what it calls itself: numbers there are many.
        key = (rights, access.path, access.command, access.port, access.process)
        known = self._kept.get(key)
        if known:
            known.count += 1
            return
        things = self._things.get(rights, 0)
        if not things and len(self._things) >= RIGHTS_KEPT:
            self.others += 1
            return
        self._things[rights] = things + (things < THINGS_KEPT)
        rest = self._kept.get((rights,)) if things >= THINGS_KEPT else None
        if rest:
            rest.count += 1
            return
        row = Refused(access, is_rest=things >= THINGS_KEPT)
        self._kept[(rights,) if row.is_rest else key] = row
        self._unnamed.setdefault(access.serial, []).append(row)

    def name(self, call: CallMade) -> None:
        """Keep who made a call, where that is the event in which a row came first."""
        for row in self._unnamed.pop(call.serial, ()):
            row.pid, row.name = call.pid, call.name
