"""What was refused while a box ran, in bounded memory: every refusal is counted, and of each kind some are kept as they came.

A job can make any number of refused calls with any arguments. Of one call so many different uses are kept, and so many different
calls; what comes beyond is counted in what is there already. Counts are exact, whatever the job does.
"""

from __future__ import annotations

from dataclasses import dataclass, field

USES_KEPT = 16
CALLS_KEPT = 128


@dataclass(frozen=True, slots=True)
class Use:
    """A call and its arguments: as numbers, and as text where somebody looked at them. `arch` is an AUDIT_ARCH_*."""

    arch: int
    number: int
    arguments: tuple[int, ...]
    texts: tuple[str, ...]


@dataclass(slots=True)
class Refusal:
    """One use that was refused, and how often. is_rest: it stands for all further uses of its call, and has the first one's.

    verdict: the policy's answer, a SECCOMP_RET_*. pid and name are those of the first caller; the name is what it calls itself.
    """

    use: Use
    verdict: int
    pid: int
    name: bytes
    is_rest: bool = False
    count: int = 1


@dataclass(slots=True)
class Ledger:
    """All refusals of a run, in the order in which each came first. others: how many refused calls are in none of them."""

    others: int = 0
    _kept: dict[tuple[object, ...], Refusal] = field(default_factory=dict)
    _uses: dict[tuple[int, int], int] = field(default_factory=dict)

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """What is kept."""
        return tuple(self._kept.values())

    @property
    def count(self) -> int:
        """How many calls were refused in all."""
        return self.others + sum(item.count for item in self._kept.values())

    def add(self, use: Use, verdict: int) -> Refusal | None:
        """Count a refusal. The new row, whose caller is not known yet, or None where it was one more of what is counted."""
        call = (use.arch, use.number)
        # What is read of memory can change with every call; the rest of the arguments is in the texts too.
        known = self._kept.get((call, use.texts))
        if known:
            known.count += 1
            return None
        uses = self._uses.get(call, 0)
        if not uses and len(self._uses) >= CALLS_KEPT:
            self.others += 1
            return None
        if uses >= USES_KEPT:
            return self._add_rest(call, use, verdict)
        self._uses[call] = uses + 1
        return self._keep((call, use.texts), Refusal(use, verdict, 0, b""))

    def _add_rest(self, call: tuple[int, int], use: Use, verdict: int) -> Refusal | None:
        rest = self._kept.get((call,))
        if rest:
            rest.count += 1
            return None
        return self._keep((call,), Refusal(use, verdict, 0, b"", is_rest=True))

    def _keep(self, key: tuple[object, ...], row: Refusal) -> Refusal:
        self._kept[key] = row
        return row
