"""Boolean algebra on the cases of a rule: and, or, not, kept as a union of conjunctions without impossible or doubled ones."""

from __future__ import annotations

from collections.abc import Iterable

from sandboxer.controls.seccomp import bits
from sandboxer.controls.seccomp.bits import Ranges
from sandboxer.controls.seccomp.rules import MAX_CASES, Argument, Case, Condition, is_possible

Cases = tuple[Case, ...]
NEVER: Cases = ()
EVERY: Cases = ((),)


class TooManyCases(ValueError):
    """A formula has more alternatives than a rule may have."""


def one_of(argument: Argument, mask: int, ranges: Iterable[tuple[int, int]]) -> Cases:
    """(argument & mask) is in the ranges."""
    wanted = bits.normal(ranges, mask)
    if not wanted:
        return NEVER
    if wanted == bits.normal(((0, mask),), mask):
        return EVERY
    return ((Condition(argument.name, mask, wanted),),)


def _joined(one: Case, other: Case) -> Case | None:
    ranges: dict[tuple[str, int], Ranges] = {}
    for condition in (*one, *other):
        key = (condition.argument, condition.mask)
        left = bits.intersection(ranges[key], condition.ranges) if key in ranges else condition.ranges
        if not left:
            return None
        ranges[key] = left
    return tuple(sorted(Condition(argument, mask, left) for (argument, mask), left in ranges.items()))


def _tidy(call: str, cases: Iterable[Case]) -> Cases:
    """Without the impossible, and without a case all conditions of which another one has too."""
    kept: list[Case] = []
    known: list[frozenset[Condition]] = []
    for case in sorted(set(cases), key=lambda case: (len(case), case)):
        conditions = frozenset(case)
        if any(wide <= conditions for wide in known) or (len(case) > 1 and not _is_possible(call, case)):
            continue
        if len(kept) == MAX_CASES:  # here, and not at the end: of thousands, all pairs would be compared
            raise TooManyCases(f"more than {MAX_CASES} alternatives; a rule may have {MAX_CASES}")
        kept.append(case)
        known.append(conditions)
    return _merged(kept)


def _is_possible(call: str, case: Case) -> bool:
    try:
        return is_possible(call, case)
    except bits.Exhausted as error:
        raise TooManyCases("more masks on one argument than can be looked at together") from error


def _merged(cases: list[Case]) -> Cases:
    """Cases that differ in the ranges of one condition only are one case."""
    single: dict[tuple[str, int], Ranges] = {}
    rest: list[Case] = []
    for case in cases:
        if len(case) != 1:
            rest.append(case)
            continue
        condition = case[0]
        key = (condition.argument, condition.mask)
        single[key] = bits.normal((*single.get(key, ()), *condition.ranges), condition.mask)
    alone: list[Case] = [(Condition(argument, mask, ranges),) for (argument, mask), ranges in single.items()]
    if any(case[0].ranges == bits.normal(((0, case[0].mask),), case[0].mask) for case in alone):
        return EVERY
    return tuple(sorted((*alone, *rest)))


def all_hold(call: str, *parts: Cases) -> Cases:
    """The conjunction. Raises TooManyCases."""
    found: Cases = EVERY
    for part in parts:
        if len(found) * len(part) > MAX_CASES * MAX_CASES:
            raise TooManyCases(f"more than {MAX_CASES} alternatives; a rule may have {MAX_CASES}")
        pairs = (_joined(one, other) for one in found for other in part)
        found = _tidy(call, (case for case in pairs if case is not None))
    return found


def some_hold(call: str, *parts: Cases) -> Cases:
    """The disjunction. Raises TooManyCases."""
    return _tidy(call, _merged([case for part in parts for case in part]))  # values of a list are one condition, however many


def none_holds(call: str, cases: Cases) -> Cases:
    """The negation. Raises TooManyCases."""
    found: Cases = EVERY
    for case in cases:
        opposite = [
            ((Condition(condition.argument, condition.mask, outside),),)
            for condition in case
            if (outside := bits.complement(condition.ranges, condition.mask))
        ]
        found = all_hold(call, found, some_hold(call, *opposite) if opposite else NEVER)
    return found
