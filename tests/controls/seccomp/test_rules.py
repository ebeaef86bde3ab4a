"""The algebra of rules, held against its meaning point by point."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sandboxer.controls.seccomp import bits
from sandboxer.controls.seccomp import rules as room
from sandboxer.controls.seccomp.rules import (
    Condition,
    Rule,
    find_arguments,
    find_number,
    includes,
    matches,
    overlaps,
    reduced,
)

FULL = 0xFFFFFFFF
VALUES = st.integers(0, 7)
POINTS = [(a, b, c, 0, 0, 0) for a in range(8) for b in range(8) for c in (0, 5)]


@st.composite
def conditions(draw: st.DrawFn, argument: str) -> Condition:
    """A condition over three bits, so that points can be tried out whole."""
    mask = draw(st.sampled_from([FULL, 1, 2, 3, 4, 6]))
    ends = draw(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=3))
    ranges = bits.normal(((min(pair) & mask, max(pair) & mask) for pair in ends), mask)
    return Condition(argument, mask, ranges or ((0, 0),))


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    many = []
    for _ in range(draw(st.integers(1, 2))):
        names = draw(st.sets(st.sampled_from(["family", "type", "protocol"])))
        many.append(tuple(draw(conditions(name)) for name in sorted(names)))
    return Rule("socket", ((),) if () in many else tuple(sorted(set(many))))


def points(rule: Rule) -> set[tuple[int, ...]]:
    return {point for point in POINTS if matches(rule, "x86_64", point)}


@given(rules(), rules())
def test_overlap_is_found_wherever_a_point_shows_one(one: Rule, other: Rule) -> None:
    if points(one) & points(other):
        assert overlaps(one, other)


def test_rules_without_a_common_point_do_not_overlap() -> None:
    inet, unix = (Rule("socket", ((Condition("family", FULL, ((value, value),)),),)) for value in (2, 1))
    assert not overlaps(inet, unix)
    assert overlaps(inet, Rule("socket"))
    assert not overlaps(inet, Rule("socketpair", inet.cases))


@given(rules(), rules())
def test_included_rule_has_no_point_of_its_own(wide: Rule, narrow: Rule) -> None:
    if includes(wide, narrow):
        assert points(narrow) <= points(wide)


@given(rules())
def test_whole_call_includes_every_rule_of_it_and_a_rule_itself(rule: Rule) -> None:
    assert includes(Rule("socket"), rule)
    assert includes(rule, rule)


@given(st.lists(rules(), max_size=5))
def test_reduced_rules_mean_the_same(many: list[Rule]) -> None:
    assert set().union(*map(points, many)) == set().union(*map(points, reduced(many)))
    assert reduced(many) == reduced(reversed(many))


@given(rules(), st.sampled_from(POINTS), st.integers(0, FULL))
def test_match_does_not_depend_on_bits_that_the_kernel_drops(rule: Rule, point: tuple[int, ...], high: int) -> None:
    raised = tuple(value | high << 32 for value in point)
    assert matches(rule, "x86_64", point) is matches(rule, "x86_64", raised)


def test_sixteen_bit_argument_is_compared_on_sixteen_bits() -> None:
    rule = Rule("mknod", ((Condition("mode", 0xFFFF, ((0x2000, 0x2000),)),),))
    assert matches(rule, "x86_64", (0, 0xABC2000, 0, 0, 0, 0))
    assert not matches(rule, "x86_64", (0, 0x2001, 0, 0, 0, 0))


def test_argument_has_the_index_of_its_architecture() -> None:
    case = (Condition("tls", (1 << 64) - 1, ((0, 0),)),)
    assert room.tests_of("clone", case, "x86_64") == ((4, (1 << 64) - 1, ((0, 0),)),)
    assert room.tests_of("clone", case, "aarch64") == ((3, (1 << 64) - 1, ((0, 0),)),)


def test_call_of_another_architecture_has_no_number() -> None:
    assert find_number("open", "x86_64") == 2
    assert find_number("open", "aarch64") is None
    assert find_arguments("epoll_ctl_old", "x86_64") is None
