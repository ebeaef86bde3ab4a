"""Settings as a decision diagram: what a filter looks at, in which order, and what it answers.

A node looks at one word of seccomp_data under one mask and has a child for each range of what it may see; a leaf is an answer.
Equal nodes are one object, and adjacent ranges with one child are one range, so tests and answers that several calls have in
common are there once. Words come in a fixed order: the architecture, the number, then the arguments, the upper half ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, zip_longest
from operator import itemgetter, or_

from sandboxer.abi import bpf
from sandboxer.controls.seccomp import bits
from sandboxer.controls.seccomp.bits import Ranges
from sandboxer.controls.seccomp.meaning import Settings, Wall
from sandboxer.controls.seccomp.reference import FOREIGN, UNKNOWN, in_order, names_of, strictest
from sandboxer.controls.seccomp.rules import Case, tests_of

WORD = 0xFFFFFFFF
View = tuple[int, int, int]
"""What a node looks at: (place in the order, offset in seccomp_data, mask)."""
ARCH: View = (-2, bpf.DATA_ARCH, WORD)
NUMBER: View = (-1, bpf.DATA_NR, WORD)


class Node:
    """Children by ranges: `lows[i]` is where the range of `children[i]` begins; the first begins at 0."""

    __slots__ = ("children", "lows", "view")

    def __init__(self, view: View, lows: tuple[int, ...], children: tuple[Diagram, ...]) -> None:
        self.view = view
        self.lows = lows
        self.children = children

    def pieces(self) -> Iterator[Piece]:
        """Where each range begins, and its child."""
        return zip(self.lows, self.children, strict=True)


Diagram = Node | int
"""A node, or an answer (SECCOMP_RET_* with its data)."""
Piece = tuple[int, Diagram]
"""(where a range begins, what it leads to); the next piece's begin ends it."""


MAX_NODES = 1 << 16
"""Many times what fills a filter. Tests that share no bit can ask for a node for every combination of them."""


class TooManyNodes(Exception):
    """The diagram grows beyond all that a filter could hold."""


class Forge:
    """Makes nodes, each once. Raises TooManyNodes."""

    def __init__(self) -> None:
        self._nodes: dict[tuple[View, tuple[int, ...], tuple[int, ...]], Node] = {}

    def node(self, view: View, pieces: Iterable[Piece]) -> Diagram:
        """A node for pieces in order; its only child where all pieces lead to one."""
        lows: list[int] = []
        children: list[Diagram] = []
        for low, child in pieces:
            if lows and low == lows[-1]:  # an empty range
                lows.pop()
                children.pop()
            if children and _same(children[-1], child):
                continue
            lows.append(low)
            children.append(child)
        if len(children) == 1:
            return children[0]
        key = (view, tuple(lows), tuple(_key(child) for child in children))
        found = self._nodes.get(key)
        if found is None:
            if len(self._nodes) == MAX_NODES:
                raise TooManyNodes
            found = self._nodes[key] = Node(view, tuple(lows), tuple(children))
        return found

    def where(self, view: View, ranges: Ranges, inside: Diagram, outside: Diagram) -> Diagram:
        """`inside` where the word under the mask is in the ranges, else `outside`."""
        pieces: list[Piece] = [(0, outside)]
        for low, high in ranges:
            pieces.append((low, inside))
            if high < view[2]:
                pieces.append((high + 1, outside))
        return self.node(view, pieces)

    def over(self, test: Diagram, answer: int, below: Diagram) -> Diagram:
        """`answer` where the test leads to 1, else what `below` leads to."""
        return self._applied(test, below, lambda one, other: answer if one == 1 else None if isinstance(one, Node) else other)

    def joined(self, one: Diagram, other: Diagram, choose: Callable[[int, int], int]) -> Diagram:
        """Both at once: where they lead to two answers, the chosen one."""
        return self._applied(one, other, lambda a, b: choose(a, b) if isinstance(a, int) and isinstance(b, int) else None)

    def _applied(self, one: Diagram, other: Diagram, settle: Callable[[Diagram, Diagram], Diagram | None]) -> Diagram:
        """Both at once, word by word in the order of words, until `settle` says what two of their parts are together.

        Parts that several ways lead to are taken once, or many lists of values would be as many combinations.
        """
        known: dict[tuple[int, int], Diagram] = {}

        def walk(a: Diagram, b: Diagram) -> Diagram:
            settled = settle(a, b)
            if settled is not None:
                return settled
            key = (_key(a), _key(b))
            found = known.get(key)
            if found is None:
                found = known[key] = pieces_of(a, b)
            return found

        def pieces_of(a: Diagram, b: Diagram) -> Diagram:
            if isinstance(a, Node) and isinstance(b, Node) and a.view == b.view:
                return self.node(a.view, [(low, walk(mine, theirs)) for low, mine, theirs in _side_by_side(a, b)])
            if isinstance(a, Node) and (isinstance(b, int) or a.view < b.view):
                return self.node(a.view, [(low, walk(child, b)) for low, child in a.pieces()])
            assert isinstance(b, Node)  # of two answers, `settle` has settled what they are
            return self.node(b.view, [(low, walk(a, child)) for low, child in b.pieces()])

        return walk(one, other)


def _key(one: Diagram) -> int:
    """An answer, or the identity of a node, below all answers; nodes live as long as their forge."""
    return one if isinstance(one, int) else -id(one)


def _same(one: Diagram, other: Diagram) -> bool:
    return one is other or (isinstance(one, int) and isinstance(other, int) and one == other)


def _side_by_side(one: Node, other: Node) -> Iterator[tuple[int, Diagram, Diagram]]:
    """The pieces of two nodes about one view, cut where either is cut."""
    i = j = 0
    low = 0
    while True:
        yield low, one.children[i], other.children[j]
        after_one = one.lows[i + 1] if i + 1 < len(one.lows) else WORD + 1
        after_other = other.lows[j + 1] if j + 1 < len(other.lows) else WORD + 1
        low = min(after_one, after_other)
        if low > WORD:
            return
        i += after_one == low
        j += after_other == low


# ── one call ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _half(index: int, is_upper: bool, mask: int) -> View:
    # Masks that look at all come first, so that most is decided by them.
    return (index * 2 + (not is_upper), bpf.DATA_ARGS + 8 * index + 4 * is_upper, mask)


def _test(forge: Forge, index: int, mask: int, ranges: Ranges, rest: Diagram) -> Diagram:
    """`rest` where (argument & mask) is in the ranges, else 0: as tests on the two halves that the kernel shows.

    A number is in a range if its upper half lies between the upper halves of the ends, or is one of them and the lower half
    goes along.
    """
    upper, lower = mask >> 32, mask & WORD
    if not upper:
        return forge.where(_half(index, False, lower), ranges, rest, 0)
    cuts = {0}
    for low, high in ranges:
        cuts |= {low >> 32, (low >> 32) + 1, high >> 32, (high >> 32) + 1}
    pieces: list[Piece] = []
    for cut in sorted(cut for cut in cuts if cut <= upper):
        # All numbers with this upper half are asked alike, up to the next cut.
        first, last = cut << 32, cut << 32 | lower
        within = tuple((max(low, first) & WORD, min(high, last) & WORD) for low, high in bits.touching(ranges, first, last))
        is_all = bool(within) and within[0][0] == 0 and within[-1][1] == lower and len(within) == 1
        child: Diagram = 0
        if is_all:
            child = rest
        elif within:
            child = forge.where(_half(index, False, lower), within, rest, 0)
        pieces.append((cut, child))
    return forge.node(_half(index, True, upper), pieces)


def _case(forge: Forge, call: str, case: Case, arch: str) -> Diagram:
    """1 where the case holds, else 0. The tests are nested from the last word to the first."""
    found: Diagram = 1
    for index, mask, ranges in sorted(tests_of(call, case, arch), key=lambda test: (test[0], test[1]), reverse=True):
        one = _test(forge, index, mask, ranges, 1)
        found = forge.joined(one, found, lambda a, b: a & b)
    return found


def call_diagram(forge: Forge, wall: Wall, call: str, arch: str, refused: int) -> Diagram:
    """What one wall answers to the uses of a call."""
    found: Diagram = refused
    # What the reference looks at first is laid on last.
    for answer, rules in groupby(reversed(in_order(wall, call, refused)), key=itemgetter(1)):
        tests = [_case(forge, call, case, arch) for rule, _ in rules for case in rule.cases]
        while len(tests) > 1:  # in pairs: each alone on all the others would be looked at as often as there are others
            tests = [forge.joined(one, other, or_) for one, other in zip_longest(tests[::2], tests[1::2], fillvalue=0)]
        found = forge.over(tests[0], answer, found)
    return found


# ── all calls ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def number_pieces(answers: Callable[[str], Diagram], arch: str, unknown: Diagram, foreign: Diagram) -> Iterator[Piece]:
    """A piece for each known number and for each gap between them."""
    names = names_of(arch)
    following = 0
    for number in sorted(names):
        if number > following:
            yield following, unknown
        yield number, answers(names[number])
        following = number + 1
    yield following, unknown
    if arch == "x86_64":
        yield bpf.X32_BIT, foreign
        yield bpf.NO_NUMBER, unknown


def whole_diagram(
    forge: Forge, settings: Settings, walls: Sequence[Wall], arch: str, passed: Iterable[str] = (), also: Sequence[Wall] = ()
) -> Diagram:
    """What the filter of some walls answers to every call of every architecture.

    passed: calls that it lets through whole, because a later filter decides about them. also: further walls whose verdict on
    just these calls it has to give.
    """
    let_through = frozenset(passed)

    def answer(call: str) -> Diagram:
        if call in let_through:
            return bpf.RET_ALLOW
        return walls_diagram(forge, settings, (*walls, *(also if call in LATE_CALLS else ())), call, arch)

    numbers = forge.node(NUMBER, number_pieces(answer, arch, UNKNOWN, FOREIGN))
    native = bpf.AUDIT_ARCH[arch]
    return forge.node(ARCH, [(0, FOREIGN), (native, numbers), (native + 1, FOREIGN)])


def walls_diagram(forge: Forge, settings: Settings, walls: Sequence[Wall], call: str, arch: str) -> Diagram:
    """What several walls answer to the uses of a call: the strictest answer, of equal actions the first wall's."""
    refused = bpf.RET_ERRNO | settings.errno_of(call)
    found = call_diagram(forge, walls[0], call, arch, refused)
    for wall in walls[1:]:
        found = forge.joined(found, call_diagram(forge, wall, call, arch, refused), lambda a, b: strictest((a, b)))
    return found


def single_calls(forge: Forge, settings: Settings, arch: str, calls: Sequence[str]) -> Diagram:
    """What all walls answer to these calls; every other call passes."""

    def answer(call: str) -> Diagram:
        return walls_diagram(forge, settings, settings.walls, call, arch) if call in calls else bpf.RET_ALLOW

    numbers = forge.node(NUMBER, number_pieces(answer, arch, bpf.RET_ALLOW, bpf.RET_ALLOW))
    native = bpf.AUDIT_ARCH[arch]
    return forge.node(ARCH, [(0, bpf.RET_ALLOW), (native, numbers), (native + 1, bpf.RET_ALLOW)])


LATE_CALLS = ("seccomp",)
"""What loads the filters: every filter but the last lets it pass, and the last one has the verdict of all walls on it."""


def replaced(forge: Forge, diagram: Diagram, change: Callable[[int], int]) -> Diagram:
    """The diagram with other answers."""
    known: dict[int, Diagram] = {}

    def walk(at: Diagram) -> Diagram:
        if isinstance(at, int):
            return change(at)
        found = known.get(id(at))
        if found is None:
            found = known[id(at)] = forge.node(at.view, [(low, walk(child)) for low, child in at.pieces()])
        return found

    return walk(diagram)
