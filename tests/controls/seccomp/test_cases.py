"""The algebra of cases, held against Python's own and, or, not at every point."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandboxer.controls.seccomp import cases as algebra
from sandboxer.controls.seccomp.cases import EVERY, NEVER, Cases, TooManyCases
from sandboxer.controls.seccomp.rules import MAX_CASES, Condition, Rule, find_arguments, matches

CALL = "socket"
ARGUMENTS = find_arguments(CALL, "x86_64") or ()
POINTS = [(a, b, c, 0, 0, 0) for a in range(8) for b in range(8) for c in (0, 3)]
FULL = 0xFFFFFFFF


def points(cases: Cases) -> set[tuple[int, ...]]:
    return {point for point in POINTS if matches(Rule(CALL, cases), "x86_64", point)}


def single(index: int, *ranges: tuple[int, int], mask: int = FULL) -> Cases:
    return algebra.one_of(ARGUMENTS[index], mask, ranges)


@st.composite
def atoms(draw: st.DrawFn) -> Cases:
    ends = st.tuples(st.integers(0, 7), st.integers(0, 7)).map(lambda pair: (min(pair), max(pair)))
    mask = draw(st.sampled_from([FULL, 1, 2, 4, 5, 6, 7]))
    # Under the full mask all values are small, so that the points show everything there is.
    return single(draw(st.integers(0, 2)), *draw(st.lists(ends, min_size=1, max_size=2)), mask=mask)


def formulas() -> st.SearchStrategy[Cases]:
    def grow(inner: st.SearchStrategy[Cases]) -> st.SearchStrategy[Cases]:
        pairs = st.lists(inner, min_size=1, max_size=3)
        return st.one_of(
            pairs.map(lambda parts: algebra.all_hold(CALL, *parts)),
            pairs.map(lambda parts: algebra.some_hold(CALL, *parts)),
            inner.map(lambda one: algebra.none_holds(CALL, one)),
        )

    return st.recursive(atoms(), grow, max_leaves=5)


@settings(max_examples=300, deadline=None)
@given(formulas(), formulas())
def test_and_or_not_are_those_of_points(one: Cases, other: Cases) -> None:
    assert points(algebra.all_hold(CALL, one, other)) == points(one) & points(other)
    assert points(algebra.some_hold(CALL, one, other)) == points(one) | points(other)
    assert points(algebra.none_holds(CALL, one)) == set(POINTS) - points(one)


@settings(max_examples=200, deadline=None)
@given(formulas())
def test_double_negation_means_the_same(one: Cases) -> None:
    assert points(algebra.none_holds(CALL, algebra.none_holds(CALL, one))) == points(one)


@settings(max_examples=200, deadline=None)
@given(formulas(), formulas())
def test_de_morgan_holds(one: Cases, other: Cases) -> None:
    neither = algebra.none_holds(CALL, algebra.some_hold(CALL, one, other))
    both_not = algebra.all_hold(CALL, algebra.none_holds(CALL, one), algebra.none_holds(CALL, other))
    assert points(neither) == points(both_not)
    not_both = algebra.none_holds(CALL, algebra.all_hold(CALL, one, other))
    one_not = algebra.some_hold(CALL, algebra.none_holds(CALL, one), algebra.none_holds(CALL, other))
    assert points(not_both) == points(one_not)


@settings(max_examples=200, deadline=None)
@given(st.lists(formulas(), max_size=4))
def test_order_does_not_matter(parts: list[Cases]) -> None:
    assert algebra.some_hold(CALL, *parts) == algebra.some_hold(CALL, *reversed(parts))
    assert points(algebra.all_hold(CALL, *parts)) == points(algebra.all_hold(CALL, *reversed(parts)))


@given(formulas())
def test_every_and_never_are_the_ends(one: Cases) -> None:
    assert algebra.all_hold(CALL, one, NEVER) == NEVER
    assert algebra.some_hold(CALL, one, EVERY) == EVERY
    assert points(algebra.all_hold(CALL, one, EVERY)) == points(one)
    assert points(algebra.some_hold(CALL, one, NEVER)) == points(one)
    assert algebra.all_hold(CALL) == EVERY
    assert algebra.some_hold(CALL) == NEVER
    assert algebra.none_holds(CALL, NEVER) == EVERY
    assert algebra.none_holds(CALL, EVERY) == NEVER


@given(formulas())
def test_kept_cases_are_possible_and_sorted(one: Cases) -> None:
    for case in one:
        assert list(case) == sorted(case)
        assert len({(condition.argument, condition.mask) for condition in case}) == len(case)
        assert all(condition.ranges for condition in case)
    assert len(set(one)) == len(one)


def test_ranges_of_all_values_are_no_condition_and_of_none_no_case() -> None:
    assert single(0, (0, FULL)) == EVERY
    assert single(0, (0, 4), (5, FULL)) == EVERY
    assert single(0, (0, 1), mask=1) == EVERY
    assert single(0, (2, 3), mask=4) == NEVER
    assert single(0, (2, 4), mask=4) == ((Condition("family", 4, ((4, 4),)),),)


def test_conditions_that_exclude_each_other_under_two_masks_are_no_case() -> None:
    odd, even_number = single(0, (1, 1), mask=1), single(0, (4, 4))
    assert algebra.all_hold(CALL, odd, even_number) == NEVER
    assert algebra.all_hold(CALL, odd, single(0, (5, 5))) != NEVER


def test_alternatives_about_one_argument_are_one_case() -> None:
    found = algebra.some_hold(CALL, single(0, (1, 1)), single(0, (3, 3)), single(0, (2, 2)))
    assert found == ((Condition("family", FULL, ((1, 3),)),),)
    assert algebra.some_hold(CALL, single(0, (0, 4)), single(0, (5, FULL))) == EVERY


def test_case_that_another_includes_by_its_conditions_is_dropped() -> None:
    wide = single(0, (1, 1))
    narrow = algebra.all_hold(CALL, wide, single(1, (2, 2)))
    assert algebra.some_hold(CALL, narrow, wide) == wide
    assert len(algebra.some_hold(CALL, narrow, single(2, (2, 2)))) == 2


# ── how many ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def alternatives(count: int, index: int = 0) -> Cases:
    """So many cases that cannot be joined."""
    return tuple(
        (Condition("family", FULL, ((number, number),)), Condition(ARGUMENTS[index + 1].name, FULL, ((number + 7, number + 7),)))
        for number in range(count)
    )


def test_as_many_cases_as_a_rule_may_have_are_taken_and_one_more_is_not() -> None:
    assert len(algebra.some_hold(CALL, alternatives(MAX_CASES))) == MAX_CASES
    with pytest.raises(TooManyCases, match="more than 256 alternatives; a rule may have 256"):
        algebra.some_hold(CALL, alternatives(MAX_CASES + 1))


def test_many_ranges_of_one_argument_are_one_condition() -> None:
    argument = ARGUMENTS[0]
    parts = [algebra.one_of(argument, FULL, ((3 * number, 3 * number + 1),)) for number in range(3 * MAX_CASES)]
    ((condition,),) = algebra.some_hold(CALL, *parts)
    assert condition.ranges == tuple((3 * number, 3 * number + 1) for number in range(3 * MAX_CASES))
    whole = algebra.some_hold(
        CALL, *parts, algebra.one_of(argument, FULL, ((0, FULL - 1),)), algebra.one_of(argument, FULL, ((FULL, FULL),))
    )
    assert whole == EVERY


def test_product_of_many_cases_is_refused_while_it_is_small() -> None:
    """The number of alternatives of this is 65,536; comparing all of them with one another would take hours."""
    other = tuple((Condition("protocol", FULL, ((number, number),)), Condition("type", 1, ((1, 1),))) for number in range(256))
    with pytest.raises(TooManyCases):
        algebra.all_hold(CALL, alternatives(256), other)


def test_negation_of_many_cases_is_refused_while_it_is_small() -> None:
    with pytest.raises(TooManyCases):
        algebra.none_holds(CALL, alternatives(256))
    assert len(algebra.none_holds(CALL, alternatives(3))) == 8


def test_negation_of_pairs_is_every_choice_of_one_side() -> None:
    cases = algebra.none_holds(CALL, alternatives(2))
    wanted = {
        point for point in itertools.product(range(3), range(10)) if not any(point == (number, number + 7) for number in range(2))
    }
    found = {(a, b) for a in range(3) for b in range(10) if matches(Rule(CALL, cases), "x86_64", (a, b, 0, 0, 0, 0))}
    assert found == wanted
