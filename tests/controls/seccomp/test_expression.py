"""Expressions mean what their operators say, and what is wrong with one is shown by a caret in its text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandboxer.controls.seccomp.rules import Condition, Rule, matches
from sandboxer.errors import ProfileError
from sandboxer.model.place import Place
from tests.controls.seccomp.filters import section

FULL = 0xFFFFFFFF
POINTS = [(a, b, c, 0, 0, 0) for a in range(6) for b in range(6) for c in (0, 1, 5)]


def rule(expression: str, call: str = "socket") -> Rule:
    found = section(f"allow: [{{{call}: {{expr: '{expression}'}}}}]").values("allow")[0]
    assert isinstance(found, Rule)
    return found


def holds(expression: str, *arguments: int, call: str = "socket") -> bool:
    return matches(rule(expression, call), "x86_64", (*arguments, *(0,) * (6 - len(arguments))))


def problem(text: str) -> tuple[str, str]:
    """What is wrong with a section, and the text from its caret on."""
    with pytest.raises(ProfileError) as caught:
        section(text)
    (found,) = caught.value.problems
    assert isinstance(found.where, Place)
    return found.what, found.where.text[found.where.column - 1 :]


def wrong(expression: str, call: str = "socket") -> tuple[str, str]:
    what, rest = problem(f"allow: [{{{call}: {{expr: '{expression}'}}}}]")
    return what, rest.removesuffix("'}}]")


# ── operators ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("expression", "yes", "no"),
    [
        ("family == 2", (2,), (3,)),
        ("2 == family", (2,), (3,)),
        ("family != 2", (3,), (2,)),
        ("family < 2", (1,), (2,)),
        ("family <= 2", (2,), (3,)),
        ("family > 2", (3,), (2,)),
        ("family >= 2", (2,), (1,)),
        ("2 < family", (3,), (2,)),
        ("2 <= family", (2,), (1,)),
        ("2 > family", (1,), (2,)),
        ("2 >= family", (2,), (3,)),
        ("family in {1, 3,5}", (3,), (2,)),
        ("family in {AF_INET|1, ~0}", (FULL,), (2,)),
        ("family & 6 == 4", (0xC,), (6,)),
        ("family & 6 in {2, 4}", (0xC,), (6,)),
        ("6 & family == 4", (0xC,), (6,)),
        ("family", (1,), (0,)),
        ("family & 4", (4,), (3,)),
        ("!family", (0,), (1,)),
        ("!(family == 2 || family == 4)", (3,), (4,)),
        ("!!family", (7,), (0,)),
        ("family == AF_INET6", (10,), (2,)),
        ("family == 0x0A", (10,), (2,)),
        ("family == -1", (FULL,), (1,)),
        ("family & ~1 == 4", (5,), (6,)),
        ("family & (2|4) == 4", (0xC,), (6,)),
        ("family == (7 & 3)", (3,), (7,)),
        ("((family)) == ((2))", (2,), (3,)),
        ("type & SOCK_TYPE_MASK == SOCK_STREAM", (0, 0x80001), (0, 2)),
        ("\tfamily\n==2 ", (2,), (3,)),
    ],
)
def test_operator_holds_for_its_values_and_for_no_others(expression: str, yes: tuple[int, ...], no: tuple[int, ...]) -> None:
    assert holds(expression, *yes)
    assert not holds(expression, *no)


@pytest.mark.parametrize(
    ("expression", "grouped", "otherwise"),
    [
        ("family == 1 || type == 1 && protocol == 1", "family == 1 || (type == 1 && protocol == 1)", (1, 0, 0)),
        ("family == 1 && type == 1 || protocol == 1", "(family == 1 && type == 1) || protocol == 1", (0, 0, 1)),
        ("!family == 0 || type", "(!family) == 0 || type", ()),
        ("!family && type", "(!family) && type", (0, 1)),
        ("!family || type", "(!family) || type", (0, 0)),
        ("family & 1|2 == 3", "family & (1|2) == 3", ()),
        ("family == 1|2", "family == (1|2)", (3,)),
        ("family & 2 == 2 && type & 1", "((family & 2) == 2) && (type & 1)", (2, 1)),
        ("family & ~2 == 1", "(family & (~2)) == 1", (3,)),
        ("family == 4|2&1", "family == (4|(2&1))", (4,)),
        ("1 == family && 2 < type", "(1 == family) && (2 < type)", (1, 3)),
    ],
)
def test_operators_bind_as_the_grammar_says(expression: str, grouped: str, otherwise: tuple[int, ...]) -> None:
    """A row without a point is refused, grouped or not: the operators bind so that the parts do not go together."""
    if otherwise:
        assert rule(expression) == rule(grouped)
        assert holds(expression, *otherwise)
    else:
        assert wrong(expression)
        assert wrong(grouped) if "1|2" not in expression else True


Formula = tuple[str, int, frozenset[tuple[int, ...]]]
"""(text, strength of its weakest operator, where it holds)."""
_NAMES = ("family", "type", "protocol")
_COMPARED = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


@st.composite
def comparisons(draw: st.DrawFn) -> Formula:
    at, sign, value = draw(st.integers(0, 2)), draw(st.sampled_from(sorted(_COMPARED))), draw(st.integers(0, 6))
    mask = draw(st.sampled_from([FULL, FULL, 1, 6]))
    seen = _NAMES[at] if mask == FULL else f"{_NAMES[at]} & {mask}"
    where = frozenset(point for point in POINTS if _COMPARED[sign](point[at] & mask, value))
    return f"{seen} {sign} {value}", 3, where


def in_parentheses(formula: Formula, least: int) -> str:
    return formula[0] if formula[1] >= least else f"({formula[0]})"


def formulas() -> st.SearchStrategy[Formula]:
    def grow(inner: st.SearchStrategy[Formula]) -> st.SearchStrategy[Formula]:
        two = st.tuples(inner, inner)
        return st.one_of(
            two.map(lambda pair: (f"{in_parentheses(pair[0], 2)} && {in_parentheses(pair[1], 3)}", 2, pair[0][2] & pair[1][2])),
            two.map(lambda pair: (f"{in_parentheses(pair[0], 1)} || {in_parentheses(pair[1], 2)}", 1, pair[0][2] | pair[1][2])),
            inner.map(lambda one: (f"!{in_parentheses(one, 6)}", 6, frozenset(POINTS) - one[2])),
        )

    return st.recursive(comparisons(), grow, max_leaves=8)


@settings(max_examples=400, deadline=None)
@given(formulas())
def test_formula_with_as_few_parentheses_as_it_takes_holds_where_it_should(formula: Formula) -> None:
    text, _, where = formula
    try:
        found = rule(text)
    except ProfileError as refused:
        shown = str(refused)
    else:
        assert {point for point in POINTS if matches(found, "x86_64", point)} == where, text
        return
    assert ("never apply" in shown and not where) or ("every use" in shown and where == frozenset(POINTS))


def test_narrow_argument_is_compared_without_what_the_kernel_drops() -> None:
    assert holds("family == 2", 2 | 7 << 32)
    assert not holds("arg == 2", 0, 0, 2 | 7 << 32, call="ioctl")
    assert holds("arg == 2", 0, 0, 2, call="ioctl")


@pytest.mark.parametrize(
    ("call", "name", "top"), [("socket", "family", 1 << 31), ("ioctl", "arg", 1 << 63), ("mknod", "mode", 1 << 15)]
)
def test_every_bit_of_an_argument_can_be_masked_out(call: str, name: str, top: int) -> None:
    (condition,) = rule(f"{name} & ~{top} == 1", call).cases[0]
    assert condition == Condition(name, top - 1, ((1, 1),))
    (condition,) = rule(f"{name} & ~({top}|1) == 2", call).cases[0]
    assert condition == Condition(name, top - 2, ((2, 2),))


def test_pointer_is_compared_with_null_only() -> None:
    assert holds("buf", 0, 1, call="read")
    assert holds("buf == 0", 0, 0, call="read")
    assert holds("!buf", 0, 0, call="read")
    assert "buf is a pointer" in wrong("buf == 1", "read")[0]
    assert "buf is a pointer" in wrong("buf & 1 == 0", "read")[0]


# ── what is wrong, and where ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("expression", "what", "rest"),
    [
        ("famly == 2", "'famly' is no argument of socket, and no constant", "famly == 2"),
        ("family == AF_INETT", "'AF_INETT' is no argument of socket, and no constant", "AF_INETT"),
        ("family == 2 &&", "expected a value, found the end", ""),
        ("family ==", "expected a value, found the end", ""),
        ("family == 2 type", "'type' is not expected here", "type"),
        ("(family == 2", "expected ), found the end", ""),
        ("family == 2)", "')' is not expected here", ")"),
        ("family = 2", "'=' has no meaning in an expression", "= 2"),
        ("family == 2 ? 1", "'?' has no meaning in an expression", "? 1"),
        ("family == é", "'é' has no meaning in an expression", "é"),
        ("family == 1 == 2", "comparisons cannot be chained", "== 2"),
        ("1 < family < 3", "comparisons cannot be chained", "< 3"),
        ("family == type", "== goes between an argument and a constant", "== type"),
        ("1 == 1", "== goes between an argument and a constant", "== 1"),
        ("5", "a constant alone is no condition", "5"),
        ("family == 2 && 5", "a constant alone is no condition", "&& 5"),
        ("family | 1", "| joins constants only", "| 1"),
        ("family & type", "& goes between an argument and a constant", "& type"),
        ("family & 0", "this mask looks at nothing", "& 0"),
        ("~family == 1", "~ goes with constants only", "~family == 1"),
        ("family in 2", "expected {, found '2'", "2"),
        ("family in {2", "expected }, found the end", ""),
        ("family in {2,}", "expected a value, found '}'", "}"),
        ("family in {}", "expected a value, found '}'", "}"),
        ("family in {type}", "a set holds constants", "type}"),
        ("family in {2} in {3}", "comparisons cannot be chained", "in {3}"),
        ("2 in {2}", "only an argument can be in a set", "in {2}"),
        ("type == AF_INET", "AF_INET is no value of type", "AF_INET"),
        ("family == 4294967296", "4294967296 does not fit into family", "4294967296"),
        (
            "family == 1 || family == 99999999999999999999",
            "99999999999999999999 does not fit into family",
            "99999999999999999999",
        ),
        ("family == 999999999999999999999", "unknown value '999999999999999999999'", "999999999999999999999"),
        ("family == _x", "unknown value '_x'", "_x"),
        ("== 2", "expected a value, found '=='", "== 2"),
        ("", "expected a value, found the end", "'"),
        ("family == 3 && family == 4", "this rule can never apply", "{expr: 'family == 3 && family == 4"),
        ("family == 3 || family != 3", "these conditions hold for every use", "{expr: 'family == 3 || family != 3"),
    ],
)
def test_wrong_expression_is_shown_with_a_caret(expression: str, what: str, rest: str) -> None:
    assert wrong(expression) == (what, rest)


def test_caret_is_right_in_double_quotes_and_without_any() -> None:
    assert problem('allow: [{socket: {expr: "family == 2 && tpye == 1"}}]')[1].startswith("tpye == 1")
    assert problem("allow:\n  - socket:\n      expr: family == 2 && tpye == 1")[1] == "tpye == 1"
    assert problem("allow:\n  - socket:\n      expr:    'family == 2 && tpye == 1'")[1] == "tpye == 1'"


def test_same_text_earlier_in_the_line_does_not_draw_the_caret() -> None:
    text = "allow: [{socket: {type: 1, expr: 'type'}}, {socket: {expr: 'type x'}}]"
    assert problem(text)[1] == "x'}}]"


@pytest.mark.parametrize("style", [">", ">-", "|", "|-"])
def test_caret_of_a_folded_text_is_at_its_beginning(style: str) -> None:
    """The lines of a folded text are joined before anybody reads them: its place is all there is."""
    text = f"allow:\n  - socket:\n      expr: {style}\n        family == 2 &&\n        tpye == 1\n"
    what, rest = problem(text)
    assert what == "'tpye' is no argument of socket, and no constant"
    assert rest == style


@pytest.mark.parametrize("style", [">", ">-", "|", "|-"])
def test_folded_text_is_read_over_its_lines(style: str) -> None:
    text = f"allow:\n  - socket:\n      expr: {style}\n        family == 2\n        && type == 1\n"
    assert section(text).values("allow") == (rule("family == 2 && type == 1"),)


def test_caret_of_escapes_in_double_quotes_is_at_the_beginning() -> None:
    assert problem('allow: [{socket: {expr: "family\\x20== 2 && tpye"}}]')[1].startswith('"family')


def test_misspelt_names_are_followed_by_what_was_meant() -> None:
    with pytest.raises(ProfileError) as caught:
        rule("famly == AF_UNIX")
    assert caught.value.problems[0].attempt == "did you mean family?"
    assert caught.value.problems[0].why == "socket has family, type, protocol"


# ── hostile texts ─────────────────────────────────────────────────────────────────────────────────────────────────────

DEEP = 50


@pytest.mark.parametrize("opening", ["(", "!", "~", "(!", "!(", "((family == 1) || "])
@pytest.mark.parametrize("count", [DEEP - 1, DEEP, DEEP + 1, 500])
def test_nesting_without_an_end_is_refused(opening: str, count: int) -> None:
    with pytest.raises(ProfileError):
        rule(opening * count)


def test_nesting_within_the_limit_is_read_and_one_more_is_refused() -> None:
    assert rule("(" * (DEEP - 1) + "family" + ")" * (DEEP - 1)) == rule("family")
    what, rest = wrong("(" * DEEP + "family" + ")" * DEEP)
    assert what == "nested deeper than 50 levels"
    assert rest == "family" + ")" * DEEP


@pytest.mark.parametrize(
    "text",
    [
        "family == " + "9" * 10000,
        "family == 0x" + "f" * 5000,
        "family == -" + "9" * 30,
        "family == 0x",
        "family == 1" + " || family == 1" * 2000,
        "&&" * 1000,
        "}" * 100,
        "٣ == family",
        "family == ٣",
        "family٣ == 3",
        "family\u2028== 3 \u00a0",
        "\uff46\uff41mily == 3",
        "family == \\N{DIGIT ONE}",
    ],
)
def test_hostile_text_is_read_or_refused(text: str) -> None:
    assert read_or_refused(text)


WORDS = "family type protocol 0 1 -1 0x7 AF_UNIX SOCK_STREAM 4294967295 99999999999 == != < <= > >= in | & || && ! ~ ( ) { } , ="


@settings(max_examples=600, deadline=None)
@given(st.one_of(st.text(max_size=40), st.lists(st.sampled_from(WORDS.split()), max_size=14).map(" ".join)))
def test_any_text_is_read_or_refused_and_nothing_else(text: str) -> None:
    assert read_or_refused(text)


def read_or_refused(text: str) -> object:
    """The rules of an expression, or what is wrong with it."""
    quoted = text.replace("'", "''")
    try:
        return section(f"allow: [{{socket: {{expr: '{quoted}'}}}}]").values("allow")
    except ProfileError as refused:
        return str(refused)
