"""Random filters, of every instruction that seccomp takes: the kernel and both simulators must answer alike.

    python -m fuzz.filters.compare [--seconds N] [--seed N]

A disagreement ends the run with the seed, the case and the filters in hex.
"""

from __future__ import annotations

import argparse
import random
import struct
import sys
import tempfile
import time
from pathlib import Path

from sandboxer.abi import bpf
from sandboxer.verify.boundaries import boundary_calls
from sandboxer.verify.oracle import Questions, Row, ask, visible
from sandboxer.verify.simulate import Call, run_stack
from tests.verify.building import build_helper

GETPID, SECCOMP = 39, 317
NUMBERS = (GETPID, 0, 1, 41, 334, 999, 0x40000000 | GETPID, 0xFFFFFFFF)
CASES = 500
SCRATCH = 3
_WEAK = (bpf.RET_ALLOW, bpf.RET_LOG, bpf.RET_TRACE | 1, bpf.RET_USER_NOTIF)
_VERDICTS = _WEAK + tuple(kind | data for kind in (bpf.RET_ERRNO, bpf.RET_TRAP) for data in (0, 1, 38, 4095, 0xFFFF))
_KILLS = (bpf.RET_KILL_PROCESS, bpf.RET_KILL_THREAD, 0x00010000)
_CONSTANTS = (0, 1, 2, 5, 41, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFF, bpf.AUDIT_ARCH["x86_64"], *NUMBERS)
_ALU_K = (0x04, 0x14, 0x24, 0x44, 0x54, 0xA4)
_JUMPS = (bpf.JMP_JEQ_K, bpf.JMP_JGT_K, bpf.JMP_JGE_K, bpf.JMP_JSET_K)

Instruction = tuple[int, int, int, int]


def _constant(source: random.Random) -> int:
    return source.choice(_CONSTANTS) if source.random() < 0.8 else source.getrandbits(32)


def _straight(source: random.Random) -> Instruction:
    """An instruction that neither jumps nor ends."""
    match source.randrange(10):
        case 0 | 1 | 2 | 3:
            return (bpf.LD_W_ABS, 0, 0, source.choice((0, 4, *range(16, 64, 4))))
        case 4 | 5:
            return (source.choice(_ALU_K) | source.choice((0, 8)), 0, 0, _constant(source))
        case 6:
            return source.choice(((0x84, 0, 0, 0), (0x64, 0, 0, source.randrange(32)), (0x74, 0, 0, source.randrange(32))))
        case 7:
            return source.choice(((0x07, 0, 0, 0), (0x87, 0, 0, 0)))
        case 8:
            return (source.choice((0x02, 0x03, 0x60, 0x61)), 0, 0, source.randrange(SCRATCH))
        case _:
            return (source.choice((0x00, 0x01)), 0, 0, _constant(source))


def _rare(source: random.Random) -> Instruction:
    """What compilers of filters do not write, and the simulator in Python need not know."""
    choices = ((0x6C, 0), (0x7C, 0), (0x34, _constant(source) or 3), (0x3C, 0), (0x80, 0), (0x81, 0), (bpf.LD_W_ABS, 8))
    code, k = source.choice(choices)
    return (code, 0, 0, k)


def _ending(source: random.Random) -> list[Instruction]:
    """The last instructions of a path."""
    if source.random() < 0.15:  # an errno out of the accumulator, so that its value shows
        return [(0x54, 0, 0, 0xFFF), (0x44, 0, 0, bpf.RET_ERRNO), (0x16, 0, 0, 0)]
    return [(bpf.RET_K, 0, 0, source.choice(_KILLS if source.random() < 0.01 else _VERDICTS))]


def make_filter(source: random.Random, *, is_plain: bool) -> bytes:
    """A filter that the kernel loads. is_plain: only of instructions that compilers of filters write, which say more in fewer."""
    # The next filter is loaded under this one. What is read from memory must have been written.
    steps: list[Instruction] = [(bpf.LD_W_ABS, 0, 0, 0), (bpf.JMP_JEQ_K, 0, 1, SECCOMP), (bpf.RET_K, 0, 0, bpf.RET_ALLOW)]
    steps += [(0x00, 0, 0, _constant(source)), *((0x02, 0, 0, at) for at in range(SCRATCH))]
    length = source.choice((8, 16, 40, 300))
    while len(steps) < length:
        kind = source.random()
        room = length - len(steps)
        if kind < 0.35:
            jump = [source.randrange(min(room, 255) + 1) for _ in range(2)]
            steps.append((source.choice(_JUMPS) | source.choice((0, 0, 0, 8)), *jump, _constant(source)))
        elif kind < 0.4:
            steps.append((bpf.JMP_JA, 0, 0, source.randrange(room + 1)))
        elif kind < 0.45:
            steps += _ending(source)
        else:
            steps.append(_rare(source) if not is_plain and source.random() < 0.2 else _straight(source))
    # A jump is at most as long as the room that was left, plus one: the endings behind are more than it can pass.
    steps += [*_ending(source), (bpf.RET_K, 0, 0, source.choice(_VERDICTS)), (bpf.RET_K, 0, 0, bpf.RET_ALLOW)]
    return b"".join(struct.pack("<HBBI", *step) for step in steps)


def _reads_pointer(program: bytes) -> bool:
    return any(code == bpf.LD_W_ABS and k in (8, 12) for code, _, _, k in struct.iter_unpack("<HBBI", program))


def find_disagreement(source: random.Random, helper: Path) -> tuple[int, str]:
    """Compare over one random stack: how many cases, and what disagreed."""
    is_plain = source.random() < 0.6
    stack = [make_filter(source, is_plain=is_plain) for _ in range(source.choice((1, 1, 2, 4)))]
    calls: list[Call] = []
    for number in NUMBERS:
        calls += boundary_calls(stack, number, limit=6)
    calls += boundary_calls(stack, 20, limit=6, arch=bpf.AUDIT_ARCH["i386"])
    rows = (Row(NUMBERS[:6], CASES, tuple((value,) for value in source.sample(_CONSTANTS, 6))),)
    listens = source.random() < 0.3
    outcome = ask(stack, Questions(tuple(calls), rows, source.getrandbits(32), listens), helper=helper)
    shown = " ".join(item.hex() for item in stack)
    if outcome.first:
        return outcome.asked, f"{outcome.first}\n{shown}"
    if any(_reads_pointer(program) for program in stack):
        return outcome.asked, ""  # where the helper's instruction lies, only the kernel knows
    for call, kernel in zip(calls, outcome.kernel, strict=True):
        if visible(run_stack(stack, call).value, listens=listens) != kernel:
            return outcome.asked, f"{call}: kernel {kernel:#x}, simulator {run_stack(stack, call).value:#x}\n{shown}"
    return outcome.asked, ""


def main() -> int:
    """Compare until the time is over. Exit status 1 if anything disagreed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    source = random.Random(options.seed)
    stacks = cases = 0
    with tempfile.TemporaryDirectory() as scratch:
        helper = build_helper(Path(scratch))
        end = time.monotonic() + options.seconds
        while time.monotonic() < end:
            asked, problem = find_disagreement(source, helper)
            stacks, cases = stacks + 1, cases + asked
            if problem:
                print(f"seed {options.seed}, stack {stacks}: {problem}", file=sys.stderr)
                return 1
    print(f"filters: seed {options.seed}, {stacks:,} random stacks, {cases:,} cases, 0 disagreements")
    return 0


if __name__ == "__main__":
    sys.exit(main())
