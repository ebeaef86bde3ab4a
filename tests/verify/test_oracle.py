"""The kernel answers what a filter says, whatever the action, the ABI and the arguments; the interpreter in C agrees."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

import pytest

from sandboxer.abi import bpf
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.verify.oracle import EXEMPT, MARKER, NOTICED, PASSED, FilterRefused, OracleError, Questions, Row, ask, visible
from sandboxer.verify.simulate import Call
from tests.live.needs import needs
from tests.verify.programs import ALLOW, HIGH, LOW, RET_A, Instruction, answer, load, on_number, on_word, program

NUMBER = NUMBERS["x86_64"]
GETPID, GETPPID = NUMBER["getpid"], NUMBER["getppid"]
EPERM = bpf.RET_ERRNO | errno.EPERM
I386 = bpf.AUDIT_ARCH["i386"]


def verdicts(helper: Path, stack: Sequence[bytes], *calls: Call, listens: bool = False) -> list[int]:
    """What the kernel answers, which must be what the interpreter answers."""
    outcome = ask(stack, Questions(calls, listens=listens), helper=helper)
    assert (outcome.kernel, outcome.mismatches) == (outcome.interpreter, 0), str(outcome.first)
    return list(outcome.kernel)


@needs("x86_64")
@pytest.mark.parametrize(
    ("verdict", "shown"),
    [
        (bpf.RET_KILL_PROCESS, bpf.RET_KILL_PROCESS),
        (bpf.RET_KILL_PROCESS | 9, bpf.RET_KILL_PROCESS),
        (bpf.RET_KILL_THREAD, bpf.RET_KILL_THREAD),
        (bpf.RET_KILL_THREAD | 9, bpf.RET_KILL_THREAD),
        (bpf.RET_TRAP | 77, bpf.RET_TRAP | 77),
        (bpf.RET_ERRNO | 1, bpf.RET_ERRNO | 1),
        (bpf.RET_ERRNO, bpf.RET_ERRNO),
        (bpf.RET_ERRNO | 0xFFFF, bpf.RET_ERRNO | 4095),
        (bpf.RET_ERRNO | MARKER, PASSED),
        (bpf.RET_USER_NOTIF, PASSED),
        (bpf.RET_TRACE | 3, PASSED),
        (bpf.RET_LOG, PASSED),
        (bpf.RET_ALLOW, PASSED),
        (0x00010000, bpf.RET_KILL_PROCESS),  # an action that nobody knows, stricter than a trap
        (0x00060000, PASSED),  # and one that is weaker than an errno
        (0xFFFF0000, bpf.RET_KILL_PROCESS),
    ],
)
def test_every_action_shows_as_it_is_down_to_errno_and_its_twin_passes(helper: Path, verdict: int, shown: int) -> None:
    assert verdicts(helper, [on_number(GETPID, verdict)], Call(GETPID), Call(GETPPID), Call(GETPID)) == [shown, PASSED, shown]
    assert visible(verdict) == shown


@needs("x86_64")
@pytest.mark.parametrize("listens", [False, True])
def test_allowed_calls_are_not_made(helper: Path, listens: bool) -> None:
    deadly = [Call(NUMBER["exit_group"], (7,)), Call(NUMBER["pause"]), Call(NUMBER["munmap"], (0, 1 << 46)), Call(NUMBER["fork"])]
    assert verdicts(helper, [], *deadly, listens=listens) == [PASSED] * 4
    assert verdicts(helper, [program(answer(EPERM))], *deadly, listens=listens) == [EPERM] * 4


@needs("x86_64")
@pytest.mark.parametrize(
    ("verdict", "shown"),
    [
        (bpf.RET_KILL_PROCESS, bpf.RET_KILL_PROCESS),
        (bpf.RET_KILL_THREAD, bpf.RET_KILL_THREAD),
        (bpf.RET_TRAP | 77, bpf.RET_TRAP | 77),
        (bpf.RET_ERRNO | 1, bpf.RET_ERRNO | 1),
        (bpf.RET_ERRNO | errno.ENOSYS, NOTICED),
        (bpf.RET_ERRNO | MARKER, PASSED),
        (bpf.RET_USER_NOTIF, NOTICED),
        (bpf.RET_USER_NOTIF | 9, NOTICED),
        (0x00060000, bpf.RET_KILL_PROCESS),  # an action that nobody knows, between an errno and a notice
        (0x7FD00000, PASSED),  # and one that is weaker than a notice
        (bpf.RET_TRACE | 3, PASSED),
        (bpf.RET_LOG, PASSED),
        (bpf.RET_ALLOW, PASSED),
    ],
)
def test_marker_that_listens_shows_notices_too(helper: Path, verdict: int, shown: int) -> None:
    calls = (Call(GETPID), Call(GETPPID), Call(GETPID), Call(20, arch=I386))
    assert verdicts(helper, [on_number(GETPID, verdict)], *calls, listens=True) == [shown, PASSED, shown, PASSED]
    assert visible(verdict, listens=True) == shown


@needs("x86_64")
@pytest.mark.parametrize(
    ("older", "newer", "shown"),
    [
        (bpf.RET_USER_NOTIF, bpf.RET_ERRNO | 5, bpf.RET_ERRNO | 5),
        (bpf.RET_ERRNO | 5, bpf.RET_USER_NOTIF, bpf.RET_ERRNO | 5),
        (bpf.RET_USER_NOTIF, bpf.RET_TRACE, NOTICED),
        (bpf.RET_ALLOW, bpf.RET_USER_NOTIF, NOTICED),
        (bpf.RET_USER_NOTIF, bpf.RET_KILL_THREAD, bpf.RET_KILL_THREAD),
    ],
)
def test_notice_has_its_rank_in_a_stack(helper: Path, older: int, newer: int, shown: int) -> None:
    stack = [on_number(GETPID, older), on_number(GETPID, newer)]
    assert verdicts(helper, stack, Call(GETPID), Call(GETPPID), listens=True) == [shown, PASSED]


@needs("x86_64")
@pytest.mark.parametrize(
    ("older", "newer", "shown"),
    [
        (bpf.RET_ERRNO | 1, bpf.RET_ERRNO | 38, bpf.RET_ERRNO | 38),
        (bpf.RET_TRAP | 1, bpf.RET_TRAP | 2, bpf.RET_TRAP | 2),
        (bpf.RET_TRAP | 1, bpf.RET_ERRNO | 38, bpf.RET_TRAP | 1),
        (bpf.RET_ERRNO | 38, bpf.RET_KILL_THREAD, bpf.RET_KILL_THREAD),
        (bpf.RET_KILL_PROCESS, bpf.RET_KILL_THREAD, bpf.RET_KILL_PROCESS),
        (bpf.RET_ERRNO | 1, bpf.RET_ALLOW, bpf.RET_ERRNO | 1),
        (bpf.RET_ALLOW, bpf.RET_ERRNO | 1, bpf.RET_ERRNO | 1),
        (bpf.RET_LOG, bpf.RET_ALLOW, PASSED),
    ],
)
def test_stack_answers_the_strictest_and_of_equals_the_newest(helper: Path, older: int, newer: int, shown: int) -> None:
    stack = [on_number(GETPID, older), on_number(GETPID, newer)]
    assert verdicts(helper, stack, Call(GETPID), Call(GETPPID)) == [shown, PASSED]


@needs("x86_64")
@pytest.mark.parametrize("number", [0, GETPID, NUMBER["seccomp"] + 1000, 0x40000000 | GETPID, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_every_number_is_asked_about_as_it_is(helper: Path, number: int) -> None:
    for verdict in (EPERM, bpf.RET_TRAP | 5, bpf.RET_KILL_PROCESS):
        stack = [on_number(number, verdict)]
        assert verdicts(helper, stack, Call(number), Call(number ^ 2), Call(number)) == [verdict, PASSED, verdict]


@needs("x86_64")
def test_call_of_32_bit_x86_has_its_own_architecture_and_arguments(helper: Path) -> None:
    stack = [program(load(bpf.DATA_ARCH), (bpf.JMP_JEQ_K, 0, 1, I386), answer(bpf.RET_TRAP | 4), ALLOW)]
    assert verdicts(helper, stack, Call(20, arch=I386), Call(20)) == [bpf.RET_TRAP | 4, PASSED]
    for index in range(6):
        seen = on_word(LOW + 8 * index, bpf.JMP_JEQ_K, 0xABCD0123)
        arguments = tuple(0xABCD0123 if at == index else 7 for at in range(6))
        assert verdicts(helper, [seen], Call(20, arguments, I386), Call(20, (7,) * 6, I386)) == [EPERM, PASSED]


@needs("x86_64")
@pytest.mark.parametrize("index", range(6))
@pytest.mark.parametrize("offset", [LOW, HIGH])
def test_each_half_of_each_argument_is_asked_about(helper: Path, index: int, offset: int) -> None:
    value = 0xFEDCBA98 << (32 if offset == HIGH else 0)
    hit = tuple(value if at == index else 0 for at in range(6))
    missed = tuple(value ^ (1 << 31) * (1 + (1 << 32)) if at == index else value for at in range(6))
    filter_ = on_word(offset + 8 * index, bpf.JMP_JEQ_K, 0xFEDCBA98)
    assert verdicts(helper, [filter_], Call(GETPID, hit), Call(GETPID, missed)) == [EPERM, PASSED]


_RET_ERRNO_A: tuple[Instruction, ...] = ((0x04, 0, 0, bpf.RET_ERRNO), (RET_A, 0, 0, 0))


@needs("x86_64")
@pytest.mark.parametrize(
    ("steps", "refused", "passed"),
    [
        ((load(LOW), (bpf.JMP_JSET_K, 0, 1, 0x12), answer(EPERM), ALLOW), 0x10, 0xFFFFFFED),
        ((load(LOW), (bpf.ALU_AND_K, 0, 0, 0xF0), (bpf.JMP_JEQ_K, 0, 1, 0x30), answer(EPERM), ALLOW), 0xF3F, 0x70),
        ((load(LOW), (bpf.JMP_JGE_K, 0, 1, 0x80000000), answer(EPERM), ALLOW), 0x80000000, 0x7FFFFFFF),
        ((load(LOW), (bpf.JMP_JGT_K, 0, 1, 0x80000000), answer(EPERM), ALLOW), 0x80000001, 0x80000000),
        ((load(LOW), (0x07, 0, 0, 0), load(LOW + 8), (0x1D, 0, 1, 0), ALLOW, answer(EPERM)), 1, 0),
        ((load(LOW), (bpf.JMP_JEQ_K, 0, 255, 5), *(ALLOW,) * 255, answer(EPERM)), 6, 5),
        ((load(LOW), (bpf.JMP_JEQ_K, 1, 0, 5), (bpf.JMP_JA, 0, 0, 4000), *(ALLOW,) * 4000, answer(EPERM)), 6, 5),
    ],
    ids=["jset", "and", "jge", "jgt", "jeq of x", "longest jump", "far jump"],
)
def test_instruction_decides_as_the_interpreter_says(
    helper: Path, steps: tuple[Instruction, ...], refused: int, passed: int
) -> None:
    assert verdicts(helper, [program(*steps)], Call(GETPID, (refused,)), Call(GETPID, (passed,))) == [EPERM, PASSED]


@needs("x86_64")
@pytest.mark.parametrize(
    ("steps", "number"),
    [
        (((0x00, 0, 0, 1), (0x01, 0, 0, 33), (0x6C, 0, 0, 0)), 2),
        (((0x00, 0, 0, 64), (0x01, 0, 0, 33), (0x7C, 0, 0, 0)), 32),
        (((0x00, 0, 0, 64), (0x34, 0, 0, 10)), 6),
        (((0x00, 0, 0, 7), (0x84, 0, 0, 0), (0x04, 0, 0, 9)), 2),
        (((0x00, 0, 0, 6), (0xA4, 0, 0, 3)), 5),
        (((0x80, 0, 0, 0),), 64),
        (((0x81, 0, 0, 0), (0x87, 0, 0, 0)), 64),
        (((0x00, 0, 0, 9), (0x02, 0, 0, 15), (0x00, 0, 0, 0), (0x60, 0, 0, 15)), 9),
    ],
    ids=["shift left by x", "shift right by x", "division", "negation", "xor", "length", "length in x", "memory"],
)
def test_arithmetic_is_the_kernels(helper: Path, steps: tuple[Instruction, ...], number: int) -> None:
    assert verdicts(helper, [program(*steps, *_RET_ERRNO_A)], Call(GETPID)) == [bpf.RET_ERRNO | number]


@needs("x86_64")
def test_division_by_zero_ends_the_thread(helper: Path) -> None:
    divide: tuple[Instruction, ...] = ((0x00, 0, 0, 8), load(LOW), (0x07, 0, 0, 0), (0x00, 0, 0, 8), (0x3C, 0, 0, 0))
    filter_ = program(load(bpf.DATA_NR), (bpf.JMP_JEQ_K, 1, 0, GETPID), ALLOW, *divide, *_RET_ERRNO_A)
    assert verdicts(helper, [filter_], Call(GETPID, (0,)), Call(GETPID, (2,))) == [bpf.RET_KILL_THREAD, bpf.RET_ERRNO | 4]


@needs("x86_64")
@pytest.mark.parametrize("number", sorted(EXEMPT["x86_64"]))
def test_number_that_no_filter_sees_is_not_asked_about(helper: Path, number: int) -> None:
    for questions in (Questions((Call(number),)), Questions(rows=(Row((1, number), 5),))):
        with pytest.raises(OracleError):
            ask([program(answer(EPERM))], questions, helper=helper)
    assert verdicts(helper, [program(answer(EPERM))], Call(number - 2), Call(number, arch=I386)) == [EPERM, EPERM]


@needs("x86_64")
@pytest.mark.parametrize(
    "refused",
    [
        b"",
        program(load(2), ALLOW),
        program(load(64), ALLOW),
        program(load(0)),
        program((bpf.JMP_JA, 0, 0, 1), ALLOW),
        program((0x60, 0, 0, 0), (RET_A, 0, 0, 0)),
        program(*(load(0),) * 4096, ALLOW),
    ],
    ids=["empty", "odd offset", "far offset", "no end", "jump out", "memory unwritten", "4097"],
)
def test_filter_that_the_kernel_refuses_is_named(helper: Path, refused: bytes) -> None:
    with pytest.raises(FilterRefused, match="filter 1 was not loaded: EINVAL") as caught:
        ask([program(ALLOW), refused], Questions((Call(GETPID),)), helper=helper)
    assert (caught.value.number, caught.value.errno) == (1, errno.EINVAL)
    assert verdicts(helper, [program(ALLOW), program(*(load(0),) * 4095, ALLOW)], Call(GETPID)) == [PASSED]


@needs("x86_64")
@pytest.mark.parametrize(
    ("verdict", "error"),
    [(EPERM, errno.EPERM), (bpf.RET_TRAP, errno.ECANCELED), (bpf.RET_KILL_PROCESS, 0), (bpf.RET_KILL_THREAD, 0)],
)
def test_filter_that_keeps_the_next_from_loading_is_told(helper: Path, verdict: int, error: int) -> None:
    first = on_number(NUMBER["seccomp"], verdict)
    with pytest.raises(FilterRefused) as caught:
        ask([first, program(ALLOW)], Questions((Call(GETPID),)), helper=helper)
    assert (caught.value.number, caught.value.errno) == (1, error)
    assert verdicts(helper, [program(ALLOW), first], Call(GETPID), Call(NUMBER["seccomp"])) == [PASSED, verdict]


@needs("x86_64")
def test_disagreement_is_counted_and_witnessed(helper: Path) -> None:
    right, wrong = on_word(LOW, bpf.JMP_JEQ_K, 5), on_word(LOW, bpf.JMP_JEQ_K, 6)
    calls = tuple(Call(GETPID, (value,)) for value in range(10))
    outcome = ask([right], Questions(calls), helper=helper, interpreted=[wrong])
    assert outcome.mismatches == 2
    assert outcome.first is not None
    assert (outcome.first.call.number, outcome.first.call.arguments[0]) == (GETPID, 5)
    assert (outcome.first.kernel, outcome.first.interpreter) == (EPERM, PASSED)
    assert ask([right], Questions(calls), helper=helper, interpreted=[right, program(ALLOW)]).mismatches == 0


@needs("x86_64")
def test_rows_find_a_filter_that_forgets_high_bits(helper: Path) -> None:
    """The kernel looks at all of `addr` here: a filter that compares its low half only is another filter."""
    value = 0x1234
    whole = program(
        load(HIGH), (bpf.JMP_JEQ_K, 0, 3, 0), load(LOW), (bpf.JMP_JEQ_K, 0, 1, value), answer(EPERM), ALLOW
    )  # fmt: skip
    rows = (Row((GETPID,), 1000, ((value,),)),)
    outcome = ask([whole], Questions(rows=rows), helper=helper, interpreted=[on_word(LOW, bpf.JMP_JEQ_K, value)])
    assert outcome.first is not None
    assert outcome.first.call.arguments[0] & 0xFFFFFFFF == value != outcome.first.call.arguments[0]
    assert ask([whole], Questions(rows=rows), helper=helper).mismatches == 0


@needs("x86_64")
def test_cases_of_rows_come_from_the_seed_also_across_kills(helper: Path) -> None:
    stack = [on_word(LOW, bpf.JMP_JEQ_K, 5), on_number(GETPPID, bpf.RET_KILL_PROCESS), on_number(39 + 1000, bpf.RET_KILL_THREAD)]
    rows = (Row((GETPID, GETPPID, 39 + 1000), 90, ((5, 6),)), Row((GETPID,), 1000, ((5, 6),)))
    first, again, other = (ask(stack, Questions(rows=rows, seed=seed), helper=helper) for seed in (1, 1, 2))
    assert first.tally == again.tally != other.tally
    assert (first.asked, sum(first.tally.values()), first.mismatches, first.tally["undecided"]) == (1090, 1090, 0, 0)
    assert first.restarts == first.tally["kill_process"] + first.tally["kill_thread"]
    assert min(first.tally[kind] for kind in ("passed", "errno", "kill_process", "kill_thread")) > 0


@needs("x86_64")
def test_row_without_numbers_is_refused(helper: Path) -> None:
    with pytest.raises(OracleError):
        ask([], Questions(rows=(Row((), 5),)), helper=helper)
    assert ask([], Questions(rows=(Row((GETPID,), 5),)), helper=helper).asked == 5


def test_visible_does_not_tell_weak_actions_apart() -> None:
    assert {visible(verdict) for verdict in (bpf.RET_ALLOW, bpf.RET_LOG, bpf.RET_TRACE, bpf.RET_USER_NOTIF)} == {PASSED}
    assert visible(bpf.RET_ERRNO | 5) == bpf.RET_ERRNO | 5
