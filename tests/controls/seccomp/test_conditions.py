"""Every test of the grammar holds for its values and for no others, alone, negated, nested and under a mask."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandboxer.controls.seccomp.rules import Condition, Rule, matches
from sandboxer.errors import ProfileError
from sandboxer.model.place import Place
from tests.controls.seccomp.filters import section

FULL = 0xFFFFFFFF
WIDE = (1 << 64) - 1


def rule(condition: str, argument: str = "family", call: str = "socket") -> Rule:
    found = section(f"allow: [{{{call}: {{{argument}: {condition}}}}}]").values("allow")[0]
    assert isinstance(found, Rule)
    return found


def holding(condition: str, among: range = range(20)) -> set[int]:
    """The small values for which a condition on the first argument holds."""
    found = rule(condition)
    return {value for value in among if matches(found, "x86_64", (value, 0, 0, 0, 0, 0))}


def wrong(text: str) -> tuple[str, str]:
    """What is wrong, and the text from its caret on."""
    with pytest.raises(ProfileError) as caught:
        section(f"allow: [{text}]")
    (found,) = caught.value.problems
    assert isinstance(found.where, Place)
    return found.what, found.where.text[found.where.column - 1 :].removesuffix("]")


@pytest.mark.parametrize(
    ("condition", "values"),
    [
        ("3", {3}),
        ('"1|2"', {3}),
        ("{in: [1, 3]}", {1, 3}),
        ("{not_in: [1, 3]}", set(range(20)) - {1, 3}),
        ("{none_of: [1, 4]}", {0, 2, 8, 10, 16, 18}),
        ("{any_of: [1, 4]}", set(range(20)) - {0, 2, 8, 10, 16, 18}),
        ("{all_of: [1, 4]}", {5, 7, 13, 15}),
        ("{only: [1, 4]}", {0, 1, 4, 5}),
        ("{masked: [6, 4]}", {4, 5, 12, 13}),
        ("{masked: [6, {in: [0, 4]}]}", {0, 1, 4, 5, 8, 9, 12, 13, 16, 17}),
        ("{masked: [6, {ge: 4}]}", {4, 5, 6, 7, 12, 13, 14, 15}),
        ("{masked: [6, {not: 4}]}", set(range(20)) - {4, 5, 12, 13}),
        ("{masked: [6, {any_of: [2]}]}", {2, 3, 6, 7, 10, 11, 14, 15, 18, 19}),
        ("{masked: [6, {only: [2]}]}", {0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19}),
        ("{masked: [7, {masked: [6, 4]}]}", {4, 5, 12, 13}),
        ("{range: [3, 5]}", {3, 4, 5}),
        ("{masked: [14, {range: [3, 5]}]}", {4, 5}),
        ("{lt: 3}", {0, 1, 2}),
        ("{le: 3}", {0, 1, 2, 3}),
        ("{gt: 17}", {18, 19}),
        ("{ge: 17}", {17, 18, 19}),
        ("{ge: 3, le: 6}", {3, 4, 5, 6}),
        ("{ge: 3, le: 6, not: 5}", {3, 4, 6}),
        ("{not: {range: [3, 15]}}", {0, 1, 2, 16, 17, 18, 19}),
        ("{not: {not: 4}}", {4}),
        ("{any: [1, {ge: 18}]}", {1, 18, 19}),
        ("{any: [{all_of: [1], le: 3}, {masked: [8, 8]}]}", {1, 3, 8, 9, 10, 11, 12, 13, 14, 15}),
        ("{not: {any: [{le: 17}, 19]}}", {18}),
    ],
)
def test_condition_holds_for_its_values_and_no_others(condition: str, values: set[int]) -> None:
    assert holding(condition) == values


@pytest.mark.parametrize(
    ("call", "argument", "condition", "mask", "ranges"),
    [
        ("socket", "family", "-1", FULL, ((FULL, FULL),)),
        ("socket", "family", "{lt: 4294967295}", FULL, ((0, FULL - 1),)),
        ("socket", "family", "{gt: 0}", FULL, ((1, FULL),)),
        ("socket", "family", "{not_in: [0, 4294967295]}", FULL, ((1, FULL - 1),)),
        ("socket", "type", "{masked: [SOCK_TYPE_MASK, SOCK_RAW]}", 0xF, ((3, 3),)),
        ("ioctl", "arg", '"18446744073709551615"', WIDE, ((WIDE, WIDE),)),
        ("ioctl", "arg", '{ge: "0x100000000"}', WIDE, ((1 << 32, WIDE),)),
        ("ioctl", "arg", '{only: ["0xFFFFFFFF"]}', FULL << 32, ((0, 0),)),
        ("ioctl", "arg", '{none_of: ["0x8000000000000000"]}', 1 << 63, ((0, 0),)),
        ("mknod", "mode", "{le: 65535, ge: 1}", 0xFFFF, ((1, 0xFFFF),)),
        ("read", "buf", "0", WIDE, ((0, 0),)),
        ("read", "buf", "{gt: 0}", WIDE, ((1, WIDE),)),
        ("read", "buf", "{not: 0}", WIDE, ((1, WIDE),)),
    ],
)
def test_condition_looks_at_what_the_kernel_looks_at(
    call: str, argument: str, condition: str, mask: int, ranges: tuple[tuple[int, int], ...]
) -> None:
    assert rule(condition, argument, call).cases == ((Condition(argument, mask, ranges),),)


def test_several_arguments_and_an_expression_all_hold() -> None:
    found = section("allow: [{socket: {family: {in: [1, 2]}, type: 1, expr: 'protocol == 0 || family == 1'}}]").values("allow")[0]
    assert isinstance(found, Rule)

    def holds(*arguments: int) -> bool:
        return matches(found, "x86_64", (*arguments, 0, 0, 0))

    assert holds(1, 1, 9)
    assert holds(2, 1, 0)
    assert not holds(2, 1, 9)
    assert not holds(1, 2, 0)
    assert not holds(3, 1, 0)


@pytest.mark.parametrize(
    ("text", "what", "rest"),
    [
        ("{socket: {family: []}}", "expected a value, or tests as in {in: [...]}", "[]}}"),
        ("{socket: {family: {}}}", "expected a value, or tests as in {in: [...]}", "{}}}"),
        ("{socket: {family: {inn: [1]}}}", "unknown condition 'inn'", "inn: [1]}}}"),
        ("{socket: {family: {in: 1}}}", "expected a list of values that is not empty, found a number", "1}}}"),
        ("{socket: {family: {any: []}}}", "expected a list of conditions that is not empty", "[]}}}"),
        ("{socket: {family: {range: [1]}}}", "expected [low, high], found 1 values", "[1]}}}"),
        ("{socket: {family: {range: [3, 2]}}}", "the range from 3 to 2 is empty", "[3, 2]}}}"),
        ("{socket: {family: {range: [-1, 2]}}}", "the range from 4294967295 to 2 is empty", "[-1, 2]}}}"),
        ("{socket: {family: {lt: 0}}}", "no value is beyond the last one", "0}}}"),
        ("{socket: {family: {gt: 4294967295}}}", "no value is beyond the last one", "4294967295}}}"),
        ("{socket: {family: {masked: 3}}}", "expected [mask, value], found a number", "3}}}"),
        ("{socket: {family: {masked: [0, 0]}}}", "a mask of 0 looks at nothing", "0, 0]}}}"),
        ("{socket: {family: {masked: [2, 1]}}}", "0x1 has bits outside of the mask 0x2", "1]}}}"),
        ("{socket: {family: {masked: [2, {in: [2, 3]}]}}}", "0x3 has bits outside of the mask 0x2", "[2, 3]}]}}}"),
        ("{socket: {family: {masked: [2, {any_of: [1]}]}}}", "0x1 has bits outside of the mask 0x2", "1]}]}}}"),
        ("{socket: {family: {masked: [2, {none_of: [1]}]}}}", "0x1 has bits outside of the mask 0x2", "1]}]}}}"),
        ("{socket: {family: {masked: [2, {all_of: [2, 4]}]}}}", "0x4 has bits outside of the mask 0x2", "4]}]}}}"),
        ("{socket: {family: {masked: [2, {only: [1]}]}}}", "0x1 has bits outside of the mask 0x2", "1]}]}}}"),
        ("{socket: {family: {masked: [2, {masked: [3, 1]}]}}}", "0x3 has bits outside of the mask 0x2", "3, 1]}]}}}"),
        ("{socket: {family: {none_of: [1, 0]}}}", "0 has no bits that could be set or clear", "0]}}}"),
        ("{socket: {family: {only: [-1]}}}", "these conditions hold for every use", "{family: {only: [-1]}}}"),
        ("{socket: {family: {ge: 0}}}", "these conditions hold for every use", "{family: {ge: 0}}}"),
        ("{socket: {family: {ge: 5, le: 4}}}", "this rule can never apply", "{family: {ge: 5, le: 4}}}"),
        (
            "{socket: {family: {masked: [1, 1], in: [2, 4]}}}",
            "this rule can never apply",
            "{family: {masked: [1, 1], in: [2, 4]}}}",
        ),
        ("{read: {buf: {masked: [1, 0]}}}", "buf is a pointer, which can be compared with 0 only", "0]}}}"),
        ("{read: {buf: {any_of: [1]}}}", "buf is a pointer, which can be compared with 0 only", "[1]}}}"),
        ("{read: {buf: {range: [0, 1]}}}", "buf is a pointer, which can be compared with 0 only", "[0, 1]}}}"),
    ],
)
def test_wrong_condition_is_refused_where_it_stands(text: str, what: str, rest: str) -> None:
    said, shown = wrong(text)
    assert said.startswith(what)
    assert shown == rest


def test_all_wrong_arguments_are_said_at_once() -> None:
    with pytest.raises(ProfileError) as caught:
        section("allow: [{socket: {famly: 1, type: AF_INET, protocol: {lt: 0}}}]")
    assert len(caught.value.problems) == 3


# ── random conditions ─────────────────────────────────────────────────────────────────────────────────────────────────

Drawn = tuple[str, frozenset[int]]
SMALL = range(16)
_ENDS = st.tuples(st.integers(0, 15), st.integers(0, 15)).map(lambda pair: (min(pair), max(pair)))
_FEW = st.lists(st.integers(0, 15), min_size=1, max_size=3)
_FLAGS = st.lists(st.sampled_from([1, 2, 4, 8, 3]), min_size=1, max_size=3)


def _joined(flags: list[int]) -> int:
    found = 0
    for flag in flags:
        found |= flag
    return found


def _where(test: object) -> frozenset[int]:
    assert callable(test)
    return frozenset(value for value in SMALL if test(value))


def _atoms() -> st.SearchStrategy[Drawn]:
    return st.one_of(
        _FEW.map(lambda few: (f"{{in: {few}}}", frozenset(few))),
        _FEW.map(lambda few: (f"{{not_in: {few}}}", frozenset(SMALL) - set(few))),
        _ENDS.map(lambda ends: (f"{{range: {list(ends)}}}", _where(lambda value: ends[0] <= value <= ends[1]))),
        _FLAGS.map(lambda flags: (f"{{none_of: {flags}}}", _where(lambda value: not value & _joined(flags)))),
        _FLAGS.map(lambda flags: (f"{{any_of: {flags}}}", _where(lambda value: value & _joined(flags)))),
        _FLAGS.map(lambda flags: (f"{{all_of: {flags}}}", _where(lambda value: value & _joined(flags) == _joined(flags)))),
        _FLAGS.map(lambda flags: (f"{{only: {flags}}}", _where(lambda value: not value & ~_joined(flags)))),
        st.integers(1, 15).map(lambda end: (f"{{lt: {end}}}", frozenset(range(end)))),
        st.integers(0, 15).map(lambda end: (f"{{ge: {end}}}", frozenset(range(end, 16)))),
        _FLAGS.flatmap(
            lambda flags: st.integers(0, 15).map(
                lambda value: (
                    f"{{masked: [{_joined(flags)}, {value & _joined(flags)}]}}",
                    _where(lambda seen: seen & _joined(flags) == value & _joined(flags)),
                )
            )
        ),
    )


def _conditions() -> st.SearchStrategy[Drawn]:
    def grow(inner: st.SearchStrategy[Drawn]) -> st.SearchStrategy[Drawn]:
        return st.one_of(
            inner.map(lambda one: (f"{{not: {one[0]}}}", frozenset(SMALL) - one[1])),
            st.lists(inner, min_size=1, max_size=3).map(
                lambda many: (f"{{any: [{', '.join(text for text, _ in many)}]}}", frozenset().union(*(held for _, held in many)))
            ),
        )

    return st.recursive(_atoms(), grow, max_leaves=5)


@settings(max_examples=400, deadline=None)
@given(_conditions())
def test_random_condition_holds_where_python_says(drawn: Drawn) -> None:
    condition, expected = drawn
    try:
        found = rule(condition)
    except ProfileError as refused:
        shown = str(refused)
    else:
        assert {value for value in SMALL if matches(found, "x86_64", (value, 0, 0, 0, 0, 0))} == expected
        return
    assert ("never apply" in shown and not expected) or ("every use" in shown and expected == frozenset(SMALL))
