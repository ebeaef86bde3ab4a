"""The proof: a stack of filters answers what the reference says, for every architecture, number and argument.

The filters are run on regions instead of values. A test that a region does not settle takes it apart, so every way through every
filter is walked with exactly the calls that go there, and what the stack answers on it is compared with what the rules say about
it. Both sides are exact, so there is nothing between the values that were looked at. The proof reads instructions and rules; it
shares nothing with what wrote the instructions but the rules' algebra in bits.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from sandboxer.abi import bpf
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.controls.seccomp import bits
from sandboxer.controls.seccomp.bits import Effort, Exhausted, Ranges, Region
from sandboxer.controls.seccomp.compiler.program import Instruction, Program
from sandboxer.controls.seccomp.meaning import Settings
from sandboxer.controls.seccomp.reference import FOREIGN, UNKNOWN, TooManyParts, answers_in, decide, names_of
from sandboxer.controls.seccomp.rules import rank
from sandboxer.errors import InternalError, Problem

WORD = 0xFFFFFFFF
ARCH, NUMBER = -2, -1
"""The index of the architecture and of the number in a Region."""

MAX_STEPS = 1 << 22
"""Steps of the ranges' algebra that a proof may take, some seconds' worth; thousands of values take a tenth of it."""

Change = Callable[[str, int], int]
"""(call, answer of the rules) -> answer that the stack is to give; the call is empty where there is none."""


@dataclass(frozen=True, slots=True)
class Witness:
    """A call for which filters and rules differ. Answers are SECCOMP_RET_* with their data."""

    arch: int
    number: int
    arguments: tuple[int, ...]
    wanted: int
    found: int

    def show(self) -> str:
        """The call in words."""
        shown = ", ".join(f"{value:#x}" for value in self.arguments)
        return f"arch {self.arch:#x} number {self.number} ({shown}): {self.found:#010x} where the rules say {self.wanted:#010x}"


class UnprovableFilter(Exception):
    """The filter has an instruction that the proof does not know. The text says which."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the accumulator holds: an argument, shifted, under a mask. shift: 32 for the upper half."""

    index: int
    shift: int
    mask: int

    def test(self, ranges: Sequence[tuple[int, int]]) -> tuple[int, int, Ranges]:
        """The test that what was seen is in these ranges, as one on the whole argument."""
        mask = self.mask << self.shift
        shifted = ((low << self.shift, high << self.shift | (1 << self.shift) - 1) for low, high in ranges)
        return self.index, mask, bits.normal(shifted, mask)


_ZERO = _Seen(ARCH, 0, 0)


def _load(offset: int) -> _Seen:
    if offset == bpf.DATA_NR:
        return _Seen(NUMBER, 0, WORD)
    if offset == bpf.DATA_ARCH:
        return _Seen(ARCH, 0, WORD)
    index, rest = divmod(offset - bpf.DATA_ARGS, 8)
    if not 0 <= index < 6 or rest not in (0, 4):
        raise UnprovableFilter(f"it loads at {offset}")
    return _Seen(index, rest * 8, WORD)


def _jump(step: Instruction) -> tuple[int, tuple[tuple[int, int], ...]]:
    """The mask that a jump lays on, and the ranges for which it is taken."""
    match step.code:
        case bpf.JMP_JEQ_K:
            return WORD, ((step.k, step.k),)
        case bpf.JMP_JGE_K:
            return WORD, ((step.k, WORD),)
        case bpf.JMP_JGT_K:
            return WORD, ((step.k + 1, WORD),) if step.k < WORD else ()
        case bpf.JMP_JSET_K:
            return step.k, ((1, WORD),)
    raise UnprovableFilter(f"it has the instruction {step.code:#x}")


def walk(program: Program, region: Region) -> Iterator[tuple[Region, int]]:
    """Every way of a region through a filter, with the answer at its end. Raises UnprovableFilter; Exhausted.

    Jumps go forward only, so instructions are looked at in their order, each with all that gets there. Ways that meet are one.
    """
    waiting: dict[int, dict[_Seen, list[Region]]] = {0: {_ZERO: [region]}}
    places = [0]

    def go(at: int, seen: _Seen, regions: Sequence[Region]) -> None:
        if not 0 <= at < len(program):
            raise UnprovableFilter("it jumps past its end")
        if at not in waiting:
            waiting[at] = {}
            heappush(places, at)
        waiting[at].setdefault(seen, []).extend(regions)

    if not program:
        raise UnprovableFilter("it has no end")
    while places:
        at = heappop(places)
        step, following = program[at], at + 1
        for seen, arrived in waiting.pop(at).items():
            regions = bits.united(arrived)
            if step.code == bpf.RET_K:
                yield from ((here, step.k) for here in regions)
            elif step.code == bpf.LD_W_ABS:
                go(following, _load(step.k), regions)
            elif step.code == bpf.ALU_AND_K:
                go(following, _Seen(seen.index, seen.shift, seen.mask & step.k), regions)
            elif step.code == bpf.JMP_JA:
                go(following + step.k, seen, regions)
            else:
                mask, ranges = _jump(step)
                index, wide, taken = _Seen(seen.index, seen.shift, seen.mask & mask).test(ranges)
                on_true = [here.narrowed(index, wide, taken) for here in regions]
                on_false = [here.narrowed(index, wide, bits.complement(taken, wide)) for here in regions]
                for ways, passed in ((on_true, step.on_true), (on_false, step.on_false)):
                    if left := [here for here in ways if here is not None]:
                        go(following + passed, seen, left)


def walk_stack(programs: Sequence[Program], region: Region) -> Iterator[tuple[Region, int]]:
    """The same for a stack in the order of loading: the strictest answer, of equal actions the newest filter's."""
    if not programs:
        yield region, bpf.RET_ALLOW
        return
    for part, newest in walk(programs[-1], region):
        for smaller, older in walk_stack(programs[:-1], part):
            yield smaller, newest if rank(newest) <= rank(older) else older


# ── what the rules say ────────────────────────────────────────────────────────────────────────────────────────────────


def _joined(numbers: Sequence[int]) -> Ranges:
    return bits.normal(((number, number) for number in numbers), WORD)


def as_said(_: str, answer: int) -> int:
    """The stack is to answer what the rules say."""
    return answer


def expected(
    settings: Settings, arch: str, change: Change = as_said, effort: Effort | None = None
) -> Iterator[tuple[Region, int]]:
    """All calls there are, in regions of one answer each, as the reference says. Raises TooManyParts."""
    native = bpf.AUDIT_ARCH[arch]
    every = Region(effort=effort)
    foreign = every.narrowed(ARCH, WORD, bits.complement(((native, native),), WORD))
    here = every.narrowed(ARCH, WORD, ((native, native),))
    assert foreign is not None
    assert here is not None
    yield foreign, change("", FOREIGN)
    known = _joined(sorted(NUMBERS[arch].values()))
    unnamed = bits.complement(known, WORD)
    if arch == "x86_64":
        x32 = ((bpf.X32_BIT, bpf.NO_NUMBER - 1),)
        yield from _at(here, x32, change("", FOREIGN))
        unnamed = bits.intersection(unnamed, bits.complement(x32, WORD))
    yield from _at(here, unnamed, change("", UNKNOWN))
    alike: dict[int, list[int]] = {}
    for number, call in sorted(names_of(arch).items()):
        parts = list(_answers(settings, call, arch, every))
        if len({answer for _, answer in parts}) == 1:
            alike.setdefault(change(call, parts[0][1]), []).append(number)
            continue
        region = here.narrowed(NUMBER, WORD, ((number, number),))
        assert region is not None
        for part, answer in _answers(settings, call, arch, region):
            yield part, change(call, answer)
    for answer, numbers in alike.items():
        yield from _at(here, _joined(numbers), answer)


def _answers(settings: Settings, call: str, arch: str, region: Region) -> Iterator[tuple[Region, int]]:
    try:
        yield from answers_in(settings, call, arch, region)
    except Exhausted as error:
        raise TooManyParts(call) from error


def _at(here: Region, numbers: Ranges, answer: int) -> Iterator[tuple[Region, int]]:
    region = here.narrowed(NUMBER, WORD, numbers)
    if region is not None:
        yield region, answer


def find_difference(settings: Settings, arch: str, programs: Sequence[Program], change: Change = as_said) -> Witness | None:
    """A call for which the stack does not answer what the rules say, or None: there is none.

    settings: of one situation. programs: in the order of loading. change: what becomes of the rules' answers in this stack.
    Raises UnprovableFilter; TooManyParts, also where it would take more than MAX_STEPS.
    """
    for region, wanted in expected(settings, arch, change, Effort(MAX_STEPS)):
        try:
            for part, found in walk_stack(programs, region):
                if found != wanted:
                    return Witness(part.witness(ARCH), part.witness(NUMBER), part.point(), wanted, found)
        except Exhausted as error:
            raise TooManyParts(names_of(arch).get(region.witness(NUMBER), "")) from error
    return None


def check_proof(settings: Settings, arch: str, programs: Sequence[Program], change: Change = as_said) -> None:
    """Raises: InternalError with a witness if the filters mean anything else than the rules; TooManyParts."""
    try:
        witness = find_difference(settings, arch, programs, change)
    except UnprovableFilter as error:
        raise InternalError(Problem("the system call filter cannot be proven", why=str(error))) from error
    if witness is None:
        return
    said = decide(settings, arch, witness.number, witness.arguments)
    why = f"{witness.show()}; said again: {said:#010x}"
    raise InternalError(
        Problem("the system call filter does not mean what the rules say", why=why, attempt="report it; nothing was started")
    )
