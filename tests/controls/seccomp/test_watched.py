"""The watched stack: it refuses what the plain one refuses, and asks about it; nothing else is different."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandboxer.abi import bpf
from sandboxer.abi.constants import CONSTANTS
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.controls.seccomp.meaning import Settings
from sandboxer.controls.seccomp.reference import decide
from sandboxer.controls.seccomp.stack import compile_stack
from sandboxer.verify.simulate import Call, run_stack
from tests.controls.seccomp.filters import MINIMAL, meaning

ARCH = "x86_64"
NUMBER = NUMBERS[ARCH]
LATE = ("seccomp", "sendmmsg")
WORD = st.one_of(st.integers(0, (1 << 64) - 1), st.sampled_from(sorted(CONSTANTS.values())))

POLICIES = {
    "application": ('allow: ["@application"]', ()),
    "layers": (
        'allow: ["@application"]\ndeny: ["@network", sendmmsg]\nerrno: {ENOENT: [mount]}',
        ("deny: [{prctl: {option: PR_SET_NAME}}, kill]", 'allow: ["@base", "@process", seccomp, sendmmsg]'),
    ),
    "seccomp denied": (MINIMAL.replace(", seccomp", ""), ()),
    "actions": (
        f"{MINIMAL}\ndeny: [{{getpid: {{}}, action: kill_process}}, {{getppid: {{}}, action: kill_thread}}, "
        "{getuid: {}, action: notify}]",
        (),
    ),
}


def made(name: str) -> tuple[Settings, tuple[bytes, ...]]:
    text, layers = POLICIES[name]
    policy = meaning(text, *layers)
    return policy, tuple(item.program for item in compile_stack(policy, ARCH, is_watched=True))


STACKS = {name: made(name) for name in POLICIES}


@pytest.mark.parametrize("name", POLICIES)
@settings(max_examples=300)
@given(number=st.one_of(st.sampled_from(sorted(NUMBER.values())), st.integers(0, 0xFFFFFFFF)), arguments=st.tuples(*[WORD] * 6))
def test_watched_stack_asks_exactly_where_the_policy_refuses(name: str, number: int, arguments: tuple[int, ...]) -> None:
    policy, programs = STACKS[name]
    answer = decide(policy, ARCH, number, arguments)
    found = run_stack(programs, Call(number, arguments)).value
    is_late = number in {NUMBER[call] for call in LATE}
    assert found == (answer if is_late or answer == bpf.RET_ALLOW else bpf.RET_USER_NOTIF)


@pytest.mark.parametrize("arch", [bpf.AUDIT_ARCH["i386"], bpf.AUDIT_ARCH["aarch64"], 0x1234])
def test_foreign_calls_are_asked_about(arch: int) -> None:
    _, programs = STACKS["application"]
    assert run_stack(programs, Call(20, (), arch)).value == bpf.RET_USER_NOTIF


def test_first_filter_lets_pass_what_sends_its_listener_away() -> None:
    policy = meaning(MINIMAL.replace(", seccomp", ""))
    first, second = compile_stack(policy, ARCH, is_watched=True)
    assert (first.is_watched, second.is_watched) == (True, False)
    for call in LATE:
        assert run_stack([first.program], Call(NUMBER[call])).value == bpf.RET_ALLOW
        assert run_stack([first.program, second.program], Call(NUMBER[call])).value == bpf.RET_ERRNO | 1


def test_trap_stays_a_signal_to_the_job() -> None:
    policy = meaning(f"{MINIMAL}\ndeny: [{{getpid: {{}}, action: trap}}]")
    programs = [item.program for item in compile_stack(policy, ARCH, is_watched=True)]
    assert run_stack(programs, Call(NUMBER["getpid"])).action == bpf.RET_TRAP


def test_grant_that_is_logged_stays_one() -> None:
    policy = meaning("allow: [execve, exit_group, {getpid: {}, action: log}]")
    programs = [item.program for item in compile_stack(policy, ARCH, is_watched=True)]
    assert run_stack(programs, Call(NUMBER["getpid"])).action == bpf.RET_LOG
