"""A filter as text with what stands behind it: the calls that come to each instruction, and the YAML place of each branch.

Jumps go forward only, so one pass over the instructions finds which numbers reach each of them and what its word is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sandboxer.abi import bpf
from sandboxer.controls.seccomp import bits
from sandboxer.controls.seccomp.bits import Ranges
from sandboxer.controls.seccomp.compiler.program import Instruction, Program, decode
from sandboxer.controls.seccomp.meaning import Settings, Statement
from sandboxer.controls.seccomp.reference import names_of
from sandboxer.controls.seccomp.rules import find_arguments, tests_of
from sandboxer.controls.seccomp.words import show_answer, show_value
from sandboxer.model.place import Place

WORD = 0xFFFFFFFF
_COMPARE = {bpf.JMP_JEQ_K: "==", bpf.JMP_JGT_K: ">", bpf.JMP_JGE_K: ">=", bpf.JMP_JSET_K: "&"}
_SEVERAL = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One instruction. calls: the known calls that come there. places: the rules that the branch is about."""

    at: int
    text: str
    calls: tuple[str, ...]
    places: tuple[Place, ...]

    def show(self) -> str:
        """The row as a line of text."""
        more = len(self.places) - _SEVERAL
        places = [f"{place.file}:{place.line}" for place in self.places[:_SEVERAL]] + ([f"{more} more"] if more > 0 else [])
        return f"{self.at:04}  {self.text:<66}  {', '.join(places)}".rstrip()


@dataclass(slots=True)
class _Here:
    """What is known ahead of an instruction."""

    numbers: Ranges = ()
    offset: int = -1
    mask: int = WORD

    def join(self, numbers: Ranges, offset: int, mask: int) -> None:
        """Another way comes here too."""
        self.numbers = bits.normal((*self.numbers, *numbers), WORD)
        self.offset, self.mask = offset, mask


def annotate(program: bytes, settings: Settings | None, arch: str) -> Iterator[Row]:
    """A row for each instruction of a filter. settings: of one situation, what it was compiled from, where that is known."""
    steps = decode(program)
    known = [_Here() for _ in range(len(steps) + 1)]
    known[0].join(((0, WORD),), -1, WORD)
    notes = _Notes(steps, settings, arch)
    for at, step in enumerate(steps):
        here = known[at]
        for target, numbers, offset, mask in _following(at, step, here):
            known[target].join(numbers, offset, mask)
        yield notes.row(at, step, here)


def _following(at: int, step: Instruction, here: _Here) -> Iterator[tuple[int, Ranges, int, int]]:
    """Where an instruction leads to, with what is known there."""
    match step.code:
        case bpf.RET_K:
            return
        case bpf.LD_W_ABS:
            yield at + 1, here.numbers, step.k, WORD
        case bpf.ALU_AND_K:
            yield at + 1, here.numbers, here.offset, here.mask & step.k
        case bpf.JMP_JA:
            yield at + 1 + step.k, here.numbers, here.offset, here.mask
        case code if code not in _COMPARE:
            yield at + 1, here.numbers, -1, WORD
        case _:
            taken: Ranges = ((0, WORD),)
            rest: Ranges = taken
            if here.offset == bpf.DATA_NR and step.code != bpf.JMP_JSET_K:
                first = step.k + (step.code == bpf.JMP_JGT_K)
                taken = bits.normal(((first, first if step.code == bpf.JMP_JEQ_K else WORD),), WORD)
                rest = bits.complement(taken, WORD)
            for distance, part in ((step.on_true, taken), (step.on_false, rest)):
                yield at + 1 + distance, bits.intersection(here.numbers, part), here.offset, here.mask


class _Notes:
    """Words and places for the instructions of one filter."""

    def __init__(self, steps: Program, settings: Settings | None, arch: str) -> None:
        self.steps = steps
        self.arch = arch
        self.names = names_of(arch)
        self.statements: dict[str, list[Statement]] = {}
        for wall in settings.walls if settings else ():
            for item in (*(wall.grants or ()), *wall.denies):
                self.statements.setdefault(item.rule.call, []).append(item)

    def calls(self, numbers: Ranges) -> tuple[str, ...]:
        """The known calls among some numbers."""
        return tuple(name for number, name in sorted(self.names.items()) if any(low <= number <= high for low, high in numbers))

    def row(self, at: int, step: Instruction, here: _Here) -> Row:
        """The row of one instruction."""
        calls = self.calls(here.numbers)
        match step.code:
            case bpf.RET_K:
                return Row(at, show_answer(step.k), calls, ())
            case bpf.LD_W_ABS:
                return Row(at, f"load {self.word(step.k, calls)}", calls, ())
            case bpf.ALU_AND_K:
                return Row(at, f"mask with {step.k:#x}", calls, ())
            case bpf.JMP_JA:
                return Row(at, f"go to {at + 1 + step.k:04}", calls, ())
        if step.code not in _COMPARE:
            return Row(at, f"code {step.code:#x} {step.on_true} {step.on_false} {step.k:#x}", calls, ())
        return self.branch(at, step, here, calls)

    def target(self, at: int, distance: int) -> str:
        """Where a jump leads to: the answer where that is one, else the line."""
        to = self.steps[at + 1 + distance]
        return show_answer(to.k) if to.code == bpf.RET_K else "go on" if distance == 0 else f"{at + 1 + distance:04}"

    def branch(self, at: int, step: Instruction, here: _Here, calls: tuple[str, ...]) -> Row:
        """The row of a conditional jump."""
        targets = [self.target(at, distance) for distance in (step.on_true, step.on_false)]
        word = self.word(here.offset, calls) + (f" & {self.value(here.offset, here.mask, calls)}" if here.mask != WORD else "")
        value = self.value(here.offset, step.k, calls)
        text = f"if {word} {_COMPARE[step.code]} {value}: {targets[0]}, else {targets[1]}"
        return Row(at, text, calls, tuple(sorted(set(self.places(step, here, calls)))))

    def word(self, offset: int, calls: tuple[str, ...]) -> str:
        """What lies at an offset of seccomp_data, by the name of the argument where all calls agree on it."""
        if offset in (bpf.DATA_NR, bpf.DATA_ARCH):
            return "nr" if offset == bpf.DATA_NR else "arch"
        index, half = divmod(offset - bpf.DATA_ARGS, 8)
        found = {arguments[index].name for call in calls if len(arguments := find_arguments(call, self.arch) or ()) > index}
        name = (
            f"{calls[0]}.{found.pop()}" if len(calls) == 1 and found else found.pop() if len(found) == 1 else f"argument {index}"
        )
        return f"{name}, upper half" if half else name

    def value(self, offset: int, k: int, calls: tuple[str, ...]) -> str:
        """A constant by its name."""
        if offset == bpf.DATA_NR:
            return f"{k} {self.names[k]}" if k in self.names else f"{k:#x}" if k > 9999 else str(k)
        if offset == bpf.DATA_ARCH:
            return next((name for name, token in bpf.AUDIT_ARCH.items() if token == k), f"{k:#x}")
        index, half = divmod(offset - bpf.DATA_ARGS, 8)
        arguments = find_arguments(calls[0], self.arch) or () if calls else ()
        if len(arguments) <= index or half:
            return f"{k:#x}"
        shown = show_value(f"{calls[0]}.{arguments[index].name}", k)
        return str(k) if "|" in shown and k < 4096 else shown  # a boundary between two numbers is no set of flags

    def places(self, step: Instruction, here: _Here, calls: tuple[str, ...]) -> Iterator[Place]:
        """The rules that decide at a jump: about the call next to a boundary of numbers, or with this value for the argument."""
        if here.offset == bpf.DATA_NR:
            for number in (step.k, step.k - 1):
                if name := self.names.get(number):
                    yield from (item.place for item in self.statements.get(name, ()))
                    return
        index, half = divmod(here.offset - bpf.DATA_ARGS, 8)
        if here.offset < bpf.DATA_ARGS:
            return
        for call in calls:
            for item in self.statements.get(call, ()):
                tests = [test for case in item.rule.cases for test in tests_of(call, case, self.arch) if test[0] == index]
                if any(_is_about(mask, ranges, step, 8 * half) for _, mask, ranges in tests):
                    yield item.place


def _is_about(mask: int, ranges: Ranges, step: Instruction, shift: int) -> bool:
    """Whether a value of a comparison comes from the ends of some ranges; shift: 32 for the upper half."""
    if step.code == bpf.JMP_JSET_K:
        return mask >> shift & WORD == step.k
    ends = {edge >> shift & WORD for low, high in ranges for edge in (low - 1, low, high, high + 1)}
    return step.k in ends or step.k + (step.code == bpf.JMP_JGT_K) in ends
