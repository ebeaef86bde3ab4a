"""Ranges under masks, and the solver over several of them, held against trying out every value of a few bits."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandboxer.controls.seccomp.bits import (
    FULL,
    Effort,
    Exhausted,
    Ranges,
    Region,
    complement,
    find_value,
    greatest_within,
    intersection,
    least_within,
    normal,
    touching,
    united,
    within,
    without,
)

WIDTH = 5
WHOLE = (1 << WIDTH) - 1
MASKS = range(WHOLE + 1)
VALUES = range(WHOLE + 1)
ENDS = [(low, high) for low in VALUES for high in range(low, WHOLE + 1)]


def under(mask: int) -> list[int]:
    """Every value that has no bit outside of the mask."""
    return [value for value in VALUES if not value & ~mask]


def held(ranges: Iterable[tuple[int, int]], mask: int) -> set[int]:
    """What a list of ranges means: the values under the mask that are in one of them."""
    listed = tuple(ranges)
    return {value for value in under(mask) if any(low <= value <= high for low, high in listed)}


# ── the ends of ranges ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mask", MASKS)
def test_least_and_greatest_are_those_of_trying_out(mask: int) -> None:
    for bound in range(2 * WHOLE):
        assert least_within(bound, mask) == min((value for value in under(mask) if value >= bound), default=None)
        assert greatest_within(bound, mask) == max(value for value in under(mask) if value <= bound)


def test_least_and_greatest_of_64_bits() -> None:
    assert least_within(1, 0xFFFFFFFF << 32) == 1 << 32
    assert least_within((0xFFFFFFFF << 32) + 1, 0xFFFFFFFF << 32) is None
    assert greatest_within(FULL, 0xFFFFFFFF << 32) == 0xFFFFFFFF << 32
    assert greatest_within((1 << 32) - 1, 0xFFFFFFFF << 32) == 0


# ── ranges ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mask", MASKS)
def test_normal_ranges_hold_the_same_values(mask: int) -> None:
    for pair in [(one,) for one in ENDS] + list(itertools.combinations(ENDS[::5], 2)):
        ranges = normal(pair, mask)
        assert held(ranges, mask) == held(pair, mask)
        assert_normal(ranges, mask)


def assert_normal(ranges: Ranges, mask: int) -> None:
    """Both ends are values under the mask, ranges are sorted, and between two of them is a value that is in none."""
    assert all(not end & ~mask for both in ranges for end in both)
    assert all(low <= high for low, high in ranges)
    for (_, high), (low, _) in itertools.pairwise(ranges):
        assert any(high < value < low for value in under(mask))


def test_normal_is_one_form_for_one_set() -> None:
    assert normal(((3, 3), (1, 1), (2, 2)), 7) == normal(((1, 3),), 7) == ((1, 3),)
    assert normal(((0, 0), (4, 4)), 4) == ((0, 4),)
    assert normal(((0, 0), (4, 4)), 6) == ((0, 0), (4, 4))


def test_ends_outside_of_all_values_are_cut() -> None:
    assert normal(((-5, 2), (6, 99)), 7) == ((0, 2), (6, 7))
    assert normal(((-5, -1), (8, 99)), 7) == ()
    assert normal(((3, 2),), 7) == ()


@pytest.mark.parametrize("mask", MASKS)
def test_complement_is_every_other_value(mask: int) -> None:
    for pair in itertools.combinations(ENDS[::4], 2):
        ranges = normal(pair, mask)
        outside = complement(ranges, mask)
        assert held(outside, mask) == set(under(mask)) - held(ranges, mask)
        assert_normal(outside, mask)
        assert complement(outside, mask) == ranges


@pytest.mark.parametrize("mask", [0, 1, 0b10110, 0b01101, WHOLE])
def test_intersection_is_what_is_in_both(mask: int) -> None:
    lists = [normal(pair, mask) for pair in itertools.combinations(ENDS[::9], 2)]
    for one, other in itertools.product(lists[::11], lists[::17]):
        both = intersection(one, other)
        assert held(both, mask) == held(one, mask) & held(other, mask)
        assert both == intersection(other, one)


# ── several masks at once ─────────────────────────────────────────────────────────────────────────────────────────────


def passing(tests: dict[int, Ranges]) -> list[int]:
    return [
        value
        for value in VALUES
        if all(any(low <= value & mask <= high for low, high in ranges) for mask, ranges in tests.items())
    ]


def assert_solved(tests: dict[int, Ranges]) -> None:
    expected, found = passing(tests), find_value(tests)
    if found is None:
        assert expected == []
    else:
        assert found in expected, (tests, found)


@pytest.mark.parametrize("mask", MASKS)
def test_value_under_two_masks_is_found_if_there_is_one(mask: int) -> None:
    ends = [(low, high) for low in under(mask) for high in under(mask) if low <= high]
    for other in MASKS:
        if other == mask:
            continue
        values = under(other)
        for mine, theirs in itertools.product(ends[::7], zip(values, values[len(values) // 3 :], strict=False)):
            assert_solved({mask: (mine,), other: (theirs,)})


@settings(max_examples=1500, deadline=None)
@given(st.dictionaries(st.integers(0, WHOLE), st.lists(st.sampled_from(ENDS), min_size=1, max_size=3), max_size=5))
def test_value_under_many_masks_is_found_if_there_is_one(drawn: dict[int, list[tuple[int, int]]]) -> None:
    assert_solved({mask: normal(pairs, mask) for mask, pairs in drawn.items()})


def test_value_under_halves_of_64_bits() -> None:
    low, high = 0xFFFFFFFF, 0xFFFFFFFF << 32
    assert find_value({low: ((5, 5),), high: ((7 << 32, 7 << 32),)}) == 7 << 32 | 5
    assert find_value({FULL: ((0, 1 << 32),), high: ((1 << 32, high),), low: ((1, low),)}) is None
    assert find_value({FULL: ((0, 1 << 32),), high: ((1 << 32, high),), low: ((0, low),)}) == 1 << 32


def test_no_tests_pass_everything_and_an_empty_one_nothing() -> None:
    assert find_value({}) == 0
    assert find_value({3: (), 1: ((1, 1),)}) is None


# ── regions ───────────────────────────────────────────────────────────────────────────────────────────────────────────

INDEXES = (0, 1)
SMALL = 3
POINTS = list(itertools.product(range(1 << SMALL), repeat=2))
Drawn = tuple[int, int, Ranges]


def is_in(point: tuple[int, ...], tests: Iterable[Drawn]) -> bool:
    return all(any(low <= point[index] & mask <= high for low, high in ranges) for index, mask, ranges in tests)


def points(region: Region | None) -> set[tuple[int, ...]]:
    """The points of a region, read through what it says of itself."""
    if region is None:
        return set()
    tests = [(index, mask, region.ranges(index, mask)) for index in INDEXES for mask in range(1 << SMALL)]
    return {point for point in POINTS if is_in(point, tests)}


@st.composite
def a_test(draw: st.DrawFn) -> Drawn:
    mask = draw(st.integers(0, (1 << SMALL) - 1))
    ends = st.tuples(st.integers(0, 7), st.integers(0, 7)).map(lambda pair: (min(pair), max(pair)))
    return draw(st.sampled_from(INDEXES)), mask, normal(draw(st.lists(ends, min_size=1, max_size=2)), mask)


TESTS = st.lists(a_test(), max_size=5)


@settings(max_examples=600, deadline=None)
@given(TESTS, TESTS)
def test_within_and_without_take_a_region_apart_exactly(first: list[Drawn], tests: list[Drawn]) -> None:
    """Disjoint, nothing left out, nothing twice, and none of the parts is empty."""
    region = within(Region(), first)
    expected = {point for point in POINTS if is_in(point, first)}
    assert points(region) == expected
    if region is None:
        return
    inside = within(region, tests)
    outside = list(without(region, tests))
    assert points(inside) == {point for point in expected if is_in(point, tests)}
    parts = [points(part) for part in (*outside, *([inside] if inside else []))]
    assert all(parts), "an empty part"
    assert sum(map(len, parts)) == len(expected), "two parts have a point in common, or one is missing"
    assert set().union(*parts) == expected


@settings(max_examples=300, deadline=None)
@given(TESTS)
def test_witness_passes_all_tests_of_its_region(tests: list[Drawn]) -> None:
    region = within(Region(), tests)
    if region is not None:
        assert is_in(region.point(), tests)
        assert len(region.point()) == 6


def test_region_is_told_apart_only_by_what_cannot_be() -> None:
    region = Region().narrowed(0, 7, ((1, 3),))
    assert region is not None
    assert region.narrowed(0, 7, ((4, 7),)) is None
    assert region.narrowed(0, 7, ((0, 7),)) is region
    assert region.narrowed(0, 4, ((4, 4),)) is None  # by the solver: 1..3 have no bit 4
    assert region.narrowed(1, 4, ((4, 4),)) is not None
    assert region.ranges(0, 7) == ((1, 3),)
    assert region.ranges(3, 6) == ((0, 6),)


@settings(max_examples=400, deadline=None)
@given(TESTS, st.lists(TESTS, min_size=1, max_size=3))
def test_united_regions_are_the_same_points_and_not_more_regions(first: list[Drawn], cuts: list[list[Drawn]]) -> None:
    parts = [region for region in [within(Region(), first)] if region is not None]
    for tests in cuts:
        parts = [one for part in parts for one in (*without(part, tests), within(part, tests)) if one is not None]
    found = [points(region) for region in united(parts)]
    assert len(found) <= len(parts)
    assert sorted(point for some in found for point in some) == sorted(point for part in parts for point in points(part))


def test_regions_that_one_test_took_apart_are_one_again() -> None:
    region = within(Region(), [(1, 4, ((0, 0),)), (0, 5, ((1, 4),))])
    assert region is not None
    parts = [part for ends in ((0, 2), (3, 7)) if (part := region.narrowed(2, 7, (ends,))) is not None]
    (found,) = united(parts)
    assert found.ranges(2, 7) == ((0, 7),)
    assert points(found) == points(region)
    assert list(united([])) == []


@settings(max_examples=300, deadline=None)
@given(st.permutations(range(4)), st.lists(a_test(), min_size=4, max_size=4))
def test_order_of_tests_changes_nothing(order: list[int], tests: list[Drawn]) -> None:
    assert points(within(Region(), tests)) == points(within(Region(), [tests[at] for at in order]))


def test_halves_of_a_list_of_values_are_said_by_the_list() -> None:
    low, high = 0xFFFFFFFF, 0xFFFFFFFF << 32
    listed = tuple((at << 32 | 5, at << 32 | 6) for at in range(1, 100, 2))
    region = within(Region(), [(0, FULL, listed), (0, high, ((7 << 32, 9 << 32),)), (0, low, ((6, 9),))])
    assert region is not None
    assert region.tests() == ((0, FULL, ((7 << 32 | 6,) * 2, (9 << 32 | 6,) * 2)),)
    wide = within(Region(), [(0, FULL, ((5, 1 << 40),)), (0, low, ((6, 9),))])
    assert wide is not None
    assert [mask for _, mask, _ in wide.tests()] == [low, FULL]


def test_touching_ranges_are_those_with_a_value_between() -> None:
    ranges = ((1, 1), (3, 5), (7, 7))
    for low in range(9):
        for high in range(low, 9):
            assert touching(ranges, low, high) == tuple((a, b) for a, b in ranges if a <= high and b >= low)


def test_question_that_takes_more_steps_than_it_was_given_is_given_up() -> None:
    tests = {0b10101: ((1, 4),), 0b01111: ((6, 9),), 0b11010: ((2, 8),)}
    assert find_value(tests, Effort(1000)) == find_value(tests)
    with pytest.raises(Exhausted):
        find_value(tests, Effort(1))
    region = Region(effort=Effort(1)).narrowed(0, 7, ((0, 3),))
    assert region is not None
    with pytest.raises(Exhausted):
        region.narrowed(0, 7, ((1, 2),))


def test_negative_indexes_are_kept_apart_from_arguments() -> None:
    region = within(Region(), [(-1, 0xFFFFFFFF, ((9, 9),)), (0, 0xFFFFFFFF, ((4, 4),))])
    assert region is not None
    assert (region.witness(-1), region.witness(0), region.point()) == (9, 4, (4, 0, 0, 0, 0, 0))
