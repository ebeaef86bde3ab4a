"""Conditions as sets of situations, compared with what `When.holds` says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandboxer.controls.seccomp.rules import ALWAYS, ARCHITECTURES, Situation, When
from sandboxer.export.situations import MAX_CELLS, TooManyCells, both, cells, example, without

KERNELS = st.tuples(st.integers(3, 5), st.integers(0, 2))
BOUNDS = st.sampled_from([(0, 0), (3, 2), (4, 0), (5, 1)])
MASKS = st.integers(0, 7)


@st.composite
def whens(draw: st.DrawFn) -> When:
    arches = draw(st.sampled_from([(), ("x86_64",), ("aarch64", "riscv64"), ("aarch64",)]))
    since, below = draw(BOUNDS), draw(BOUNDS)
    if below != (0, 0) and since >= below:
        since, below = (0, 0), below
    held = draw(MASKS)
    return When(arches, (since, below), held, draw(MASKS) & ~held)


SITUATIONS = st.builds(Situation, st.sampled_from(ARCHITECTURES), KERNELS, MASKS)


@given(whens(), whens(), SITUATIONS)
def test_both_holds_where_both_hold(one: When, other: When, here: Situation) -> None:
    joined = both(one, other)
    assert (joined is not None and joined.holds(here)) == (one.holds(here) and other.holds(here))


@given(whens(), whens(), SITUATIONS)
def test_without_holds_once_where_only_the_first_holds(one: When, other: When, here: Situation) -> None:
    assert sum(part.holds(here) for part in without(one, other)) == (one.holds(here) and not other.holds(here))


@given(st.lists(whens(), max_size=5), SITUATIONS)
def test_exactly_one_cell_holds_and_names_what_holds(conditions: list[When], here: Situation) -> None:
    holding = [numbers for cell, numbers in cells(conditions) if cell.holds(here)]
    assert holding == [frozenset(number for number, when in enumerate(conditions) if when.holds(here))]


@given(whens())
def test_example_lies_in_its_condition(when: When) -> None:
    assert when.holds(example(when))


def test_no_condition_is_one_cell() -> None:
    assert cells([]) == ((ALWAYS, frozenset()),)


def test_conditions_that_overlap_in_too_many_ways_are_refused() -> None:
    with pytest.raises(TooManyCells, match=str(MAX_CELLS)):
        cells([When(held=1 << bit) for bit in range(30)])
