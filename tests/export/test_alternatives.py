"""Sets of values as blocks and back, compared with the values one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandboxer.controls.seccomp import bits
from sandboxer.export.alternatives import (
    Block,
    TooManyBlocks,
    View,
    as_conjunction,
    blocks_inside,
    blocks_outside,
    joined,
)

WIDTH = 6
ALL = range(1 << WIDTH)
MASKS = st.integers(1, (1 << WIDTH) - 1)


@st.composite
def views(draw: st.DrawFn) -> View:
    mask = draw(MASKS)
    pairs = draw(st.lists(st.tuples(st.integers(0, mask), st.integers(0, mask)), max_size=3))
    return mask, bits.normal([(min(pair), max(pair)) for pair in pairs], mask)


BLOCKS = MASKS.flatmap(lambda mask: st.integers(0, mask).map(lambda value: (mask, value & mask)))


def is_in(value: int, view: View) -> bool:
    return any(low <= value & view[0] <= high for low, high in view[1])


def is_of(value: int, block: Block) -> bool:
    return value & block[0] == block[1]


@given(st.lists(views(), min_size=1, max_size=3))
def test_blocks_inside_hold_each_value_of_all_views_once(found: list[View]) -> None:
    blocks = blocks_inside(found)
    for value in ALL:
        assert sum(is_of(value, block) for block in blocks) == all(is_in(value, view) for view in found)


@given(st.lists(BLOCKS, max_size=5))
def test_blocks_outside_hold_each_other_value_once(blocks: list[Block]) -> None:
    outside = blocks_outside(blocks)
    for value in ALL:
        assert sum(is_of(value, block) for block in outside) == (not any(is_of(value, block) for block in blocks))


@given(st.lists(views(), max_size=4))
def test_joined_views_are_the_same_alternatives(found: list[View]) -> None:
    together = joined(found)
    assert len({mask for mask, _ in together}) == len(together) <= len(found)
    for value in ALL:
        assert any(is_in(value, view) for view in together) == any(is_in(value, view) for view in found)


@given(st.lists(views(), min_size=1, max_size=4))
def test_conjunction_holds_where_one_alternative_does(found: list[View]) -> None:
    every = as_conjunction(found, (1 << WIDTH) - 1)
    for value in ALL if every is not None else ():
        assert all(is_in(value, view) for view in every or ()) == any(is_in(value, view) for view in found)


def test_small_mask_is_not_repeated_for_every_value_of_a_large_one() -> None:
    points = bits.complement(tuple((0x5400 + n, 0x5400 + n) for n in range(0, 40, 2)), 0xFFFFFFFF)
    assert len(blocks_inside([(0xFFFFFFFF, points), (0xFF00, bits.complement(((0xBC00, 0xBC00),), 0xFF00))])) < 60


def test_alternatives_that_are_a_complement_are_read_as_one() -> None:
    wanted = [(0xFFFFFFFF, bits.complement(((0x5412, 0x5412), (0x541C, 0x541C)), 0xFFFFFFFF))]
    wanted.append((0xFF00, bits.complement(((0xBC00, 0xBC00),), 0xFF00)))
    found = [(mask, ((value, value),)) for mask, value in blocks_inside(wanted)]
    assert sorted(as_conjunction(found, 0xFFFFFFFF) or ()) == sorted(wanted)


def test_more_blocks_than_anybody_could_use_are_refused() -> None:
    with pytest.raises(TooManyBlocks):
        blocks_inside([(mask, bits.complement(((0, 0),), mask)) for mask in (0xF0F0F0F0, 0x0F0F0F0F, 0x33333333, 0x1248)])
