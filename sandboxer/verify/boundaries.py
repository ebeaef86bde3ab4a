"""Where the answers of filters can change: the numbers and arguments that their comparisons are about, and calls on both sides.

Read out of the filters themselves, by following every path that a number can take. So it finds what a filter looks at, whoever
wrote it, and what a filter should have looked at and does not must come from elsewhere (`Row` varies every argument).
"""

from __future__ import annotations

import itertools
import random
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sandboxer.abi import bpf
from sandboxer.verify.oracle import EXEMPT, Row
from sandboxer.verify.simulate import Call

_WORD = 0xFFFFFFFF
_SOURCE_X = 0x08
_COMPARE = (bpf.JMP_JEQ_K, bpf.JMP_JGT_K, bpf.JMP_JGE_K, bpf.JMP_JSET_K)
_RETURNS = (bpf.RET_K, 0x16)
_LOADS_OF_X = (0x01, 0x61, 0x81, 0x07)  # LDX IMM, MEM, LEN and TAX: the accumulator stays
_STORES = (0x02, 0x03)
_ARGUMENTS = 6
_SMALL_NUMBERS = 1024


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison that an argument meets: (half & mask) with `value`. half: 0 is the low one, 1 the high one."""

    argument: int
    half: int
    mask: int
    value: int

    def sides(self) -> Iterator[int]:
        """Values of the half on both sides of the comparison, be it for equality, order or bits."""
        yield from (self.value, self.value + 1 & _WORD, self.value - 1 & _WORD)
        yield from (self.value | ~self.mask & _WORD, self.value ^ _WORD, 0, _WORD)
        if self.mask != _WORD or self.value.bit_count() > 1:
            yield from (self.value ^ 1 << bit for bit in range(32) if self.mask >> bit & 1)


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What the accumulator holds: a known word, a masked half of an argument, or (neither) anything."""

    known: int | None = None
    argument: int = -1
    half: int = 0
    mask: int = _WORD


def find_tests(program: bytes, number: int, arch: int) -> frozenset[Compared]:
    """The comparisons of arguments that some call with this number can reach."""
    steps = tuple(struct.iter_unpack("<HBBI", program))
    found: set[Compared] = set()
    todo = [(0, _Loaded(0))]
    seen = set(todo)
    while todo:
        at, loaded = todo.pop()
        code, on_true, on_false, k = steps[at]
        if code in _RETURNS:
            continue
        if code == bpf.JMP_JA:
            targets = [(at + 1 + k, loaded)]
        elif code & ~_SOURCE_X in _COMPARE:
            if loaded.argument >= 0 and not code & _SOURCE_X:
                found.add(Compared(loaded.argument, loaded.half, loaded.mask, k))
            is_open = loaded.known is None or bool(code & _SOURCE_X)
            sides = (True, False) if is_open else (_holds(code, loaded.known or 0, k),)
            targets = [(at + 1 + (on_true if side else on_false), loaded) for side in sides]
        else:
            targets = [(at + 1, _after(code, k, loaded, number, arch))]
        todo += (target for target in targets if target not in seen)
        seen.update(targets)
    return frozenset(found)


def _holds(code: int, left: int, right: int) -> bool:
    match code:
        case bpf.JMP_JEQ_K:
            return left == right
        case bpf.JMP_JGT_K:
            return left > right
        case bpf.JMP_JGE_K:
            return left >= right
        case _:
            return left & right != 0


def _after(code: int, k: int, loaded: _Loaded, number: int, arch: int) -> _Loaded:
    """What is in the accumulator behind an instruction that neither jumps nor returns."""
    if code == bpf.LD_W_ABS:
        if k >= bpf.DATA_ARGS:
            index, rest = divmod(k - bpf.DATA_ARGS, 8)
            return _Loaded(argument=index, half=rest // 4)
        return _Loaded({bpf.DATA_NR: number & _WORD, bpf.DATA_ARCH: arch}.get(k))
    if code == bpf.ALU_AND_K:
        known = None if loaded.known is None else loaded.known & k
        return _Loaded(known, loaded.argument, loaded.half, loaded.mask & k)
    return loaded if code in _LOADS_OF_X + _STORES else _Loaded()


def argument_values(programs: Iterable[bytes], number: int, arch: int) -> tuple[tuple[int, ...], ...]:
    """For each argument the values at the boundaries of what the filters look at; none where they look at nothing.

    A half that no comparison is about is both empty and full, so that a verdict cannot hang on it unseen.
    """
    halves: dict[tuple[int, int], set[int]] = {}
    for program in programs:
        for test in find_tests(program, number, arch):
            halves.setdefault((test.argument, test.half), set()).update(test.sides())
    columns = []
    for argument in range(_ARGUMENTS):
        low, high = halves.get((argument, 0)), halves.get((argument, 1))
        pairs = itertools.product(sorted(low or {0, _WORD}), sorted(high or {0, _WORD})) if low or high else ()
        columns.append(tuple(upper << 32 | lower for lower, upper in pairs))
    return tuple(columns)


def find_numbers(programs: Iterable[bytes]) -> frozenset[int]:
    """The numbers that the filters compare with, and their neighbours."""
    found = set()
    for program in programs:
        offset = -1
        for code, _, _, k in struct.iter_unpack("<HBBI", program):
            if code == bpf.LD_W_ABS:
                offset = k
            elif code in _COMPARE and offset == bpf.DATA_NR:
                found |= {k - 1 & _WORD, k, k + 1 & _WORD}
    return frozenset(found) - EXEMPT["x86_64"]


def boundary_calls(programs: Sequence[bytes], number: int, *, limit: int, arch: int = bpf.AUDIT_ARCH["x86_64"]) -> list[Call]:
    """Calls with this number, one for each combination of values at boundaries; if there are more, `limit` of them by chance."""
    columns = argument_values(programs, number, arch)
    count = 1
    for column in columns:
        count *= len(column) or 1
    chosen: Iterable[tuple[int, ...]]
    if count <= limit:
        chosen = itertools.product(*(column or (0,) for column in columns))
    else:
        source = random.Random(number)
        chosen = (tuple(source.choice(column or (0,)) for column in columns) for _ in range(limit))
    full = tuple((1 << 64) - 1 if not column else column[0] for column in columns)
    return [Call(number, arguments, arch) for arguments in (full, *chosen)]


def plain_numbers(programs: Iterable[bytes]) -> tuple[int, ...]:
    """Numbers of the machine's own ABI worth asking about: all small ones, the filters' own, and those at powers of two."""
    powers = {(1 << bit) + step for bit in range(10, 31) for step in (-1, 0, 1)}
    found = {*range(_SMALL_NUMBERS), *find_numbers(programs), *powers}
    return tuple(sorted(number for number in found - EXEMPT["x86_64"] if 0 <= number < bpf.X32_BIT))


def make_rows(programs: Sequence[bytes], numbers: Sequence[int], *, cases: int) -> tuple[Row, ...]:
    """Rows of this many cases: one for each number whose arguments matter, with most of the cases, and one for all others."""
    pools = {number: argument_values(programs, number, bpf.AUDIT_ARCH["x86_64"]) for number in numbers}
    tested = [number for number in numbers if any(pools[number])]
    plain = tuple(number for number in numbers if not any(pools[number]))
    share = cases * 3 // 4 // max(len(tested), 1)
    rows = [Row((number,), share, pools[number]) for number in tested]
    return (*rows, Row(plain, cases - share * len(tested))) if plain else tuple(rows)
