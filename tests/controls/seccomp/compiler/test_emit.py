"""Programs do what their diagrams say, also where jumps are long, and look first at what is asked for most."""

from __future__ import annotations

import random

import pytest

from sandboxer.abi import bpf
from sandboxer.controls.seccomp.compiler.diagram import NUMBER, WORD, Diagram, Forge, View
from sandboxer.controls.seccomp.compiler.emit import emit
from sandboxer.controls.seccomp.compiler.program import Program, encode
from sandboxer.controls.seccomp.rules import Situation
from sandboxer.controls.seccomp.stack import compile_stack
from sandboxer.verify.simulate import Call, run_filter
from tests.controls.seccomp.compiler.test_diagram import call_words, follow
from tests.controls.seccomp.filters import meaning

FIRST: View = (1, 16, WORD)
ALLOW, REFUSED = bpf.RET_ALLOW, bpf.RET_ERRNO | 1
JUMPS = (bpf.JMP_JEQ_K, bpf.JMP_JGT_K, bpf.JMP_JGE_K, bpf.JMP_JSET_K)


def answer(program: Program, number: int, *arguments: int) -> int:
    return run_filter(encode(program), Call(number, arguments)).value


def assert_same(diagram: Diagram, program: Program, numbers: list[int], values: list[int]) -> None:
    """The program is the diagram, at every pair of a number and a first argument."""
    for number in numbers:
        for value in values:
            wanted = follow(diagram, call_words("x86_64", number, (value,)))
            assert answer(program, number, value) == wanted, (number, value)


def assert_loadable(program: Program) -> None:
    """What the kernel checks: jumps end within the program, the last instruction returns. kernel/seccomp.c, net/core/filter.c."""
    for at, step in enumerate(program):
        if step.code == bpf.JMP_JA:
            assert at + 1 + step.k < len(program)
        if step.code in JUMPS:
            assert max(step.on_true, step.on_false) <= 255
            assert at + 1 + max(step.on_true, step.on_false) < len(program)
    assert program[-1].code == bpf.RET_K


def test_bare_answer_is_one_instruction() -> None:
    assert emit(ALLOW) == ((bpf.RET_K, 0, 0, ALLOW),)


def test_one_number_is_known_bytes() -> None:
    """Load, compare, two answers."""
    program = emit(Forge().where(NUMBER, ((39, 39),), REFUSED, ALLOW))
    assert [step.code for step in program] == [bpf.LD_W_ABS, bpf.JMP_JEQ_K, bpf.RET_K, bpf.RET_K]
    assert [answer(program, number) for number in (38, 39, 40)] == [ALLOW, REFUSED, ALLOW]


def test_flag_is_one_test_of_bits() -> None:
    program = emit(Forge().where((1, 16, 0x10), ((0, 0),), ALLOW, REFUSED))
    assert bpf.JMP_JSET_K in [step.code for step in program]
    assert bpf.ALU_AND_K not in [step.code for step in program]
    assert [answer(program, 0, value) for value in (0, 0x10, 0x1F, 0xEF)] == [ALLOW, REFUSED, REFUSED, ALLOW]


def test_any_of_several_flags_is_one_test_of_bits_and_all_of_them_is_not() -> None:
    some = emit(Forge().where((1, 16, 0x14), ((4, 0x14),), REFUSED, ALLOW))
    both = emit(Forge().where((1, 16, 0x14), ((0x14, 0x14),), REFUSED, ALLOW))
    assert [answer(some, 0, value) for value in (0, 4, 0x10, 0x14, 0xEB)] == [ALLOW, REFUSED, REFUSED, REFUSED, ALLOW]
    assert [answer(both, 0, value) for value in (0, 4, 0x10, 0x14, 0xFF)] == [ALLOW, ALLOW, ALLOW, REFUSED, REFUSED]


@pytest.mark.parametrize("mask", [6, 0x14, 0xFF, 0x80000001, WORD])
def test_ranges_under_a_mask_are_those_of_the_diagram(mask: int) -> None:
    source = random.Random(mask)
    for _ in range(40):
        ends = sorted({value & mask for value in (source.getrandbits(32) & source.choice((mask, 7)) for _ in range(6))})
        diagram = Forge().node((1, 16, mask), [(0, REFUSED), *((low, source.choice((ALLOW, REFUSED, 5))) for low in ends if low)])
        values = [value + step & WORD for value in (0, *ends) for step in (-1, 0, 1)] + [WORD, ~mask & WORD]
        assert_same(diagram, emit(diagram), [0], values)


@pytest.mark.parametrize("count", [2, 100, 127, 128, 129, 200, 254, 255, 256, 257, 300, 700, 1500])
def test_many_single_values_are_found_over_long_distances(count: int) -> None:
    """Every other number has an answer of its own kind, so the targets lie far behind the tests."""
    source = random.Random(count)
    answers = [bpf.RET_ERRNO | source.randrange(1, 5) for _ in range(count)]
    diagram = Forge().node(
        NUMBER, [(0, ALLOW), *((2 * at + 1 + odd, answers[at] if not odd else ALLOW) for at in range(count) for odd in (0, 1))]
    )
    program = emit(diagram)
    assert_loadable(program)
    assert_same(diagram, program, [*range(2 * count + 3), WORD], [0])


@pytest.mark.parametrize("fan", [3, 40, 120])
def test_targets_that_many_share_are_written_once_or_reached_by_stones(fan: int) -> None:
    """Nodes of arguments in between push the shared answers and nodes out of the reach of short jumps."""
    forge, source = Forge(), random.Random(fan)
    shared = forge.where(FIRST, ((3, 3), (9, 20)), REFUSED, ALLOW)
    own = [forge.where((3, 24, WORD), ((at, at + source.randrange(3)), (at + 50, at + 60)), 5 + at, shared) for at in range(fan)]
    pieces = [(3 * at + step, (own[at], shared, REFUSED)[step]) for at in range(fan) for step in range(3)]
    diagram = forge.node(NUMBER, pieces)
    program = emit(diagram)
    assert_loadable(program)
    assert_same(diagram, program, [*range(3 * fan + 2), WORD], [0, 3, 8, 9, 20, 21, WORD])
    for number in range(0, 3 * fan, 3):
        for second in (number // 3, number // 3 + 50, number // 3 + 61):
            wanted = follow(diagram, call_words("x86_64", number, (3, second)))
            assert answer(program, number, 3, second) == wanted


def test_weights_change_ways_and_never_answers() -> None:
    pieces = [(at, REFUSED if at % 2 else bpf.RET_ERRNO | at % 7) for at in range(400)]
    diagram = Forge().node(NUMBER, pieces)
    plain = emit(diagram)
    weighed = emit(diagram, lambda low, high: 1000.0 if low <= 77 <= high else 0.001)
    assert_same(diagram, weighed, list(range(402)), [0])
    assert_loadable(weighed)
    ways = [run_filter(encode(program), Call(77)).executed for program in (plain, weighed)]
    assert ways[1] < ways[0]


def test_frequent_call_of_a_profile_is_found_in_fewer_steps() -> None:
    text = "allow: [execve, exit_group, read, {socket: {family: {in: [1, 2, 10]}}}, {ioctl: {cmd: 3}}, futex, mmap, close]"
    rare, frequent = (
        compile_stack(meaning(said).at(Situation()), "x86_64")[0].program
        for said in (text, f"{text}\nfrequency: {{futex: 1000, read: 1}}")
    )
    assert run_filter(frequent, Call(202)).executed <= run_filter(rare, Call(202)).executed
    assert run_filter(frequent, Call(202)).is_allowed
    assert run_filter(frequent, Call(203)).errno == 1


def test_program_is_the_same_every_time() -> None:
    def program() -> Program:
        forge = Forge()
        shared = forge.where(FIRST, ((3, 3),), REFUSED, ALLOW)
        return emit(forge.node(NUMBER, [(at, shared if at % 3 else at) for at in range(300)]))

    assert program() == program()
