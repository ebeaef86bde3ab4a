"""A decision diagram as a filter: loads, comparisons as a search tree, answers once each.

Jumps in classic BPF go forward only and not far, so the program is written from its end: where something leads to is there before
what leads to it. A target that would be out of reach gets a stepping stone, a copy of an answer or a long jump.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from sandboxer.abi import bpf
from sandboxer.controls.seccomp.compiler.diagram import NUMBER, WORD, Diagram, Node
from sandboxer.controls.seccomp.compiler.program import Instruction, Program

MAX_JUMP = 255
_NEAR = 1
"""So many cuts on each side of the middle are tried."""

Weigh = Callable[[int, int], float]
"""How often numbers from the first to the last are asked for."""


@dataclass(frozen=True, slots=True)
class _Split:
    """Go `high` from this value on, else `low`."""

    value: int
    low: _Tree
    high: _Tree


@dataclass(frozen=True, slots=True)
class _Single:
    """Go `then` for this one value, else on with `rest`."""

    value: int
    then: Diagram
    rest: _Tree


_Tree = _Split | _Single | Node | int


@dataclass(frozen=True, slots=True)
class _Piece:
    low: int
    high: int
    child: Diagram
    weight: float


def _is(one: Diagram, other: Diagram) -> bool:
    return one is other or (isinstance(one, int) and one == other)


class _Search:
    """The search tree over the pieces of a node that takes the fewest comparisons, as often as each piece is asked for.

    Ranges are cut in two near the middle of their weight. The best of a few cuts is as good as the best of all, within a percent.
    """

    def __init__(self, pieces: Sequence[_Piece]) -> None:
        self.pieces = pieces
        self.weights = [0.0, *accumulate(piece.weight for piece in pieces)]
        self.known: dict[tuple[int, int], tuple[float, _Tree]] = {}

    def tree(self) -> _Tree:
        """The whole tree."""
        return self.best(0, len(self.pieces) - 1)[1]

    def best(self, first: int, last: int) -> tuple[float, _Tree]:
        """(comparisons by weight, tree) for the pieces from the first to the last."""
        found = self.known.get((first, last))
        if found is None:
            found = self.known[first, last] = self.find(first, last)
        return found

    def find(self, first: int, last: int) -> tuple[float, _Tree]:
        """The same, without looking whether it is known."""
        begin, end = self.pieces[first], self.pieces[last]
        weight = self.weights[last + 1] - self.weights[first]
        if first == last:
            return 0.0, begin.child
        middle = self.pieces[first + 1]
        if last - first == 2 and middle.low == middle.high and _is(begin.child, end.child):
            return weight, _Single(middle.low, middle.child, begin.child)
        cuts = []
        for cut in self.cuts(first, last, self.weights[first] + weight / 2):
            low_cost, low = self.best(first, cut - 1)
            high_cost, high = self.best(cut, last)
            cuts.append((low_cost + high_cost + weight, cut, _Split(self.pieces[cut].low, low, high)))
        cost, _, tree = min(cuts, key=lambda item: item[:2])
        return cost, tree

    def cuts(self, first: int, last: int, half: float) -> range:
        """Where to cut: the piece at which the upper part begins."""
        near = bisect_left(self.weights, half, first + 1, last + 1)
        return range(max(first + 1, near - _NEAR), min(last, near + _NEAR) + 1)


class _Writer:
    """The program from its end: `code[0]` is the last instruction."""

    def __init__(self, weigh: Weigh | None) -> None:
        self.weigh = weigh
        self.code: list[Instruction] = []
        self.places: dict[int, int] = {}  # by answer, or by -id of a node or tree
        self.kept: list[object] = []  # ids stay unique while their objects live

    def reach(self, target: _Tree) -> int:
        """The place of a target, near enough for a jump from the instruction after the next."""
        key = target if isinstance(target, int) else -id(target)
        at = self.places.get(key)
        if at is None:
            self.write(target)
            at = self.places[key]
        if len(self.code) + 1 - at <= MAX_JUMP:
            return at
        if isinstance(target, int):
            stone = Instruction(bpf.RET_K, 0, 0, target)
        else:
            stone = Instruction(bpf.JMP_JA, 0, 0, len(self.code) - at - 1)
        self.code.append(stone)
        self.places[key] = len(self.code) - 1
        return self.places[key]

    def jump(self, code: int, k: int, on_true: _Tree, on_false: _Tree) -> None:
        """A conditional jump to two targets."""
        # The second may be written, or get its stone, only now: then the first has moved away by that much.
        self.reach(on_false)
        there = self.reach(on_true)
        here = self.reach(on_false)
        there = self.reach(on_true)
        at = len(self.code)
        self.code.append(Instruction(code, at - there - 1, at - here - 1, k))

    def write(self, target: _Tree) -> None:
        """Write a target that is not there yet."""
        match target:
            case int():
                self.code.append(Instruction(bpf.RET_K, 0, 0, target))
                self.places[target] = len(self.code) - 1
                return
            case _Split():
                self.jump(bpf.JMP_JGE_K, target.value, target.high, target.low)
            case _Single():
                self.jump(bpf.JMP_JEQ_K, target.value, target.then, target.rest)
            case Node():
                self.node(target)
        self.kept.append(target)
        self.places[-id(target)] = len(self.code) - 1

    def node(self, node: Node) -> None:
        """The comparisons of a node, and ahead of them what loads its word."""
        _, offset, mask = node.view
        if len(node.lows) == 2 and mask != WORD and node.lows[1] <= mask & -mask:
            self.jump(bpf.JMP_JSET_K, mask, node.children[1], node.children[0])
        else:
            self.write(_Search(self.pieces(node)).tree())
            if mask != WORD:
                self.code.append(Instruction(bpf.ALU_AND_K, 0, 0, mask))
        self.code.append(Instruction(bpf.LD_W_ABS, 0, 0, offset))

    def pieces(self, node: Node) -> list[_Piece]:
        """The ranges of a node with their weights."""
        highs = [*(low - 1 for low in node.lows[1:]), node.view[2]]
        weigh = self.weigh if self.weigh and node.view == NUMBER else lambda low, high: 1.0
        return [_Piece(low, high, child, weigh(low, high)) for (low, child), high in zip(node.pieces(), highs, strict=True)]


def emit(diagram: Diagram, weigh: Weigh | None = None) -> Program:
    """The program of a diagram. It may be longer than the kernel takes. weigh: where the numbers' search tree is to be short."""
    writer = _Writer(weigh)
    writer.write(diagram)
    return tuple(reversed(writer.code))
