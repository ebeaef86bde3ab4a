"""A decision diagram as a filter: loads, comparisons as a search tree, answers once each.

Jumps in classic BPF go forward only and not far, so the program is written from its end: where something leads to is there before
what leads to it. A target that would be out of reach gets a stepping stone, a copy of an answer or a long jump.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sandboxer.abi import bpf
from sandboxer.controls.seccomp.compiler.diagram import NUMBER, WORD, Diagram, Node
from sandboxer.controls.seccomp.compiler.program import Instruction, Program

MAX_JUMP = 255
_CHAIN = 1
"""So many single values within a range are asked for ahead of halving it. More of them make a shorter program and longer ways."""

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

    @property
    def is_single(self) -> bool:
        return self.low == self.high


@dataclass(frozen=True, slots=True)
class _Run:
    """Neighbouring pieces that lead to one child but for a few single values."""

    low: int
    weight: float
    tree: _Tree


def _run_length(pieces: Sequence[_Piece], begin: int, base: Diagram) -> int:
    """How many pieces from `begin` on lead to `base` or are single values, of which a run holds only a few."""
    singles = 0
    for count, piece in enumerate(pieces[begin:]):
        if _is(piece.child, base):
            continue
        singles += 1
        if not piece.is_single or singles > _CHAIN:
            return count
    return len(pieces) - begin


def _is(one: Diagram, other: Diagram) -> bool:
    return one is other or (isinstance(one, int) and one == other)


def _runs(pieces: Sequence[_Piece]) -> list[_Run]:
    found = []
    begin = 0
    while begin < len(pieces):
        bases = [piece.child for piece in pieces[begin : begin + 2]]
        length, base = max(((_run_length(pieces, begin, base), base) for base in bases), key=lambda pair: pair[0])
        taken = pieces[begin : begin + max(length, 1)]
        tree: _Tree = base if length else taken[0].child
        # The value that is asked for most is asked first, so it is put on last.
        for piece in sorted(taken, key=lambda piece: piece.weight):
            if not _is(piece.child, base):
                tree = _Single(piece.low, piece.child, tree)
        found.append(_Run(taken[0].low, sum(piece.weight for piece in taken), tree))
        begin += len(taken)
    return found


def _tree(runs: Sequence[_Run]) -> _Tree:
    """A search tree over the runs, halved by weight."""
    if len(runs) == 1:
        return runs[0].tree
    total = sum(run.weight for run in runs)
    passed, best, at = 0.0, float("inf"), 1
    for number, run in enumerate(runs[:-1], 1):
        passed += run.weight
        imbalance = abs(total - 2 * passed)
        if imbalance < best:
            best, at = imbalance, number
    return _Split(runs[at].low, _tree(runs[:at]), _tree(runs[at:]))


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
            tree = _tree(_runs(self.pieces(node)))
            self.write(tree)
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
