"""Ranges as comparisons for equality: exactly one holds for a value that is in a range, and none for any other."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandboxer.controls.seccomp import bits
from sandboxer.controls.seccomp.libseccomp.blocks import Comparison, comparisons

FULL = (1 << 64) - 1


def holding(found: tuple[Comparison, ...], value: int) -> int:
    return sum(value & test.mask == test.value for test in found)


@settings(max_examples=500, deadline=None)
@given(st.integers(0, 63), st.lists(st.tuples(st.integers(0, 63), st.integers(0, 63)), min_size=1, max_size=4))
def test_exactly_one_comparison_holds_inside_and_none_outside(mask: int, pairs: list[tuple[int, int]]) -> None:
    ranges = bits.normal(((min(pair), max(pair)) for pair in pairs), mask)
    found = comparisons((3, mask, ranges))
    assert all(test.index == 3 and not test.value & ~test.mask and not test.mask & ~mask for test in found)
    for value in range(64):
        inside = any(low <= value & mask <= high for low, high in ranges)
        assert holding(found, value) == inside, value


@pytest.mark.parametrize(
    ("mask", "ranges", "rows"),
    [
        (FULL, ((5, 5),), [(FULL, 5)]),
        (0xFFFFFFFF, ((0, 0x7FFFFFFF),), [(0x80000000, 0)]),
        (FULL, ((0, (1 << 32) - 1),), [(0xFFFFFFFF << 32, 0)]),
        (FULL, ((1 << 63, FULL),), [(1 << 63, 1 << 63)]),
        (6, ((0, 6),), [(0, 0)]),
        (6, ((2, 4),), [(6, 2), (6, 4)]),
        (6, (), []),
        (0, ((0, 0),), [(0, 0)]),
    ],
)
def test_range_falls_into_as_few_blocks_as_it_can(mask: int, ranges: bits.Ranges, rows: list[tuple[int, int]]) -> None:
    assert [(test.mask, test.value) for test in comparisons((0, mask, ranges))] == rows


def test_worst_range_of_64_bits_has_two_blocks_for_each_bit() -> None:
    found = comparisons((0, FULL, ((1, FULL - 1),)))
    assert len(found) == 126
    assert [holding(found, value) for value in (0, 1, 1 << 40, FULL - 1, FULL)] == [0, 1, 1, 1, 0]
