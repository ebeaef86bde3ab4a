"""What Landlock or a label refused while a box ran, in bounded memory: each thing that was wanted, with its count."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from sandboxer.kernel.audit.records import CallMade

THINGS_KEPT = 16
KINDS_KEPT = 64


class Told(Protocol):
    """A record of a refusal. serial: of its event. kind: what was refused; thing: what that was wanted for."""

    @property
    def serial(self) -> int: ...
    @property
    def kind(self) -> tuple[str, ...]: ...
    @property
    def thing(self) -> tuple[object, ...]: ...


T = TypeVar("T", bound=Told)


@dataclass(slots=True)
class Refused(Generic[T]):
    """One thing that was wanted, and how often. access: the first time. is_rest: it stands for all further things of its kind.

    pid and name are those of the first process, where the log told them; the name is what it calls itself.
    """

    access: T
    is_rest: bool = False
    count: int = 1
    pid: int = 0
    name: bytes = b""


@dataclass(slots=True)
class RefusedLedger(Generic[T]):
    """All that was told, in the order in which each came first. others: how many refusals are in none of the rows."""

    others: int = 0
    _kept: dict[tuple[object, ...], Refused[T]] = field(default_factory=dict)
    _things: dict[tuple[str, ...], int] = field(default_factory=dict)
    _unnamed: dict[int, list[Refused[T]]] = field(default_factory=dict)

    @property
    def rows(self) -> tuple[Refused[T], ...]:
        """What is kept."""
        return tuple(self._kept.values())

    @property
    def count(self) -> int:
        """How many refusals were told in all."""
        return self.others + sum(row.count for row in self._kept.values())

    def add(self, access: T) -> None:
        """Count a refusal."""
        kind = access.kind
        key = (kind, *access.thing)
        known = self._kept.get(key)
        if known:
            known.count += 1
            return
        things = self._things.get(kind, 0)
        if not things and len(self._things) >= KINDS_KEPT:
            self.others += 1
            return
        self._things[kind] = things + (things < THINGS_KEPT)
        rest = self._kept.get((kind,)) if things >= THINGS_KEPT else None
        if rest:
            rest.count += 1
            return
        row = Refused(access, is_rest=things >= THINGS_KEPT)
        self._kept[(kind,) if row.is_rest else key] = row
        self._unnamed.setdefault(access.serial, []).append(row)

    def name(self, call: CallMade) -> None:
        """Keep who made a call, where that is the event in which a row came first."""
        for row in self._unnamed.pop(call.serial, ()):
            row.pid, row.name = call.pid, call.name
