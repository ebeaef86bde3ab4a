"""Decision diagrams answer what their parts say, are shared where they are equal, and look at words in one order."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandboxer.abi import bpf
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.controls.seccomp import bits
from sandboxer.controls.seccomp.compiler import diagram as room
from sandboxer.controls.seccomp.compiler.diagram import (
    NUMBER,
    WORD,
    Diagram,
    Forge,
    Node,
    TooManyNodes,
    View,
    call_diagram,
    number_pieces,
    replaced,
    single_calls,
    whole_diagram,
)
from sandboxer.controls.seccomp.reference import decide
from sandboxer.controls.seccomp.rules import ARCHITECTURES, Situation
from tests.controls.seccomp.filters import MINIMAL, meaning

FIRST: View = (1, 16, WORD)
SECOND: View = (3, 24, WORD)
MASKED: View = (1, 16, 6)
ONE, TWO, THREE = 101, 102, 103


def follow(diagram: Diagram, words: dict[int, int]) -> int:
    """The answer to a call of which these words stand at these offsets of seccomp_data."""
    while isinstance(diagram, Node):
        _, offset, mask = diagram.view
        seen = words.get(offset, 0) & mask
        diagram = next(child for low, child in reversed(list(diagram.pieces())) if low <= seen)
    return diagram


def call_words(arch: str, number: int, arguments: tuple[int, ...]) -> dict[int, int]:
    """struct seccomp_data."""
    words = {0: number & WORD, 4: bpf.AUDIT_ARCH[arch]}
    for index, value in enumerate(arguments):
        words |= {16 + 8 * index: value & WORD, 20 + 8 * index: value >> 32}
    return words


# ── nodes ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_node_goes_where_its_ranges_say() -> None:
    node = Forge().node(FIRST, [(0, ONE), (5, TWO), (7, THREE)])
    assert [follow(node, {16: value}) for value in (0, 4, 5, 6, 7, WORD)] == [ONE, ONE, TWO, TWO, THREE, THREE]


def test_equal_nodes_are_one_object() -> None:
    forge = Forge()
    assert forge.node(FIRST, [(0, ONE), (5, TWO)]) is forge.node(FIRST, [(0, ONE), (3, ONE), (5, TWO), (9, TWO)])
    assert forge.node(FIRST, [(0, ONE), (5, TWO)]) is not forge.node(SECOND, [(0, ONE), (5, TWO)])
    assert forge.node(FIRST, [(0, ONE), (5, TWO)]) is not forge.node(FIRST, [(0, ONE), (5, THREE)])
    assert forge.node(FIRST, [(0, ONE), (5, TWO)]) is not forge.node(FIRST, [(0, ONE), (6, TWO)])


def test_node_of_one_child_is_the_child() -> None:
    forge = Forge()
    inner = forge.node(SECOND, [(0, ONE), (5, TWO)])
    assert forge.node(FIRST, [(0, ONE), (9, ONE)]) == ONE
    assert forge.node(FIRST, [(0, inner), (9, inner)]) is inner


def test_empty_range_is_dropped() -> None:
    forge = Forge()
    assert forge.node(FIRST, [(0, ONE), (5, TWO), (5, THREE)]) is forge.node(FIRST, [(0, ONE), (5, THREE)])
    assert forge.node(FIRST, [(0, ONE), (0, TWO)]) == TWO
    assert forge.node(FIRST, [(0, ONE), (5, TWO), (5, ONE)]) == ONE


def test_answer_is_not_taken_for_a_node_of_that_number() -> None:
    """Nodes are told apart by their ids: an answer must never be equal to one."""
    forge = Forge()
    inner = forge.node(SECOND, [(0, ONE), (5, TWO)])
    outer = forge.node(FIRST, [(0, ONE), (5, inner)])
    assert forge.node(FIRST, [(0, ONE), (5, id(inner))]) is not outer


@pytest.mark.parametrize(
    ("ranges", "inside"),
    [
        (((0, 0),), {0}),
        (((0, 3), (5, 5)), {0, 1, 2, 3, 5}),
        (((WORD, WORD),), {WORD}),
        (((0, WORD),), {0, 1, 5, WORD}),
        ((), set()),
    ],
)
def test_where_is_inside_of_the_ranges_only(ranges: bits.Ranges, inside: set[int]) -> None:
    found = Forge().where(FIRST, ranges, ONE, TWO)
    assert {value for value in (0, 1, 2, 3, 4, 5, 6, WORD - 1, WORD) if follow(found, {16: value}) == ONE} >= inside
    assert all(
        follow(found, {16: value}) == (ONE if value in inside else TWO)
        for value in (0, 1, 4, 5, 6, WORD)
        if ranges != ((0, WORD),)
    )


def test_more_nodes_than_any_filter_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MAX_NODES", 3)
    forge = Forge()
    for value in (1, 2, 3):
        assert forge.node(FIRST, [(0, ONE), (value, TWO)])
    assert forge.node(FIRST, [(0, ONE), (3, TWO)])
    with pytest.raises(TooManyNodes):
        forge.node(FIRST, [(0, ONE), (4, TWO)])


# ── laid over and joined ──────────────────────────────────────────────────────────────────────────────────────────────

VALUES = (0, 1, 2, 3, 4, 5, 6, 7)


@st.composite
def diagrams(draw: st.DrawFn, answers: tuple[int, ...]) -> Diagram:
    forge = FORGE

    def grow(views: tuple[View, ...]) -> Diagram:
        if not views or draw(st.integers(0, 3)) == 0:
            return draw(st.sampled_from(answers))
        lows = sorted({0, *draw(st.lists(st.integers(0, 7), max_size=3))})
        return forge.node(views[0], [(low, grow(views[1:])) for low in lows])

    return grow((MASKED, FIRST, SECOND))


FORGE = Forge()


def everywhere() -> list[dict[int, int]]:
    return [{16: a, 24: b} for a, b in itertools.product(VALUES, VALUES)]


@settings(deadline=None, max_examples=200)
@given(diagrams((0, 1)), diagrams((ONE, TWO, THREE)))
def test_test_laid_over_answers_where_it_holds(test: Diagram, below: Diagram) -> None:
    found = FORGE.over(test, 7, below)
    for words in everywhere():
        assert follow(found, words) == (7 if follow(test, words) else follow(below, words))


@settings(deadline=None, max_examples=200)
@given(diagrams((ONE, TWO, THREE)), diagrams((ONE, TWO, THREE)))
def test_joined_diagrams_answer_as_chosen(one: Diagram, other: Diagram) -> None:
    found = FORGE.joined(one, other, lambda a, b: a * 1000 + b)
    for words in everywhere():
        assert follow(found, words) == follow(one, words) * 1000 + follow(other, words)


@settings(deadline=None, max_examples=100)
@given(diagrams((ONE, TWO, THREE)))
def test_replaced_answers_are_replaced_everywhere(one: Diagram) -> None:
    found = replaced(FORGE, one, lambda answer: 7 if answer == ONE else answer)
    for words in everywhere():
        assert follow(found, words) == (7 if follow(one, words) == ONE else follow(one, words))
    assert replaced(FORGE, one, lambda answer: answer) is one


@settings(deadline=None, max_examples=100)
@given(diagrams((0, 1)), diagrams((ONE, TWO, THREE)))
def test_words_are_looked_at_in_one_order(test: Diagram, below: Diagram) -> None:
    def check(at: Diagram) -> None:
        for child in at.children if isinstance(at, Node) else ():
            assert isinstance(at, Node)
            assert isinstance(child, int) or at.view < child.view
            check(child)

    check(FORGE.over(test, 7, below))


# ── calls ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_number_has_one_piece(arch: str) -> None:
    pieces = list(number_pieces(lambda call: NUMBERS[arch][call] + 5000, arch, 1, 2))
    lows = [low for low, _ in pieces]
    assert lows == sorted(set(lows))
    assert lows[0] == 0
    node = Forge().node(NUMBER, pieces)
    names = set(NUMBERS[arch].values())
    for number in (*range(600), 0x3FFFFFFF, 0x40000000, 0x40000001, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF):
        is_x32 = arch == "x86_64" and 0x40000000 <= number < 0xFFFFFFFF
        expected = number + 5000 if number in names else 2 if is_x32 else 1
        assert follow(node, {0: number}) == expected, number


def test_wide_argument_is_split_into_its_halves_and_a_narrow_one_is_not() -> None:
    text = "allow: [execve, exit_group, {lseek: {offset: {range: ['4294967298', '21474836483']}, whence: 1}}]"
    wall = meaning(text).at(Situation()).walls[0]
    found = call_diagram(Forge(), wall, "lseek", "x86_64", ONE)

    def answer(offset: int, whence: int) -> int:
        return follow(found, call_words("x86_64", 8, (0, offset, whence)))

    inside = (1 << 32 | 2, 1 << 32 | WORD, 2 << 32, 4 << 32 | WORD, 5 << 32, 5 << 32 | 3)
    outside = (0, WORD, 1 << 32, 1 << 32 | 1, 5 << 32 | 4, 6 << 32 | 3, (1 << 64) - 1)
    assert [answer(value, 1) for value in inside] == [bpf.RET_ALLOW] * len(inside)
    assert [answer(value, 1) for value in outside] == [ONE] * len(outside)
    assert answer(inside[0], 1 | 7 << 32) == bpf.RET_ALLOW
    assert answer(inside[0], 2) == ONE


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_whole_diagram_is_the_reference_on_its_own_architecture_and_kills_elsewhere(arch: str) -> None:
    found = meaning(f"{MINIMAL}\ndeny: [{{openat: {{flags: 1}}, action: trap}}]").at(Situation(arch))
    whole = whole_diagram(Forge(), found, found.walls, arch)
    for number in range(600):
        arguments = (1, 1, 1, 1, 1, 1)
        assert follow(whole, call_words(arch, number, arguments)) == decide(found, arch, number, arguments)
    for other in ("i386", *(known for known in ARCHITECTURES if known != arch)):
        assert follow(whole, {0: 59, 4: bpf.AUDIT_ARCH[other]}) == bpf.RET_KILL_PROCESS
    assert follow(whole, {0: 59, 4: 0}) == bpf.RET_KILL_PROCESS


def test_passed_calls_pass_whole_and_layers_decide_only_about_what_loads_filters() -> None:
    found = meaning("allow: [execve, exit_group, bpf, seccomp]", "deny: [bpf, seccomp]").at(Situation())
    own, layer = found.walls
    passed = whole_diagram(Forge(), found, [layer], "x86_64", ["bpf", "seccomp"])
    assert follow(passed, call_words("x86_64", NUMBERS["x86_64"]["bpf"], ())) == bpf.RET_ALLOW
    last = whole_diagram(Forge(), found, [own], "x86_64", also=[layer])
    assert follow(last, call_words("x86_64", NUMBERS["x86_64"]["seccomp"], ())) == bpf.RET_ERRNO | 1
    assert follow(last, call_words("x86_64", NUMBERS["x86_64"]["bpf"], ())) == bpf.RET_ALLOW


def test_single_calls_are_decided_and_every_other_passes() -> None:
    found = meaning("allow: [execve, exit_group, bpf]", "deny: [bpf]").at(Situation())
    only = single_calls(Forge(), found, "x86_64", ["bpf", "mount"])
    number = NUMBERS["x86_64"]
    assert follow(only, call_words("x86_64", number["bpf"], ())) == bpf.RET_ERRNO | 1
    assert follow(only, call_words("x86_64", number["mount"], ())) == bpf.RET_ERRNO | 1
    for other in (number["ptrace"], 999, bpf.X32_BIT | 5, bpf.NO_NUMBER):
        assert follow(only, call_words("x86_64", other, ())) == bpf.RET_ALLOW
    assert follow(only, {0: number["bpf"], 4: bpf.AUDIT_ARCH["i386"]}) == bpf.RET_ALLOW
