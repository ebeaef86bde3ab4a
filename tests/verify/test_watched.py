"""The filters of a watched run, in the running kernel: refused calls ask, and nothing else is different.

Asked twice, under a marker that refuses and under one that listens, a stack has shown its whole answer: an errno in the first
place, a question to the listener in the second. `meant` says what both must be, from the rules alone.
"""

from __future__ import annotations

import functools
import random
import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from sandboxer.abi import bpf
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.compile.encode import decode_ops
from sandboxer.compile.lower import make_scene
from sandboxer.controls import seccomp
from sandboxer.controls.seccomp.meaning import Settings
from sandboxer.controls.seccomp.reference import decide
from sandboxer.controls.seccomp.stack import compile_stack
from sandboxer.model.op import LoadFilter, LoadWatchedFilter
from sandboxer.run.prepare import compile_request
from sandboxer.run.request import Request
from sandboxer.verify.boundaries import boundary_calls, make_rows, plain_numbers
from sandboxer.verify.oracle import NOTICED, PASSED, Questions, ask, visible
from sandboxer.verify.simulate import Call, run_stack
from tests.controls.seccomp.agreement import points, witnesses
from tests.controls.seccomp.drawn import Policy, policies
from tests.controls.seccomp.filters import meaning
from tests.live.needs import needs
from tests.verify.programs import PROFILES, Stack, compiled, on_number, program, settings_of

ARCH = "x86_64"
NUMBER = NUMBERS[ARCH]
CASES = 2_000_000
POINTS_PER_NUMBER = 300
LATE = {NUMBER[call] for call in ("seccomp", "sendmmsg")}
WORD = (1 << 64) - 1

_LAYERED = meaning(
    """
    allow: ["@application", {unshare: {unshare_flags: {in: [CLONE_FS, CLONE_FILES]}}}, mount, {setpriority: {}, action: log}]
    deny:
      - {kill: {sig: 9}, action: kill_process}
      - {tkill: {sig: 11}, action: trap}
      - {mmap: {prot: 7}}
      - {getpid: {}, action: notify}
    errno: {ENOSYS: [mount, seccomp], EACCES: [kill]}
    """,
    "deny: [{socket: {family: AF_NETLINK, type: 3}}, {lseek: {offset: 4294967296}}, mount, sendmmsg]",
)


@functools.cache
def stacks() -> tuple[Stack, ...]:
    """What every shipped profile loads in a watched run, and one with answers of all kinds."""
    made = [compiled(name, settings_of(name), is_watched=True) for name in PROFILES]
    return (*made, compiled("layered", _LAYERED, is_watched=True))


each_stack = pytest.mark.parametrize("number", range(len(PROFILES) + 1), ids=[*PROFILES, "layered"])


def meant(rules: Settings, call: Call) -> int:
    """The answer of a watched stack, out of the rules."""
    verdict = decide(rules, ARCH, call.number, tuple((*call.arguments, *(0,) * 6)[:6]))
    is_kept = call.number in LATE or verdict & bpf.RET_ACTION in (bpf.RET_ALLOW, bpf.RET_LOG, bpf.RET_TRAP)
    return verdict if is_kept else bpf.RET_USER_NOTIF


def check_calls(programs: Sequence[bytes], rules: Settings, calls: Sequence[Call], helper: Path) -> dict[str, int]:
    """Kernel, interpreter, simulator and meaning agree about calls, in both ways of asking; the tally of the second."""
    tally: dict[str, int] = {}
    for listens in (False, True):
        outcome = ask(programs, Questions(tuple(calls), listens=listens), helper=helper)
        assert outcome.mismatches == 0, str(outcome.first)
        for call, kernel in zip(calls, outcome.kernel, strict=True):
            assert visible(run_stack(programs, call).value, listens=listens) == kernel, call
            assert visible(meant(rules, call), listens=listens) == kernel, call
        tally = outcome.tally
    return tally


@needs("x86_64")
@each_stack
def test_all_four_agree_about_a_watched_profile_at_its_boundaries(helper: Path, number: int) -> None:
    stack = stacks()[number]
    assert len(stack.programs) == 2
    numbers = (*plain_numbers(stack.programs), bpf.NO_NUMBER)
    calls = [call for at in numbers for call in boundary_calls(stack.programs, at, limit=POINTS_PER_NUMBER)]
    tally = check_calls(stack.programs, stack.settings, calls, helper)
    assert min(tally["passed"], tally["errno"]) > 100


@needs("x86_64")
@each_stack
def test_kernel_and_interpreter_agree_about_a_watched_profile_in_bulk(helper: Path, number: int) -> None:
    stack = stacks()[number]
    rows = make_rows(stack.programs, plain_numbers(stack.programs), cases=CASES // (len(PROFILES) + 1))
    for listens in (False, True):
        outcome = ask(stack.programs, Questions(rows=rows, seed=number + 1, listens=listens), helper=helper)
        assert outcome.mismatches == 0, str(outcome.first)
        assert sum(outcome.tally.values()) == outcome.asked
    assert min(outcome.tally["passed"], outcome.tally["errno"]) > outcome.asked // 100


@needs("x86_64")
@each_stack
def test_foreign_calls_are_asked_about_by_the_kernel_and_nothing_is_killed(helper: Path, number: int) -> None:
    stack = stacks()[number]
    foreign = [Call(bpf.X32_BIT | 39), Call(bpf.X32_BIT | 999), Call(0xFFFFFFFE), Call(20, (), bpf.AUDIT_ARCH["i386"])]
    outcome = ask(stack.programs, Questions((*foreign, Call(NUMBER["getppid"])), listens=True), helper=helper)
    assert (outcome.mismatches, outcome.restarts) == (0, 0)
    assert outcome.kernel == (*(NOTICED,) * len(foreign), PASSED)


@needs("x86_64", "userns")
@pytest.mark.parametrize("profile", ["default", "strict"])
def test_all_four_agree_about_the_filters_in_a_plan_for_this_machine(helper: Path, profile: str) -> None:
    made = compile_request(Request(profile, is_watched=True))
    ops = decode_ops(made.entry.plan)["inside"]
    loaded = [op for op in ops if isinstance(op, LoadWatchedFilter | LoadFilter)]
    assert [type(op) for op in loaded] == [LoadWatchedFilter, LoadFilter]
    programs = [op.program for op in loaded]
    rules = seccomp.settings(made.policy).at(seccomp.situation(make_scene(made.policy, made.host)))
    calls = [call for at in plain_numbers(programs) for call in boundary_calls(programs, at, limit=30)]
    check_calls(programs, rules, calls, helper)


@needs("x86_64")
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(drawn=policies(most_layers=2, most_rules=3))
def test_all_four_agree_about_random_watched_policies(helper: Path, drawn: Policy) -> None:
    policy = replace(drawn, situation=replace(drawn.situation, arch=ARCH))
    rules = policy.settings()
    programs = [item.program for item in compile_stack(rules, ARCH, is_watched=True)]
    tried = [*points(policy, 40), *witnesses(policy, rules, 6)]
    calls = [Call(NUMBER[name], tuple(value & WORD for value in arguments)) for name, arguments in tried]
    source = random.Random(policy.seed)
    calls += [Call(source.choice(sorted(NUMBER.values())), tuple(source.getrandbits(64) for _ in range(6))) for _ in range(40)]
    check_calls(programs, rules, [call for call in calls if call.number not in (335, 336)], helper)


# ── and a filter that does not ask where it should is noticed ─────────────────────────────────────────────────────────


def swapped(filter_: bytes, one: int, other: int) -> bytes:
    """The filter with two of its answers in each other's place."""
    steps = list(struct.iter_unpack("<HBBI", filter_))
    other_of = {one: other, other: one}
    return program(*((code, jt, jf, other_of.get(k, k) if code == bpf.RET_K else k) for code, jt, jf, k in steps))


@needs("x86_64")
@each_stack
def test_filter_that_allows_what_it_should_ask_about_is_seen_by_a_marker_that_listens_only(helper: Path, number: int) -> None:
    stack = stacks()[number]
    wrong = (swapped(stack.programs[0], bpf.RET_ALLOW, bpf.RET_USER_NOTIF), stack.programs[1])
    calls = (Call(NUMBER["getppid"]), Call(NUMBER["keyctl"]))
    found = [
        ask(stack.programs, Questions(calls, listens=listens), helper=helper, interpreted=wrong).mismatches
        for listens in (False, True)
    ]
    assert found == [0, 2]


@needs("x86_64")
@pytest.mark.parametrize("verdict", [bpf.RET_ERRNO | 38, bpf.RET_USER_NOTIF])
def test_errno_that_looks_like_a_question_is_told_apart_by_a_marker_that_refuses(helper: Path, verdict: int) -> None:
    stack = [on_number(39, verdict)]
    shown = [ask(stack, Questions((Call(39),), listens=listens), helper=helper).kernel for listens in (False, True)]
    assert shown == [(visible(verdict),), (NOTICED,)]
    assert (visible(verdict) == PASSED) == (verdict == bpf.RET_USER_NOTIF)
