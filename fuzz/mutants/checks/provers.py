"""The emitter, and the provers against filters that are wrong."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator

from fuzz.mutants.checks.ground import ALLOW, ENOSYS, EPERM, KILL, LOG, WORD, X86, raises
from sandboxer.controls.seccomp import bits, reference, stack
from sandboxer.controls.seccomp.bits import Region
from sandboxer.controls.seccomp.compiler import proof
from sandboxer.controls.seccomp.compiler.diagram import ARCH, NUMBER, Forge, number_pieces, walls_diagram
from sandboxer.controls.seccomp.compiler.emit import emit
from sandboxer.controls.seccomp.compiler.program import Instruction, Program, decode, encode
from sandboxer.controls.seccomp.meaning import Settings
from sandboxer.controls.seccomp.reference import decide
from sandboxer.controls.seccomp.rules import Situation
from sandboxer.controls.seccomp.stack import compile_stack
from sandboxer.errors import InternalError
from sandboxer.verify.simulate import BadFilter, Call, run_filter, run_stack
from tests.controls.seccomp.filters import meaning


def check_emitter() -> None:
    """Programs over long distances do what their diagrams say, and the kernel would take them."""
    for count in (3, 127, 128, 200, 256, 600):
        pieces = [
            (0, ALLOW),
            *((2 * at + step + 1, 0x50001 + at % 5 if not step else ALLOW) for at in range(count) for step in (0, 1)),
        ]
        program = emit(Forge().node(NUMBER, pieces))
        for at, step in enumerate(program):
            assert step.code == 6 or at + 1 + (step.k if step.code == 5 else max(step.on_true, step.on_false)) < len(program)
        data = encode(program)
        for number in (*range(2 * count + 2), WORD):
            wanted = 0x50001 + (number // 2) % 5 if number % 2 and number < 2 * count else ALLOW
            assert run_filter(data, Call(number)).value == wanted, (count, number)
    for mask, ranges in ((0x10, ((0, 0),)), (0x14, ((4, 0x14),)), (0x14, ((0x14, 0x14),)), (0xF0, ((0x20, 0x40), (0x80, 0x80)))):
        data = encode(emit(Forge().where((1, 16, mask), ranges, EPERM, ALLOW)))
        for value in range(256):
            wanted = EPERM if any(low <= value & mask <= high for low, high in ranges) else ALLOW
            assert run_filter(data, Call(0, (value | 0xF00 << 32,))).value == wanted, (mask, value)
    assert encode([Instruction(0x1234, 0x56, 0x78, 0x9ABCDEF0)]) == bytes.fromhex("34125678f0debc9a")
    assert decode(bytes.fromhex("34125678f0debc9a06")) == (Instruction(0x1234, 0x56, 0x78, 0x9ABCDEF0),)


RICH = """
allow: [execve, exit_group, getpid, {socket: {family: {in: [1, 2]}, type: {masked: ['0xf', 1]}}},
  {lseek: {offset: {range: ['4294967297', '8589934595']}}}, {ioctl: {cmd: {not: 5}}, action: log}]
"""
OTHERS = [
    ("{in: [1, 2]}", "{in: [1, 3]}", 41),
    ("['0xf', 1]", "['0x7', 1]", 41),
    ("'4294967297'", "'4294967296'", 8),
    ("'8589934595'", "'8589934596'", 8),
    ("{not: 5}", "{not: 6}", 16),
    (", action: log", "", 16),
    ("getpid, ", "", 39),
    ("getpid", "getppid", None),
    ("\nallow", "\ndefault_errno: EIO\nallow", None),
]


def _skeletons() -> Iterator[tuple[int, int, int, int]]:
    """Answers to smaller and larger architectures, to unknown numbers and to those of x32, one of them wrong at most."""
    for at, wrong in itertools.product(range(4), (ALLOW, EPERM, KILL, ENOSYS)):
        answers = [KILL, KILL, ENOSYS, KILL]
        answers[at] = wrong
        yield answers[0], answers[1], answers[2], answers[3]


def _skeleton(here: Settings, below: int, above: int, unknown: int, foreign: int) -> Program:
    """The filter of settings but for these answers."""
    forge = Forge()
    pieces = number_pieces(lambda call: walls_diagram(forge, here, here.walls, call, "x86_64"), "x86_64", unknown, foreign)
    return emit(forge.node(ARCH, [(0, below), (X86, forge.node(NUMBER, pieces)), (X86 + 1, above)]))


def check_proof() -> None:
    """The proof finds filters of other rules, single changed instructions, and what the kernel would choose otherwise."""
    here = meaning(RICH).at(Situation())
    (program,) = [decode(item.program) for item in compile_stack(here, "x86_64")]
    assert proof.find_difference(here, "x86_64", [program]) is None
    for old, new, number in OTHERS:
        other = [decode(item.program) for item in compile_stack(meaning(RICH.replace(old, new, 1)).at(Situation()), "x86_64")]
        witness = proof.find_difference(here, "x86_64", other)
        assert witness is not None, (old, new)
        assert witness.arch == X86
        assert number is None or witness.number == number
        assert run_stack([encode(item) for item in other], Call(witness.number, witness.arguments)).value == witness.found
        assert decide(here, "x86_64", witness.number, witness.arguments) == witness.wanted != witness.found
    raises(InternalError, lambda: proof.check_proof(here, "x86_64", [(Instruction(6, 0, 0, EPERM),)]))
    wrong = [value for value in _skeletons() if value != (KILL, KILL, ENOSYS, KILL)]
    for below, above, unknown, foreign in wrong:
        assert proof.find_difference(here, "x86_64", [_skeleton(here, below, above, unknown, foreign)]) is not None
    assert proof.find_difference(here, "x86_64", [_skeleton(here, KILL, KILL, ENOSYS, KILL)]) is None
    limit = reference.MAX_PARTS
    reference.MAX_PARTS = 1
    try:
        raises(reference.TooManyParts, lambda: proof.find_difference(here, "x86_64", [program]))
    finally:
        reference.MAX_PARTS = limit
    steps, proof.MAX_STEPS = proof.MAX_STEPS, 100
    try:
        raises(reference.TooManyParts, lambda: proof.find_difference(here, "x86_64", [program]))
    finally:
        proof.MAX_STEPS = steps
    right = stack.emit
    stack.emit = lambda diagram, weigh=None: (*right(diagram, weigh)[:-1], Instruction(6, 0, 0, 0x50007))
    try:
        raises(InternalError, lambda: compile_stack(here, "x86_64"))
    finally:
        stack.emit = right
    for broken in ((0x20, 0, 0, 8), (0x20, 0, 0, 64), (0x28, 0, 0, 0), (0x05, 0, 0, 9), (0x1D, 0, 0, 0)):
        steps = (Instruction(0x20, 0, 0, 0), Instruction(*broken), Instruction(6, 0, 0, ALLOW))
        raises(proof.UnprovableFilter, lambda steps=steps: list(proof.walk(steps, Region())))  # type: ignore[misc]


def _numbers(code: int, k: int, mask: int = WORD) -> list[tuple[int, bits.Ranges]]:
    steps = [(0x20, 0, 0, 0), (0x54, 0, 0, mask), (code, 0, 1, k), (6, 0, 0, 1), (6, 0, 0, 2)]
    walked = proof.walk(tuple(Instruction(*step) for step in steps), Region())
    return sorted((answer, region.ranges(-1, mask & k if code == 0x45 else mask)) for region, answer in walked)


def check_walk() -> None:
    """Every jump takes numbers apart exactly as the instruction says."""
    assert _numbers(0x15, 7) == [(1, ((7, 7),)), (2, ((0, 6), (8, WORD)))]
    assert _numbers(0x25, 7) == [(1, ((8, WORD),)), (2, ((0, 7),))]
    assert _numbers(0x35, 7) == [(1, ((7, WORD),)), (2, ((0, 6),))]
    assert _numbers(0x45, 6) == [(1, ((2, 6),)), (2, ((0, 0),))]
    assert _numbers(0x25, WORD) == [(2, ((0, WORD),))]
    assert _numbers(0x15, 0x20, 0xF0) == [(1, ((0x20, 0x20),)), (2, ((0, 0x10), (0x30, 0xF0)))]
    twice = ((0x20, 0, 0, 0), (0x54, 0, 0, 0xF0), (0x54, 0, 0, 0x3F), (0x15, 0, 1, 0x31), (6, 0, 0, 1), (6, 0, 0, 2))
    assert [answer for _, answer in proof.walk(tuple(Instruction(*step) for step in twice), Region())] == [2]
    assert _numbers(0x15, 0x21, 0xF0) == [(2, ((0, 0xF0),))]
    upper = tuple(Instruction(*step) for step in [(0x20, 0, 0, 36), (0x15, 0, 1, 5), (6, 0, 0, 1), (6, 0, 0, 2)])
    found = {answer: region for region, answer in proof.walk(upper, Region())}
    assert found[1].witness(2) >> 32 == 5
    assert found[2].witness(2) >> 32 != 5
    meeting = [(0x20, 0, 0, 0), (0x15, 1, 0, 5), (0x20, 0, 0, 4), (0x15, 0, 1, 7), (6, 0, 0, 1), (6, 0, 0, 2)]
    ways = [(answer, sorted(region.tests())) for region, answer in proof.walk(tuple(map(Instruction._make, meeting)), Region())]
    assert sorted(ways) == [
        (1, [(-2, WORD, ((7, 7),)), (-1, WORD, ((0, 4), (6, WORD)))]),
        (2, [(-2, WORD, ((0, 6), (8, WORD))), (-1, WORD, ((0, 4), (6, WORD)))]),
        (2, [(-1, WORD, ((5, 5),))]),
    ]
    both = [(0x20, 0, 0, 16), (0x35, 0, 1, 9), (0x15, 0, 0, 10), (6, 0, 0, 1)]
    assert [region.ranges(0, WORD) for region, _ in proof.walk(tuple(map(Instruction._make, both)), Region())] == [((0, WORD),)]
    chosen = [
        next(answer for _, answer in proof.walk_stack([(Instruction(6, 0, 0, value),) for value in stack], Region()))
        for stack in ((EPERM, ENOSYS), (ENOSYS, EPERM), (ALLOW, EPERM), (KILL, 0), (0, KILL), (LOG, ALLOW), ())
    ]
    assert chosen == [ENOSYS, EPERM, EPERM, KILL, KILL, LOG, ALLOW]


def check_simulator() -> None:
    """The machine, instruction by instruction."""

    def value(*steps: tuple[int, int, int, int], arguments: tuple[int, ...] = ()) -> int:
        return run_filter(b"".join(struct.pack("<HBBI", *step) for step in steps), Call(5, arguments)).value

    for code, k, taken in (
        (0x15, 5, 1),
        (0x15, 6, 2),
        (0x25, 5, 2),
        (0x25, 4, 1),
        (0x35, 5, 1),
        (0x35, 6, 2),
        (0x45, 4, 1),
        (0x45, 2, 2),
    ):
        assert value((0x20, 0, 0, 0), (code, 0, 1, k), (6, 0, 0, 1), (6, 0, 0, 2)) == taken
    assert value((0x20, 0, 0, 24), (0x16, 0, 0, 0), arguments=(1, 0x1_2345_6789)) == 0x23456789
    assert value((0x20, 0, 0, 28), (0x16, 0, 0, 0), arguments=(1, 0x1_2345_6789)) == 1
    assert value((0x20, 0, 0, 4), (0x16, 0, 0, 0)) == X86
    assert value((0x20, 0, 0, 0), (0x54, 0, 0, 6), (0x16, 0, 0, 0)) == 4
    assert value((0x05, 0, 0, 1), (6, 0, 0, 1), (6, 0, 0, 2)) == 2
    returns = [struct.pack("<HBBI", 6, 0, 0, answer) for answer in (EPERM, ENOSYS, ALLOW, KILL, 0)]
    assert run_stack(returns[:2], Call(0)).value == ENOSYS
    assert run_stack(returns[1::-1], Call(0)).value == EPERM
    assert run_stack(returns, Call(0)).value == KILL
    assert run_stack([returns[4], returns[2]], Call(0)).value == 0
    for wrong in (b"", b"\0" * 7, returns[2] * 4097, struct.pack("<HBBI", 0x20, 0, 0, 64)):
        raises(BadFilter, lambda wrong=wrong: run_filter(wrong, Call(0)))  # type: ignore[misc]
