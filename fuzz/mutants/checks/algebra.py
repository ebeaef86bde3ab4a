"""Ranges, regions and cases against brute force over few bits."""

from __future__ import annotations

import itertools

from fuzz.mutants.checks.ground import WORD, raises
from sandboxer.controls.seccomp import bits
from sandboxer.controls.seccomp import cases as algebra
from sandboxer.controls.seccomp.bits import Region
from sandboxer.controls.seccomp.rules import find_arguments

SMALL = range(16)
ENDS = [(low, high) for low in SMALL for high in range(low, 16)]


def held(ranges: object, mask: int) -> set[int]:
    """The values under a mask that are in ranges, one by one."""
    listed = tuple(ranges)  # type: ignore[call-overload]
    return {value for value in SMALL if not value & ~mask and any(low <= value <= high for low, high in listed)}


def check_bits() -> None:
    """Brute force over four bits."""
    for mask in SMALL:
        under = [value for value in SMALL if not value & ~mask]
        for bound in range(32):
            assert bits.least_within(bound, mask) == min((value for value in under if value >= bound), default=None)
            assert bits.greatest_within(bound, mask) == max(value for value in under if value <= bound)
        for pair in itertools.combinations(ENDS[::7], 2):
            ranges = bits.normal(pair, mask)
            assert held(ranges, mask) == held(pair, mask)
            assert held(bits.complement(ranges, mask), mask) == set(under) - held(pair, mask)
            assert all(any(high < value < low for value in under) for (_, high), (low, _) in itertools.pairwise(ranges))
            other = bits.normal(ENDS[pair[0][0] :: 23], mask)
            assert held(bits.intersection(ranges, other), mask) == held(ranges, mask) & held(other, mask)
    assert bits.normal(((-3, 1), (14, 99)), 15) == ((0, 1), (14, 15))
    for masks in ((3, 6), (3, 12), (5, 15, 10), (1, 2, 3), (0, 7), (15, 8, 1)):
        for rows in itertools.product(*([(0, mask), (mask, mask), (mask // 3, mask // 2), (1, 2)] for mask in masks)):
            tests = {mask: bits.normal((row,), mask) for mask, row in zip(masks, rows, strict=True)}
            wanted = {v for v in SMALL if all(any(a <= v & m <= b for a, b in r) for m, r in tests.items())}
            found = bits.find_value(tests)
            assert (found is None and not wanted) or found in wanted, (tests, found, wanted)


def check_regions() -> None:
    """`within` and `without` take a region apart exactly, and a region is never empty."""
    lists = [
        [(0, 7, ((1, 5),)), (1, 3, ((0, 1),))],
        [(0, 1, ((1, 1),)), (0, 6, ((2, 4),))],
        [(0, 7, ((1, 3),)), (0, 4, ((4, 4),))],
        [(1, 2, ((2, 2),)), (1, 7, ((0, 1), (6, 7))), (0, 5, ((1, 4),))],
    ]
    points = list(itertools.product(range(8), range(8)))

    def passing(tests: list[tuple[int, int, bits.Ranges]]) -> set[tuple[int, int]]:
        return {p for p in points if all(any(a <= p[i] & m <= b for a, b in r) for i, m, r in tests)}

    def seen(region: Region) -> set[tuple[int, int]]:
        return passing([(index, mask, region.ranges(index, mask)) for index in (0, 1) for mask in range(8)])

    for first, second in itertools.product(lists, lists):
        region = bits.within(Region(), first)
        assert (region is None) == (not passing(first))
        if region is None:
            continue
        inside, outside = bits.within(region, second), list(bits.without(region, second))
        assert seen(region) == passing(first)
        assert (seen(inside) if inside else set()) == passing([*first, *second])
        parts = [seen(part) for part in outside]
        assert all(parts)
        assert sum(map(len, parts)) == len(set().union(*parts))
        assert set().union(*parts) == passing(first) - passing(second)
        assert all(tuple(part.point()[:2]) in seen(part) for part in outside)


def check_united() -> None:
    """What becomes of regions that are joined holds the same points; and what cannot be one test stays apart."""
    every = list(itertools.product(range(8), range(8)))

    def seen(region: Region) -> list[tuple[int, int]]:
        tests = region.tests()
        return [p for p in every if all(any(a <= p[i] & m <= b for a, b in r) for i, m, r in tests)]

    def some(*tests: tuple[int, int, bits.Ranges]) -> Region:
        found = bits.within(Region(), tests)
        assert found is not None
        return found

    low, high, odd = (0, 7, ((0, 2),)), (0, 7, ((3, 7),)), (0, 1, ((1, 1),))
    corners = [some(low, (1, 7, ((0, 3),))), some(high, (1, 7, ((4, 7),)))]
    masks = [some((0, 6, ((0, 0),))), some((0, 7, ((4, 5), (7, 7))))]
    flags = [some((0, 7, ((0, 4),)), odd), some((0, 7, ((5, 6),)), (0, 5, ((4, 4),)))]
    thirds = [some((0, 6, ((2, 6),)), odd), some((0, 6, ((2, 6),)), (0, 1, ((0, 0),)))]
    row = some((1, 4, ((0, 0),)))
    line = [region for part in (low, high) if (region := row.narrowed(*part)) is not None]
    for regions, count in ((corners, 2), (masks, 2), (flags, 2), (thirds, 2), (line, 1), (line[:1], 1)):
        found = bits.united(regions)
        assert len(found) <= count
        assert sorted(p for region in found for p in seen(region)) == sorted(p for region in regions for p in seen(region))
    assert sorted(seen(bits.united(line)[0])) == [(a, b) for a in range(8) for b in range(4)]
    region = Region(effort=bits.Effort(3))
    raises(bits.Exhausted, lambda: [region.narrowed(0, 7, ((1, 2),)) for _ in range(4)])


def check_wide() -> None:
    """Tests on a part of what a wider test knows, one after the other, against trying out."""
    lists: list[tuple[int, bits.Ranges]] = [
        (15, ((1, 1), (4, 6), (9, 9), (13, 14))),
        (15, ((2, 9),)),
        (12, ((4, 8),)),
        (6, ((2, 4),)),
        (9, ((1, 8),)),
        (5, ((1, 4),)),
        (3, ((0, 0), (2, 3))),
        (8, ((8, 8),)),
        (7, ((3, 5),)),
        (1, ((1, 1),)),
    ]
    for tests in itertools.permutations(lists, 3):
        region = bits.within(Region(), [(0, *test) for test in tests])
        wanted = {v for v in SMALL if all(any(a <= v & m <= b for a, b in r) for m, r in tests)}
        left = {v for v in SMALL if all(any(a <= v & m <= b for a, b in r) for _, m, r in region.tests())} if region else set()
        assert left == wanted, tests


def _points(cases: algebra.Cases) -> set[tuple[int, int]]:
    """Where cases of socket hold, by their own ranges and not by `matches`."""
    at = {"family": 0, "type": 1}
    return {
        point
        for point in itertools.product(range(8), range(8))
        if any(all(any(low <= point[at[c.argument]] & c.mask <= high for low, high in c.ranges) for c in case) for case in cases)
    }


def check_cases() -> None:
    """And, or, not at every point."""
    family, kind, _ = find_arguments("socket", "x86_64") or ()
    every = {(a, b) for a in range(8) for b in range(8)}
    atoms = [
        algebra.one_of(argument, mask, ranges)
        for argument in (family, kind)
        for mask, ranges in ((WORD, ((1, 2), (5, 5))), (6, ((2, 4),)), (1, ((1, 1),)), (WORD, ((3, WORD),)))
    ]
    formulas = [*atoms, *(algebra.some_hold("socket", a, b) for a, b in zip(atoms, atoms[3:], strict=False))]
    formulas += [algebra.all_hold("socket", a, b) for a, b in zip(atoms, atoms[5:], strict=False)]
    for one in formulas:
        assert _points(algebra.none_holds("socket", one)) == every - _points(one)
    for one, other in itertools.product(formulas, formulas[::2]):
        assert _points(algebra.all_hold("socket", one, other)) == _points(one) & _points(other)
        assert _points(algebra.some_hold("socket", one, other)) == _points(one) | _points(other)
    assert algebra.one_of(family, WORD, ((0, WORD),)) == algebra.EVERY
    assert algebra.one_of(family, 6, ((1, 1),)) == algebra.NEVER
    low, high = (algebra.one_of(family, WORD, (ends,)) for ends in ((0, 4), (5, WORD)))
    assert algebra.some_hold("socket", low, high) == algebra.EVERY
    many = tuple(
        (algebra.Condition("family", WORD, ((at, at),)), algebra.Condition("type", WORD, ((at, at),))) for at in range(257)
    )
    assert len(algebra.some_hold("socket", many[:256])) == 256
    raises(algebra.TooManyCases, lambda: algebra.some_hold("socket", many))
