"""The few words of classic BPF that we write ourselves: whole programs of straight-line decisions, each jump resolved.

Every decision is `if equal, go on; else jump to the end of this part` with a long jump, so that no distance is ever too far.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from sandboxer.abi import bpf
from sandboxer.controls.seccomp.compiler import program as instructions
from sandboxer.controls.seccomp.compiler.program import Instruction, Program
from sandboxer.controls.seccomp.libseccomp.blocks import Comparison, comparisons
from sandboxer.controls.seccomp.rules import Test
from sandboxer.errors import Problem, ProfileError

_HALF = 0xFFFFFFFF


def answer(action: int) -> Program:
    """End with this verdict."""
    return (Instruction(bpf.RET_K, 0, 0, action),)


def refuse(errno: int) -> Program:
    """End with this error number."""
    return answer(bpf.RET_ERRNO | errno)


def load(offset: int) -> Program:
    """Load a word of seccomp_data."""
    return (Instruction(bpf.LD_W_ABS, 0, 0, offset),)


def when_equal(value: int, then: Program) -> Program:
    """Run `then` if the loaded word is `value`, else pass it by."""
    return (Instruction(bpf.JMP_JEQ_K, 1, 0, value), Instruction(bpf.JMP_JA, 0, 0, len(then)), *then)


def when_within(low: int, high: int, then: Program) -> Program:
    """Run `then`, which must end, if the loaded word is from `low` to `high`; `then` may have 254 instructions."""
    return (Instruction(bpf.JMP_JGE_K, 0, len(then) + 1, low), Instruction(bpf.JMP_JGT_K, len(then), 0, high), *then)


def unless_equal(value: int, then: Program) -> Program:
    """Run `then`, which must end, if the loaded word is not `value`; `then` may have 255 instructions."""
    return (Instruction(bpf.JMP_JEQ_K, len(then), 0, value), *then)


def jump_past(rest: Program) -> Program:
    """Go on behind `rest`, which follows."""
    return (Instruction(bpf.JMP_JA, 0, 0, len(rest)),)


def _halves(test: Comparison) -> Iterator[tuple[int, int, int]]:
    """(offset, mask, value) for each half of the argument that the comparison looks at."""
    for shift, offset in ((0, 0), (32, 4)):
        mask = test.mask >> shift & _HALF
        if mask:
            yield bpf.DATA_ARGS + 8 * test.index + offset, mask, test.value >> shift & _HALF


def rows(tests: Sequence[Test]) -> Iterator[tuple[Comparison, ...]]:
    """The tests as alternatives of comparisons that all hold; exactly one does where the tests pass."""
    yield from itertools.product(*(comparisons(test) for test in tests))


def when_row(row: Sequence[Comparison], then: Program) -> Program:
    """Run `then` if all comparisons hold, else pass it by. Leaves another word loaded."""
    for test in reversed(row):
        for offset, mask, value in reversed(tuple(_halves(test))):
            masked = () if mask == _HALF else (Instruction(bpf.ALU_AND_K, 0, 0, mask),)
            then = (*load(offset), *masked, *when_equal(value, then))
    return then


def when_matching(tests: Sequence[Test], then: Program) -> Program:
    """Run `then`, which must end, if all tests pass, else pass it by. Leaves another word loaded."""
    return tuple(step for row in rows(tests) for step in when_row(row, then))


def encode(program: Program) -> bytes:
    """The program as an array of struct sock_filter. Raises ProfileError if it is longer than the kernel takes."""
    if len(program) > bpf.MAX_INSTRUCTIONS:
        raise too_long(len(program))
    return instructions.encode(program)


def too_long(count: int) -> ProfileError:
    """The error for a filter that the kernel would not take."""
    why = f"it would have {count} instructions, and the kernel takes {bpf.MAX_INSTRUCTIONS}"
    return ProfileError(
        Problem("the system call rules are too many for one filter", why=why, attempt="fewer values in the rules")
    )
