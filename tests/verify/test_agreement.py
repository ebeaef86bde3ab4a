"""The running kernel, two simulators and the meaning of the rules agree about the filters of every shipped profile.

In bulk the kernel is compared with the interpreter in C, case by case; at the boundaries of everything that the filters compare,
with the simulator in Python and with the reference semantics too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sandboxer.abi import bpf
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.controls.seccomp.reference import decide
from sandboxer.verify.boundaries import boundary_calls, make_rows, plain_numbers
from sandboxer.verify.oracle import PASSED, Questions, Row, ask, visible
from sandboxer.verify.simulate import Call, run_stack
from tests.controls.seccomp.filters import meaning
from tests.live.needs import needs
from tests.verify.programs import BACKENDS, PROFILES, Stack, compiled, shipped_stacks

CASES = 12_000_000
POINTS_PER_NUMBER = 1500
MUTANTS = 20
FOREIGN_NUMBERS = (*range(0, 512, 7), 0x3FFFFFFF)

# Layers, halves of 64 bits, answers of calls: what the shipped profiles have little of.
_LAYERED = meaning(
    """
    allow:
      - "@application"
      - unshare: {unshare_flags: {in: [CLONE_FS, CLONE_FILES]}}
      - mount
    deny: [{kill: {sig: 9}}, {mmap: {prot: 7}}, sched_yield]
    errno: {ENOENT: [mount], EACCES: [kill]}
    """,
    "deny: [{socket: {family: AF_NETLINK, type: 3}}, {lseek: {offset: 4294967296}}, mount]",
    'allow: ["@application", {unshare: {unshare_flags: CLONE_FS}}]',
)
# Orders, ranges, negations, and rules with answers of their own.
_SPOKEN = meaning(
    """
    allow:
      - "@application"
      - {ftruncate: {length: {range: [4096, 1099511627776]}}}
      - {setpriority: {niceval: {any: [{lt: 20}, 77]}}, action: log}
    deny:
      - {lseek: {offset: {gt: 8589934591}}, action: trap}
      - {mmap: {len: {ge: 4294967296}, prot: {all_of: [PROT_WRITE, PROT_EXEC]}}, errno: ENOMEM}
      - {kill: {sig: {not_in: [0, 15]}}, errno: ESRCH}
      - {madvise: {behavior: {not: {range: [0, 25]}}}}
    """
)
_KILLING = meaning(
    """
    allow: ["@application"]
    deny:
      - {kill: {sig: 9}, action: kill_process}
      - {tgkill: {sig: {ge: 32}}, action: kill_thread}
      - {tkill: {sig: 11}, action: trap}
    """
)
KILLING = compiled("killing", _KILLING)
STACKS = (
    *shipped_stacks(),
    *(compiled("layered", _LAYERED, backend) for backend in BACKENDS),
    compiled("spoken", _SPOKEN),
)

each_stack = pytest.mark.parametrize("stack", STACKS, ids=str)


@needs("x86_64")
def test_kernel_and_interpreter_agree_in_bulk(helper: Path, record_property: Callable[[str, object], None]) -> None:
    share = CASES // len(STACKS)
    asked = 0
    begin = time.perf_counter()
    for seed, stack in enumerate(STACKS, 1):
        numbers = plain_numbers(stack.programs)
        rows = make_rows(stack.programs, numbers, cases=share)
        outcome = ask(stack.programs, Questions(rows=rows, seed=seed), helper=helper)
        assert outcome.mismatches == 0, f"{stack}: {outcome.mismatches} mismatches, the first: {outcome.first}"
        assert sum(outcome.tally.values()) == outcome.asked == share
        assert min(outcome.tally["passed"], outcome.tally["errno"]) > share // 100, outcome.tally
        asked += outcome.asked
    seconds = time.perf_counter() - begin
    assert asked >= 10_000_000
    stacks = f"{len(STACKS)} stacks of {len(PROFILES)} shipped profiles and others"
    record_property("numbers", f"{asked:,} cases over {stacks}, 0 mismatches, {asked / seconds:,.0f} a second")


PAIRS = [
    (one, other)
    for one in STACKS
    for other in STACKS
    if (one.settings.backend, other.settings.backend) == BACKENDS and set(one.names) == set(other.names)
]


@needs("x86_64")
@pytest.mark.parametrize(("own", "other"), PAIRS, ids=str)
def test_own_filters_in_the_kernel_answer_as_those_of_libseccomp(helper: Path, own: Stack, other: Stack) -> None:
    """What one of two compilers forgot to compare, the other one's values find."""
    both = (*own.programs, *other.programs)
    rows = make_rows(both, plain_numbers(both), cases=1_000_000)
    outcome = ask(own.programs, Questions(rows=rows), helper=helper, interpreted=other.programs)
    assert outcome.mismatches == 0, str(outcome.first)
    assert min(outcome.tally["passed"], outcome.tally["errno"]) > 10_000


def test_both_compilers_are_compared() -> None:
    assert len(PAIRS) == sum(stack.settings.backend == "libseccomp" for stack in STACKS) > 2


def test_every_profile_is_among_the_stacks() -> None:
    assert sorted(name for stack in shipped_stacks() for name in stack.names) == sorted(PROFILES * len(BACKENDS))


@needs("x86_64")
@each_stack
def test_all_four_agree_at_the_boundaries(helper: Path, stack: Stack, record_property: Callable[[str, object], None]) -> None:
    numbers = (*plain_numbers(stack.programs), bpf.NO_NUMBER)
    calls = [call for number in numbers for call in boundary_calls(stack.programs, number, limit=POINTS_PER_NUMBER)]
    outcome = ask(stack.programs, Questions(tuple(calls)), helper=helper)
    assert outcome.mismatches == 0, str(outcome.first)
    assert min(outcome.tally["passed"], outcome.tally["errno"]) > 0
    for call, kernel in zip(calls, outcome.kernel, strict=True):
        assert visible(run_stack(stack.programs, call).value) == kernel, call
        assert visible(decide(stack.settings, "x86_64", call.number, call.arguments)) == kernel, call
    record_property("numbers", f"{len(calls):,} boundary points of {stack}, kernel = interpreter = simulator = meaning")


@needs("x86_64")
@each_stack
def test_foreign_abis_are_killed_and_their_twins_are_not(helper: Path, stack: Stack) -> None:
    x32 = [Call(bpf.X32_BIT | number) for number in FOREIGN_NUMBERS] + [Call(0x80000000), Call(0xFFFFFFFE)]
    i386 = [Call(number, (1, 2, 3), bpf.AUDIT_ARCH["i386"]) for number in FOREIGN_NUMBERS]
    native = [Call(number) for number in FOREIGN_NUMBERS if number not in (335, 336)]
    outcome = ask(stack.programs, Questions((*x32, *i386, *native)), helper=helper)
    assert outcome.mismatches == 0, str(outcome.first)
    assert set(outcome.kernel[: len(x32) + len(i386)]) == {bpf.RET_KILL_PROCESS}
    assert outcome.tally["kill_process"] == outcome.restarts == len(x32) + len(i386)
    for call, kernel in zip([*x32, *i386], outcome.kernel, strict=False):
        assert visible(run_stack(stack.programs, call).value) == kernel


def mutants(stack: tuple[bytes, ...]) -> list[tuple[bytes, ...]]:
    """The stack with one bit of one comparison changed, for comparisons spread over all of it."""
    places = [
        (number, at)
        for number, item in enumerate(stack)
        for at in range(0, len(item), bpf.INSTRUCTION_BYTES)
        if item[at] in (bpf.JMP_JEQ_K, bpf.JMP_JGE_K, bpf.JMP_JGT_K, bpf.JMP_JSET_K)
    ]
    found = []
    for number, at in places[:: max(len(places) // MUTANTS, 1)]:
        changed = bytearray(stack[number])
        changed[at + 4] ^= 1
        found.append((*stack[:number], bytes(changed), *stack[number + 1 :]))
    return found


@needs("x86_64")
@pytest.mark.parametrize("stack", [stack for stack in STACKS if len(stack.programs) == 1], ids=str)
def test_most_filters_with_one_wrong_bit_are_noticed(helper: Path, stack: Stack) -> None:
    """Most, because some values part a tree and no answers. Of one filter, because in a stack another one may refuse the same."""
    questions = Questions(rows=make_rows(stack.programs, plain_numbers(stack.programs), cases=100_000))
    wrong = mutants(stack.programs)
    noticed = [mutant for mutant in wrong if ask(stack.programs, questions, helper=helper, interpreted=mutant).mismatches]
    assert len(noticed) > len(wrong) * 2 / 3, f"{len(noticed)} of {len(wrong)}"
    assert ask(stack.programs, questions, helper=helper).mismatches == 0


@needs("x86_64")
def test_rules_that_kill_do_it_to_what_they_are_about(helper: Path) -> None:
    calls = [Call(NUMBERS["x86_64"]["kill"], (1, sig)) for sig in (9, 9 | 1 << 32, 10)]
    calls += [Call(NUMBERS["x86_64"]["tgkill"], (1, 1, sig)) for sig in (31, 32, 1 << 31, 1 << 32)]
    calls += [Call(NUMBERS["x86_64"]["tkill"], (1, sig)) for sig in (11, 12)]
    outcome = ask(KILLING.programs, Questions(tuple(calls)), helper=helper)
    assert outcome.mismatches == 0, str(outcome.first)
    meant = [visible(decide(KILLING.settings, "x86_64", call.number, (*call.arguments, 0, 0, 0, 0))) for call in calls]
    assert list(outcome.kernel) == meant
    process, thread, trap = bpf.RET_KILL_PROCESS, bpf.RET_KILL_THREAD, bpf.RET_TRAP
    assert meant == [process, process, PASSED, PASSED, thread, thread, PASSED, trap, PASSED]


@needs("x86_64")
def test_row_of_random_numbers_agrees(helper: Path) -> None:
    numbers = tuple(number for number in range(337, 0x40000000, 99991))
    outcome = ask(STACKS[-1].programs, Questions(rows=(Row(numbers, 100_000),)), helper=helper)
    assert (outcome.mismatches, outcome.asked) == (0, 100_000)
