"""Sets of the values of one argument, and whether some value is in all of them. Exact, in plain Python.

Every test that a rule or a filter can make looks at `value & mask` and asks whether that is in a set of ranges. A `Region` is
what several such tests leave of the six arguments (and of the number and the architecture), and `narrowed` says whether anything
is left. Two tests under one mask are an intersection of ranges; tests under several masks are decided bit by bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

Ranges = tuple[tuple[int, int], ...]
"""Disjoint ranges, both ends included, sorted."""
Key = tuple[int, int]
"""What a test looks at: (index of the argument, mask). A number or an architecture has an index below zero."""

FULL = (1 << 64) - 1


def least_within(low: int, mask: int) -> int | None:
    """The least value that is at least `low` and has no bit outside of the mask."""
    foreign = low & ~mask
    if not foreign:
        return low
    at = foreign.bit_length()
    free = (mask & ~low) >> at << at  # bits above the first foreign one that could be added
    if not free:
        return None
    bit = free & -free
    return (low & ~(bit - 1)) | bit


def greatest_within(high: int, mask: int) -> int:
    """The greatest value that is at most `high` and has no bit outside of the mask."""
    foreign = high & ~mask
    if not foreign:
        return high
    top = 1 << (foreign.bit_length() - 1)
    return (high & ~(2 * top - 1)) | (mask & (top - 1))


def normal(ranges: Iterable[tuple[int, int]], mask: int) -> Ranges:
    """The ranges with ends that are values under the mask, disjoint and sorted, adjacent ones joined."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        first, last = least_within(max(low, 0), mask), greatest_within(min(high, mask), mask) if high >= 0 else -1
        if first is None or first > last:
            continue
        following = least_within(found[-1][1] + 1, mask) if found else None
        if found and (following is None or first <= following):
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return tuple(found)


def complement(ranges: Ranges, mask: int) -> Ranges:
    """Every other value under the mask."""
    found = []
    at = 0
    for low, high in ranges:
        if low > at:
            found.append((at, low - 1))
        at = high + 1
    if at <= mask:
        found.append((at, mask))
    return normal(found, mask)


def intersection(one: Ranges, other: Ranges) -> Ranges:
    """The values in both, where both are normal under one mask."""
    found = []
    i = j = 0
    while i < len(one) and j < len(other):
        low, high = max(one[i][0], other[j][0]), min(one[i][1], other[j][1])
        if low <= high:
            found.append((low, high))
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1
    return tuple(found)


def _first_value(choices: list[tuple[int, int, int]]) -> int | None:
    """A value that lies under each (mask, low, high) between low and high; None if there is none.

    A range of one value settles its bits. What is left is decided from the highest bit on: a bit decides for each choice whether
    the value still runs along its low and its high end.
    """
    fixed = settled = 0
    for mask, low, high in choices:
        if low == high:
            fixed, settled = fixed | mask, settled | low
    open_choices = []
    for mask, low, high in choices:
        if mask & ~fixed:
            open_choices.append((mask, low, high))
        elif not low <= settled & mask <= high:
            return None
    taken, lowest = fixed, settled
    for mask, low, _ in open_choices:
        if mask & taken:
            break
        taken, lowest = taken | mask, lowest | low
    else:
        return lowest  # no bit is in two of them
    masks = [mask for mask, _, _ in open_choices]
    top = max(masks).bit_length()
    dead: set[tuple[int, tuple[tuple[bool, bool], ...]]] = set()

    def find(at: int, edges: tuple[tuple[bool, bool], ...], value: int) -> int | None:
        if at < 0:
            return value
        if (at, edges) in dead:
            return None
        bit = 1 << at
        wanted_bits = (settled & bit,) if fixed & bit or not any(mask & bit for mask in masks) else (0, bit)
        for wanted in wanted_bits:
            following = []
            for (mask, low, high), (on_low, on_high) in zip(open_choices, edges, strict=True):
                seen = wanted & mask
                if (on_low and seen < low & bit) or (on_high and seen > high & bit):
                    break
                following.append((on_low and seen == low & bit, on_high and seen == high & bit))
            else:
                found = find(at - 1, tuple(following), value | wanted)
                if found is not None:
                    return found
        dead.add((at, edges))
        return None

    return find(top - 1, ((True, True),) * len(open_choices), settled)


def _together(masks: Iterable[int]) -> list[list[int]]:
    """The masks in groups; those of two groups have no bit in common."""
    groups: list[tuple[int, list[int]]] = []
    for mask in masks:
        joined, members = mask, [mask]
        for bits, others in groups:
            if bits & mask:
                joined, members = joined | bits, members + others
        groups = [(bits, others) for bits, others in groups if not bits & mask]
        groups.append((joined, members))
    return [members for _, members in groups]


def find_value(tests: Mapping[int, Ranges]) -> int | None:
    """A value that passes every test (mask -> ranges, normal under it), or None if there is none."""
    found = 0
    for masks in _together(tests):
        value = _value_under({mask: tests[mask] for mask in masks})
        if value is None:
            return None
        found |= value
    return found


def _value_under(tests: Mapping[int, Ranges]) -> int | None:
    if not all(tests.values()):
        return None
    if len(tests) == 1:
        return next(iter(tests.values()))[0][0]
    ordered = sorted(tests.items(), key=lambda item: len(item[1]))

    def choose(at: int, chosen: list[tuple[int, int, int]]) -> int | None:
        for low, high in ordered[at][1]:
            picked = [*chosen, (ordered[at][0], low, high)]
            value = _first_value(picked)
            if value is not None and at + 1 < len(ordered):
                value = choose(at + 1, picked)
            if value is not None:
                return value
        return None

    return choose(0, [])


class Region:
    """The calls that pass a set of tests; never empty. Immutable."""

    __slots__ = ("_tests",)

    def __init__(self, tests: Mapping[Key, Ranges] | None = None) -> None:
        self._tests: Mapping[Key, Ranges] = tests or {}

    def narrowed(self, index: int, mask: int, ranges: Ranges) -> Region | None:
        """What is left where `value & mask` is in the ranges too; None if nothing is."""
        known = self._tests.get((index, mask))
        left = ranges if known is None else intersection(known, ranges)
        if not left:
            return None
        if left == known:
            return self
        made = Region({**self._tests, (index, mask): left})
        masks = (other for at, other in made._tests if at == index)
        touching = next(group for group in _together(masks) if mask in group)
        if len(touching) > 1 and _value_under({other: made._tests[index, other] for other in touching}) is None:
            return None
        return made

    def ranges(self, index: int, mask: int) -> Ranges:
        """What is known of `value & mask`, by the tests under this very mask."""
        return self._tests.get((index, mask), ((0, mask),))

    def tests(self) -> tuple[tuple[int, int, Ranges], ...]:
        """The tests (index, mask, ranges) that all calls in it pass, and no others do."""
        return tuple((index, mask, ranges) for (index, mask), ranges in sorted(self._tests.items()))

    def witness(self, index: int) -> int:
        """A value of this argument that passes the tests on it."""
        found = find_value({mask: ranges for (at, mask), ranges in self._tests.items() if at == index})
        assert found is not None  # a region is never empty
        return found

    def point(self) -> tuple[int, ...]:
        """Six arguments that pass all tests."""
        return tuple(self.witness(index) for index in range(6))


def without(region: Region, tests: Iterable[tuple[int, int, Ranges]]) -> Iterator[Region]:
    """The parts of a region in which not all of the tests (index, mask, ranges) pass. Disjoint."""
    rest: Region | None = region
    for index, mask, ranges in tests:
        if rest is None:
            return
        outside = rest.narrowed(index, mask, complement(ranges, mask))
        if outside is not None:
            yield outside
        rest = rest.narrowed(index, mask, ranges)


def within(region: Region, tests: Iterable[tuple[int, int, Ranges]]) -> Region | None:
    """The part of a region in which all of the tests pass; None if there is none."""
    rest: Region | None = region
    for index, mask, ranges in tests:
        rest = rest.narrowed(index, mask, ranges) if rest is not None else None
    return rest
