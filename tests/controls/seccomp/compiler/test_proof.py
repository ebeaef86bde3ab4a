"""The proof finds every difference there is, shows it, and finds none where there is none."""

from __future__ import annotations

import itertools
import random

import pytest

from sandboxer.abi import bpf
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.controls.seccomp.bits import Effort, Region
from sandboxer.controls.seccomp.compiler import proof
from sandboxer.controls.seccomp.compiler.program import Instruction, Program, decode, encode
from sandboxer.controls.seccomp.compiler.proof import (
    ARCH,
    NUMBER,
    WORD,
    UnprovableFilter,
    Witness,
    check_proof,
    expected,
    find_difference,
    walk,
    walk_stack,
)
from sandboxer.controls.seccomp.meaning import Settings
from sandboxer.controls.seccomp.reference import TooManyParts, decide
from sandboxer.controls.seccomp.rules import ARCHITECTURES, Situation
from sandboxer.errors import InternalError
from sandboxer.verify.simulate import Call, run_stack
from tests.controls.seccomp.filters import MINIMAL, meaning, programs

RICH = """
allow:
  - execve
  - exit_group
  - getpid
  - {socket: {family: {in: [1, 2]}, type: {masked: ['0xf', 1]}}}
  - {lseek: {offset: {range: ['4294967297', '8589934595']}}}
  - {ioctl: {expr: 'cmd != 5 && (arg & 0x100000001 == 1 || cmd > 9)'}, action: log}
deny:
  - {ioctl: {cmd: 7}, action: trap}
  - {getpid: {}, when: {arch: aarch64}}
"""
JUMPS = (bpf.JMP_JEQ_K, bpf.JMP_JGT_K, bpf.JMP_JGE_K, bpf.JMP_JSET_K)
LOAD, ALLOWED = Instruction(bpf.LD_W_ABS, 0, 0, bpf.DATA_NR), Instruction(bpf.RET_K, 0, 0, bpf.RET_ALLOW)


def here(text: str, arch: str = "x86_64") -> tuple[Settings, list[Program]]:
    found = meaning(text).at(Situation(arch))
    return found, [decode(program) for program in programs(found, arch)]


def found_by_running(stack: list[Program], witness: Witness) -> int:
    return run_stack([encode(program) for program in stack], Call(witness.number, witness.arguments, witness.arch)).value


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_what_the_compiler_writes_has_no_difference(arch: str) -> None:
    settings, stack = here(RICH, arch)
    assert find_difference(settings, arch, stack) is None
    check_proof(settings, arch, stack)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_filter_of_other_rules_is_found_out_with_a_call_that_shows_it(arch: str) -> None:
    settings, _ = here(RICH, arch)
    for other in ("5 && arg", "6 && (arg & 0x100000001 == 1 || cmd > 9)", "5 && (arg & 0x100000001 == 1 || cmd >= 9)"):
        changed = RICH.replace("5 && (arg & 0x100000001 == 1 || cmd > 9)", other)
        _, stack = here(changed, arch)
        witness = find_difference(settings, arch, stack)
        assert witness is not None
        assert witness.arch == bpf.AUDIT_ARCH[arch]
        assert witness.number == NUMBERS[arch]["ioctl"]
        assert decide(settings, arch, witness.number, witness.arguments) == witness.wanted
        assert found_by_running(stack, witness) == witness.found != witness.wanted


def test_difference_is_an_internal_error_that_shows_the_call() -> None:
    settings, _ = here("allow: [execve, exit_group]")
    _, stack = here("allow: [execve, exit_group, getpid]")
    with pytest.raises(InternalError) as caught:
        check_proof(settings, "x86_64", stack)
    shown = str(caught.value)
    assert "the system call filter does not mean what the rules say" in shown
    assert "number 39" in shown
    assert "0x7fff0000 where the rules say 0x00050001; said again: 0x00050001" in shown


def test_every_changed_instruction_is_found_out_or_makes_no_difference() -> None:
    """Each instruction is changed in several ways. A difference that the proof shows is one; where it shows none, there is none
    at thousands of points around all constants."""
    settings, (program,) = here(RICH)
    source = random.Random(7)
    equivalent = 0
    for at, step in enumerate(program):
        for changed in changes(step, source):
            mutant = [(*program[:at], changed, *program[at + 1 :])]
            try:
                witness = find_difference(settings, "x86_64", mutant)
            except UnprovableFilter:
                continue
            if witness is not None:
                if witness.arch == bpf.AUDIT_ARCH["x86_64"]:
                    assert decide(settings, "x86_64", witness.number, witness.arguments) == witness.wanted
                assert found_by_running(mutant, witness) == witness.found != witness.wanted
                continue
            equivalent += 1
            for number, arguments in points(program, source):
                wanted = decide(settings, "x86_64", number, arguments)
                assert run_stack([encode(mutant[0])], Call(number, arguments)).value == wanted
    assert equivalent < len(program)


def changes(step: Instruction, source: random.Random) -> list[Instruction]:
    """Other instructions that could stand there by mistake."""
    if step.code in JUMPS:
        other = source.choice(
            [code for code in (bpf.JMP_JEQ_K, bpf.JMP_JGT_K, bpf.JMP_JGE_K, bpf.JMP_JSET_K) if code != step.code]
        )
        return [
            step._replace(on_true=step.on_false, on_false=step.on_true),
            step._replace(code=other),
            step._replace(k=step.k ^ 1 << source.randrange(32)),
            step._replace(k=step.k + 1 & WORD),
            step._replace(on_true=step.on_true + 1),
            step._replace(on_false=max(step.on_false - 1, 0)),
        ]
    if step.code == bpf.LD_W_ABS:
        return [step._replace(k=source.choice([offset for offset in (0, 4, *range(16, 64, 4)) if offset != step.k]))]
    return [step._replace(k=step.k ^ 1 << source.randrange(32)), step._replace(code=bpf.LD_W_ABS, k=4)]


def points(program: Program, source: random.Random) -> list[tuple[int, tuple[int, ...]]]:
    """Calls at the constants of a filter and beside them."""
    words = sorted({step.k + offset & WORD for step in program if step.code in JUMPS for offset in (-1, 0, 1)})
    halves = [0, 1, WORD, *words]

    def wide() -> int:
        return source.choice(halves) << 32 | source.choice(halves)

    return [(source.choice(words), tuple(wide() for _ in range(6))) for _ in range(300)]


# ── ways through a filter ─────────────────────────────────────────────────────────────────────────────────────────────


def ends(program: Program) -> dict[int, tuple[tuple[int, int], ...]]:
    """Which numbers end with which answer, where each answer has one way."""
    return {answer: region.ranges(NUMBER, WORD) for region, answer in walk(program, Region())}


@pytest.mark.parametrize(
    ("code", "k", "taken"),
    [
        (bpf.JMP_JEQ_K, 7, ((7, 7),)),
        (bpf.JMP_JGT_K, 7, ((8, WORD),)),
        (bpf.JMP_JGE_K, 7, ((7, WORD),)),
        (bpf.JMP_JGT_K, WORD - 1, ((WORD, WORD),)),
    ],
)
def test_jump_takes_a_region_apart(code: int, k: int, taken: tuple[tuple[int, int], ...]) -> None:
    program = (LOAD, Instruction(code, 0, 1, k), Instruction(bpf.RET_K, 0, 0, 1), Instruction(bpf.RET_K, 0, 0, 2))
    found = ends(program)
    assert found[1] == taken
    assert sum(high - low + 1 for ranges in found.values() for low, high in ranges) == 1 << 32


def test_jump_that_is_never_or_always_taken_has_one_way() -> None:
    never = (LOAD, Instruction(bpf.JMP_JGT_K, 0, 1, WORD), Instruction(bpf.RET_K, 0, 0, 1), Instruction(bpf.RET_K, 0, 0, 2))
    always = (LOAD, Instruction(bpf.JMP_JGE_K, 0, 1, 0), Instruction(bpf.RET_K, 0, 0, 1), Instruction(bpf.RET_K, 0, 0, 2))
    no_bits = (LOAD, Instruction(bpf.JMP_JSET_K, 0, 1, 0), Instruction(bpf.RET_K, 0, 0, 1), Instruction(bpf.RET_K, 0, 0, 2))
    assert [list(ends(program)) for program in (never, always, no_bits)] == [[2], [1], [2]]


def test_bits_that_a_mask_took_away_do_not_come_back() -> None:
    program = (
        LOAD,
        Instruction(bpf.ALU_AND_K, 0, 0, 0xF0),
        Instruction(bpf.ALU_AND_K, 0, 0, 0x3F),
        Instruction(bpf.JMP_JEQ_K, 0, 1, 0x30),
        Instruction(bpf.RET_K, 0, 0, 1),
        Instruction(bpf.RET_K, 0, 0, 2),
    )
    found = {answer: region for region, answer in walk(program, Region())}
    assert found[1].ranges(NUMBER, 0x30) == ((0x30, 0x30),)
    assert found[2].ranges(NUMBER, 0x30) == ((0, 0x20),)
    assert 1 not in {answer for _, answer in walk((*program[:3], Instruction(bpf.JMP_JEQ_K, 0, 1, 0x40), *program[4:]), Region())}


def test_word_before_the_first_load_is_zero() -> None:
    program = (Instruction(bpf.JMP_JEQ_K, 0, 1, 0), Instruction(bpf.RET_K, 0, 0, 1), Instruction(bpf.RET_K, 0, 0, 2))
    assert list(ends(program)) == [1]


def test_upper_half_is_the_upper_half() -> None:
    program = (
        Instruction(bpf.LD_W_ABS, 0, 0, bpf.DATA_ARGS + 8 * 2 + 4),
        Instruction(bpf.JMP_JEQ_K, 0, 1, 5),
        Instruction(bpf.RET_K, 0, 0, 1),
        Instruction(bpf.RET_K, 0, 0, 2),
    )
    found = {answer: region for region, answer in walk(program, Region())}
    assert found[1].witness(2) >> 32 == 5
    assert found[2].witness(2) >> 32 != 5
    assert found[1].witness(1) == 0


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (Instruction(bpf.LD_W_ABS, 0, 0, 8), "it loads at 8"),
        (Instruction(bpf.LD_W_ABS, 0, 0, 12), "it loads at 12"),
        (Instruction(bpf.LD_W_ABS, 0, 0, 18), "it loads at 18"),
        (Instruction(bpf.LD_W_ABS, 0, 0, 64), "it loads at 64"),
        (Instruction(bpf.LD_W_ABS, 0, 0, WORD), "it loads at"),
        (Instruction(0x28, 0, 0, 0), "it has the instruction 0x28"),
        (Instruction(0x16, 0, 0, 0), "it has the instruction 0x16"),
        (Instruction(0x1D, 0, 0, 0), "it has the instruction 0x1d"),
        (Instruction(0x44, 0, 0, 1), "it has the instruction 0x44"),
        (Instruction(bpf.JMP_JA, 0, 0, 1), "it jumps past its end"),
        (Instruction(bpf.JMP_JEQ_K, 0, 1, 3), "it jumps past its end"),
    ],
)
def test_instruction_that_is_not_understood_is_refused(step: Instruction, why: str) -> None:
    with pytest.raises(UnprovableFilter, match=why):
        list(walk((LOAD, step, ALLOWED), Region()))


def test_filter_that_is_not_understood_is_an_internal_error() -> None:
    settings, _ = here(MINIMAL)
    with pytest.raises(InternalError, match="cannot be proven"):
        check_proof(settings, "x86_64", [(LOAD, Instruction(0x28, 0, 0, 0), ALLOWED)])


def test_empty_filter_is_refused_and_an_empty_stack_allows() -> None:
    settings, _ = here(MINIMAL)
    with pytest.raises(UnprovableFilter):
        find_difference(settings, "x86_64", [()])
    witness = find_difference(settings, "x86_64", [])
    assert witness is not None
    assert witness.found == bpf.RET_ALLOW


def test_stack_gives_the_strictest_answer_and_of_equal_ones_the_newest() -> None:
    def only(answer: int) -> Program:
        return (Instruction(bpf.RET_K, 0, 0, answer),)

    def stacked(*answers: int) -> int:
        ((_, found),) = walk_stack([only(answer) for answer in answers], Region())
        return found

    assert stacked(bpf.RET_ERRNO | 1, bpf.RET_ERRNO | 38) == bpf.RET_ERRNO | 38
    assert stacked(bpf.RET_ERRNO | 38, bpf.RET_ERRNO | 1) == bpf.RET_ERRNO | 1
    assert stacked(bpf.RET_ALLOW, bpf.RET_ERRNO | 1) == bpf.RET_ERRNO | 1
    assert stacked(bpf.RET_KILL_PROCESS, bpf.RET_KILL_THREAD) == bpf.RET_KILL_PROCESS
    assert stacked(bpf.RET_LOG, bpf.RET_ALLOW) == bpf.RET_LOG


# ── all calls there are ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_regions_of_the_rules_are_all_calls_once(arch: str) -> None:
    """Every architecture and every number is in exactly one kind of region; and a known call's parts say what `decide` says."""
    settings = meaning(RICH).at(Situation(arch))
    native = bpf.AUDIT_ARCH[arch]
    seen: list[tuple[int, int]] = []
    for region, answer in expected(settings, arch):
        if region.ranges(ARCH, WORD) != ((native, native),):
            assert region.ranges(ARCH, WORD) == ((0, native - 1), (native + 1, WORD))
            assert region.ranges(NUMBER, WORD) == ((0, WORD),)
            assert answer == bpf.RET_KILL_PROCESS
            continue
        seen += region.ranges(NUMBER, WORD)
        assert decide(settings, arch, region.witness(NUMBER), region.point()) == answer
    # Calls whose answer hangs on arguments have several parts, of one number each.
    pieces = sorted(set(seen))
    assert pieces[0][0] == 0
    assert pieces[-1][1] == WORD
    assert all(after[0] == before[1] + 1 for before, after in itertools.pairwise(pieces))
    assert {low for low, high in pieces if seen.count((low, high)) > 1} <= {
        NUMBERS[arch][call] for call in ("socket", "lseek", "ioctl")
    }


def test_changed_answers_are_those_that_the_stack_has_to_give() -> None:
    settings, _ = here("allow: [execve, exit_group, getpid]")
    _, other = here("allow: [execve, exit_group, getpid]\ndefault_errno: EACCES")

    def accepted(call: str, answer: int) -> int:
        return bpf.RET_ERRNO | 13 if call and answer == bpf.RET_ERRNO | 1 else answer

    assert find_difference(settings, "x86_64", other) is not None
    assert find_difference(settings, "x86_64", other, accepted) is None


def test_rules_about_one_call_that_fall_apart_without_end_are_not_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    from sandboxer.controls.seccomp import reference

    settings, stack = here(RICH)
    monkeypatch.setattr(reference, "MAX_PARTS", 1)
    with pytest.raises(reference.TooManyParts, match=r"ioctl|socket|lseek"):
        proof.find_difference(settings, "x86_64", stack)


# ── how many steps it takes ───────────────────────────────────────────────────────────────────────────────────────────

LISTS = {
    "values": "{ioctl: {arg: {in: [VALUES]}}}",
    "other values": "{ioctl: {arg: {not_in: [VALUES]}}}",
    "values under a mask": "{ioctl: {arg: {masked: ['0xffffffffffffffef', {in: [VALUES]}]}}}",
    "values and flags": "{ioctl: {arg: {in: [VALUES], not: {all_of: [1, 4096]}, none_of: ['0x1000000']}}}",
    "values of several arguments": "{prctl: {arg2: {in: [VALUES]}, arg3: {not_in: [VALUES]}, arg4: {in: [VALUES]}}}",
    "values of one argument or another": "{prctl: {expr: 'arg2 in {VALUES} || arg3 in {VALUES}'}}",
}


def values(count: int, *, is_dense: bool) -> str:
    """Numbers of 64 bits, with one upper half or with many."""
    source = random.Random(3)
    found = [9 << 32 | at * 32 if is_dense else source.getrandbits(64) & ~0x1000010 for at in range(count)]
    return ", ".join(f"'{value:#x}'" for value in found)


@pytest.mark.parametrize("is_dense", [True, False])
@pytest.mark.parametrize("name", LISTS)
def test_twice_as_many_values_take_about_twice_the_steps(name: str, is_dense: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    for count in (40, 80):
        listed = values(count, is_dense=is_dense)
        rule = LISTS[name].replace("VALUES", listed.replace("'", "") if "expr" in LISTS[name] else listed)
        settings, stack = here(f"allow: [execve, exit_group, {rule}]")
        effort = Effort()
        monkeypatch.setattr(proof, "Effort", lambda steps, effort=effort: effort)
        before = effort.left
        assert find_difference(settings, "x86_64", stack) is None
        taken.append(before - effort.left)
    assert taken[1] < 3 * taken[0]


def test_list_in_which_one_value_is_another_is_found_out() -> None:
    listed = values(150, is_dense=False)
    settings, _ = here(f"allow: [execve, exit_group, {{ioctl: {{arg: {{in: [{listed}]}}}}}}]")
    one = listed.split("'")[151]
    _, stack = here(f"allow: [execve, exit_group, {{ioctl: {{arg: {{in: [{listed.replace(one, hex(int(one, 16) ^ 1))}]}}}}}}]")
    witness = find_difference(settings, "x86_64", stack)
    assert witness is not None
    assert witness.arguments[2] in (int(one, 16), int(one, 16) ^ 1)


def test_proof_that_would_take_too_many_steps_is_given_up_with_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    settings, stack = here(RICH)
    monkeypatch.setattr(proof, "MAX_STEPS", 150)
    with pytest.raises(TooManyParts, match=r"ioctl|socket|lseek"):
        find_difference(settings, "x86_64", stack)


# ── ways that meet ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_ways_that_meet_with_the_same_word_are_one_way() -> None:
    program = (LOAD, Instruction(bpf.JMP_JEQ_K, 0, 1, 7), Instruction(bpf.JMP_JA, 0, 0, 0), Instruction(bpf.RET_K, 0, 0, 1))
    ((region, _),) = walk(program, Region())
    assert region.ranges(NUMBER, WORD) == ((0, WORD),)


def test_ways_that_meet_with_different_words_are_not_mixed_up() -> None:
    program = (
        LOAD,
        Instruction(bpf.JMP_JEQ_K, 1, 0, 5),
        Instruction(bpf.LD_W_ABS, 0, 0, bpf.DATA_ARCH),
        Instruction(bpf.JMP_JEQ_K, 0, 1, 7),
        Instruction(bpf.RET_K, 0, 0, 1),
        Instruction(bpf.RET_K, 0, 0, 2),
    )
    found = sorted((answer, region.tests()) for region, answer in walk(program, Region()))
    others = (NUMBER, WORD, ((0, 4), (6, WORD)))
    assert found == [
        (1, ((ARCH, WORD, ((7, 7),)), others)),
        (2, ((ARCH, WORD, ((0, 6), (8, WORD))), others)),
        (2, ((NUMBER, WORD, ((5, 5),)),)),
    ]
