"""Sets of the values of one argument, and whether some value is in all of them. Exact, in plain Python.

Every test that a rule or a filter can make looks at `value & mask` and asks whether that is in a set of ranges. A `Region` is
what several such tests leave of the six arguments (and of the number and the architecture), and `narrowed` says whether anything
is left. Two tests under one mask are an intersection of ranges; tests under several masks are decided bit by bit.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

Ranges = tuple[tuple[int, int], ...]
"""Disjoint ranges, both ends included, sorted."""

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


def _reached(ranges: Ranges, value: int) -> int:
    """The number of the first range that does not end before a value; that of all ranges if there is none."""
    at = bisect_left(ranges, (value + 1,))
    return at - 1 if at and ranges[at - 1][1] >= value else at


def touching(ranges: Ranges, low: int, high: int) -> Ranges:
    """Those of the ranges that have a value from low to high, as they are."""
    return ranges[_reached(ranges, low) : bisect_left(ranges, (high + 1,))]


def intersection(one: Ranges, other: Ranges) -> Ranges:
    """The values in both, where both are normal under one mask. Fast where one of them is short."""
    few, many = (one, other) if len(one) < len(other) else (other, one)
    found: list[tuple[int, int]] = []
    for low, high in few:
        both = touching(many, low, high)
        if both:
            first = len(found)
            found += both
            found[first] = (max(low, found[first][0]), found[first][1])
            found[-1] = (found[-1][0], min(high, found[-1][1]))
    return tuple(found)


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


class Exhausted(Exception):
    """A question would take more steps than it was given."""


class Effort:
    """The steps that a question may still take: a bound that is the same on every machine."""

    __slots__ = ("left",)

    def __init__(self, steps: int = 1 << 20) -> None:
        self.left = steps

    def spend(self, steps: int) -> None:
        """Take some steps. Raises Exhausted."""
        self.left -= steps
        if self.left < 0:
            raise Exhausted


def find_value(tests: Mapping[int, Ranges], effort: Effort | None = None) -> int | None:
    """A value that passes every test (mask -> ranges, normal under it), or None if there is none. Raises Exhausted."""
    found = 0
    for masks in _together(tests):
        value = _value_under({mask: tests[mask] for mask in masks}, effort or Effort())
        if value is None:
            return None
        found |= value
    return found


def _value_under(tests: Mapping[int, Ranges], effort: Effort) -> int | None:
    """The same where masks overlap: bit by bit from the highest, and no further where all tests have failed or passed."""
    dead: set[tuple[int, ...]] = set()

    def find(value: int, free: int, masks: Sequence[int]) -> int | None:
        """A value with these bits where they are not `free`. masks: of the tests that are not settled by the bit before."""
        effort.spend(len(masks))
        still: list[int] = []
        least, seen, is_apart = value, 0, True
        for mask in masks:
            low, high = value & mask, value & mask | free & mask
            ranges = tests[mask]
            at = _reached(ranges, low)
            if at == len(ranges) or ranges[at][0] > high:
                return None
            if ranges[at][0] > low or ranges[at][1] < high:
                still.append(mask)
                is_apart = is_apart and not seen & free & mask
                least, seen = least | max(low, ranges[at][0]), seen | mask
        if is_apart:
            return least
        key = (free, *(word for mask in still for word in (mask, value & mask)))
        if key in dead:
            return None
        bit = 1 << (seen & free).bit_length() - 1
        for wanted in (0, bit):
            found = find(value | wanted, free & (bit - 1), still)
            if found is not None:
                return found
        dead.add(key)
        return None

    return find(0, FULL, tuple(tests))


def _among(wide: int, low: int, high: int, mask: int, ranges: Ranges) -> Ranges | None:
    """The values under a wide mask from low to high of which the bits under a narrower one are in these ranges.

    None where the narrow value does not grow with the wide one: where a bit that it does not see is above one that it sees.
    """
    varying = wide & ((1 << (low ^ high).bit_length()) - 1)
    seen, unseen = varying & mask, varying & ~mask
    if seen and unseen > seen & -seen:
        return None
    fixed, first, last = low & ~varying, low & mask, high & mask
    found = []
    for begin, end in touching(ranges, first, last):
        found.append(
            (low if begin <= first else fixed | begin & varying, high if end >= last else fixed | end & varying | unseen)
        )
    return tuple(found)


def _absorbed(wide: int, known: Ranges, mask: int, ranges: Ranges) -> tuple[Ranges, bool]:
    """What is left of ranges under a wide mask by a test under a narrower one, and whether that says all of the test."""
    whole = _among(wide, known[0][0], known[-1][1], mask, ranges)
    if whole is not None:
        return intersection(known, whole), True
    found: list[tuple[int, int]] = []
    says_all = True
    for low, high in known:
        part = _among(wide, low, high, mask, ranges)
        says_all = says_all and part is not None
        found += ((low, high),) if part is None else part
    return tuple(found), says_all


def _settled(tests: dict[int, Ranges], mask: int, effort: Effort) -> bool:
    """Say tests on one argument by those under wider masks where these can, after the one under `mask` has changed.

    False if nothing is left, as far as that shows here.
    """
    changed = [mask]
    while changed:
        at = changed.pop()
        for other in tuple(tests):
            if at not in tests:
                break
            wide, narrow = (other, at) if not at & ~other else (at, other)
            if wide == narrow or narrow & ~wide:
                continue
            effort.spend(len(tests[wide]))
            left, says_all = _absorbed(wide, tests[wide], narrow, tests[narrow])
            if not left:
                return False
            if left != tests[wide] and wide not in changed:
                changed.append(wide)
            tests[wide] = left
            if says_all:
                del tests[narrow]
    return True


class Region:
    """The calls that pass a set of tests; never empty. Immutable, but for the effort that what is made of it shares with it."""

    __slots__ = ("_effort", "_values", "by_index")

    def __init__(self, *, effort: Effort | None = None) -> None:
        self.by_index: Mapping[int, Mapping[int, Ranges]] = {}  # argument -> mask -> ranges
        self._values: Mapping[int, int] = {}  # argument -> a value that passes these
        self._effort = effort or Effort()

    def narrowed(self, index: int, mask: int, ranges: Ranges) -> Region | None:
        """What is left where `value & mask` is in the ranges too; None if nothing is. Raises Exhausted.

        What can be said by a test under a wider mask is said by that: so a list of values, and tests on the halves of what was in
        it, stay one list, and are not solved anew with each of them.
        """
        tests = dict(self.by_index.get(index, {}))
        known = tests.get(mask)
        left = ranges if known is None else intersection(known, ranges)
        self._effort.spend(1 + len(left) // 8)
        if not left:
            return None
        if left == known:
            return self
        tests[mask] = left
        if len(tests) > 1 and not _settled(tests, mask, self._effort):
            return None
        known_value = self._values.get(index, 0)
        value: int | None = known_value
        if not touching(left, known_value & mask, known_value & mask):  # what passed the other tests may pass this one too
            value = find_value(tests, self._effort)
        return None if value is None else self._with(index, tests, value)

    def _with(self, index: int, tests: Mapping[int, Ranges], value: int) -> Region:
        """The region with other tests on one argument, and a value that passes them."""
        made = Region(effort=self._effort)
        made.by_index = {**self.by_index, index: tests}
        made._values = {**self._values, index: value}
        return made

    def with_test(self, index: int, mask: int, ranges: Ranges) -> Region:
        """The region with a wider test in place of the one that it has under this mask."""
        return self._with(index, {**self.by_index[index], mask: ranges}, self._values[index])

    def ranges(self, index: int, mask: int) -> Ranges:
        """What is known of `value & mask`, by the tests under this very mask; those that others say are not among them."""
        return self.by_index.get(index, {}).get(mask, ((0, mask),))

    def tests(self) -> tuple[tuple[int, int, Ranges], ...]:
        """The tests (index, mask, ranges) that all calls in it pass, and no others do."""
        return tuple((index, *test) for index, tests in sorted(self.by_index.items()) for test in sorted(tests.items()))

    def witness(self, index: int) -> int:
        """A value of this argument that passes the tests on it."""
        return self._values.get(index, 0)

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


def split(region: Region, tests: Sequence[tuple[int, int, Ranges]]) -> tuple[Region | None, Sequence[Region]]:
    """The part of a region in which all of the tests pass, and the disjoint parts in which not all do."""
    inside = within(region, tests)
    return (None, (region,)) if inside is None else (inside, tuple(without(region, tests)))


def within(region: Region, tests: Iterable[tuple[int, int, Ranges]]) -> Region | None:
    """The part of a region in which all of the tests pass; None if there is none."""
    rest: Region | None = region
    for index, mask, ranges in tests:
        rest = rest.narrowed(index, mask, ranges) if rest is not None else None
    return rest


def united(regions: Sequence[Region]) -> Sequence[Region]:
    """The same calls, of regions that have none in common, in fewer regions: those that differ in one test only are one."""
    if len(regions) < 2:
        return regions
    for index in sorted({index for region in regions for index in region.by_index}, reverse=True):
        alike: dict[tuple[object, ...], list[Region]] = {}
        for region in regions:
            tests = region.by_index.get(index, {})
            # What narrows a region hands on what it is not about as it is, so the same object tells what is equal.
            others = sorted((at, id(rest)) for at, rest in region.by_index.items() if at != index)
            narrower = sorted(tests.items(), reverse=True)[1:]
            alike.setdefault((max(tests, default=0), *narrower, *others), []).append(region)
        regions = [_joined(index, same) if len(same) > 1 else same[0] for same in alike.values()]
    return regions


def _joined(index: int, regions: Sequence[Region]) -> Region:
    """Regions that differ in the test under the widest mask on this argument only, as one."""
    first = regions[0]
    mask = max(first.by_index[index])
    ranges = normal(chain.from_iterable(region.ranges(index, mask) for region in regions), mask)
    return first.with_test(index, mask, ranges)
