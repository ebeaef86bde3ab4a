"""The few words of classic BPF that we write ourselves: whole programs of straight-line decisions, each jump resolved.

Every decision is `if equal, go on; else jump to the end of this part` with a long jump, so that no distance is ever too far.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from sandboxer.abi import bpf
from sandboxer.controls.seccomp.rules import Alternative, Comparison
from sandboxer.errors import Problem, ProfileError

_HALF = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Instruction:
    """One struct sock_filter."""

    code: int
    k: int
    on_true: int = 0
    on_false: int = 0


Program = tuple[Instruction, ...]


def answer(action: int) -> Program:
    """End with this verdict."""
    return (Instruction(bpf.RET_K, action),)


def refuse(errno: int) -> Program:
    """End with this error number."""
    return answer(bpf.RET_ERRNO | errno)


def load(offset: int) -> Program:
    """Load a word of seccomp_data."""
    return (Instruction(bpf.LD_W_ABS, offset),)


def when_equal(value: int, then: Program) -> Program:
    """Run `then` if the loaded word is `value`, else pass it by."""
    return (Instruction(bpf.JMP_JEQ_K, value, 1, 0), Instruction(bpf.JMP_JA, len(then)), *then)


def when_within(low: int, high: int, then: Program) -> Program:
    """Run `then`, which must end, if the loaded word is from `low` to `high`; `then` may have 254 instructions."""
    return (Instruction(bpf.JMP_JGE_K, low, 0, len(then) + 1), Instruction(bpf.JMP_JGT_K, high, len(then), 0), *then)


def unless_equal(value: int, then: Program) -> Program:
    """Run `then`, which must end, if the loaded word is not `value`; `then` may have 255 instructions."""
    return (Instruction(bpf.JMP_JEQ_K, value, len(then), 0), *then)


def jump_past(rest: Program) -> Program:
    """Go on behind `rest`, which follows."""
    return (Instruction(bpf.JMP_JA, len(rest)),)


def _halves(test: Comparison) -> Iterable[tuple[int, int, int]]:
    """(offset, mask, value) for each half of the argument that the comparison looks at."""
    for shift, offset in ((0, 0), (32, 4)):
        mask = test.mask >> shift & _HALF
        if mask:
            yield bpf.DATA_ARGS + 8 * test.index + offset, mask, test.value >> shift & _HALF


def when_matching(alternative: Alternative, then: Program) -> Program:
    """Run `then` if all comparisons hold, else pass it by. Leaves another word loaded."""
    for test in reversed(alternative):
        for offset, mask, value in reversed(tuple(_halves(test))):
            masked = () if mask == _HALF else (Instruction(bpf.ALU_AND_K, mask),)
            then = (*load(offset), *masked, *when_equal(value, then))
    return then


def encode(program: Program) -> bytes:
    """The program as an array of struct sock_filter. Raises ProfileError if it is longer than the kernel takes."""
    if len(program) > bpf.MAX_INSTRUCTIONS:
        raise too_long(len(program))
    return b"".join(struct.pack("<HBBI", step.code, step.on_true, step.on_false, step.k) for step in program)


def too_long(count: int) -> ProfileError:
    """The error for a filter that the kernel would not take."""
    why = f"it would have {count} instructions, and the kernel takes {bpf.MAX_INSTRUCTIONS}"
    return ProfileError(
        Problem("the system call rules are too many for one filter", why=why, attempt="fewer values in the rules")
    )
