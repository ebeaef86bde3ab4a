"""The last filter: numbers without a name, answers, seccomp itself, on every architecture."""

from __future__ import annotations

import pytest

from sandboxer.abi import bpf
from sandboxer.abi.syscalls_table import NEWEST, NUMBERS
from sandboxer.controls.seccomp.libseccomp.closing import closing_filter, decided_calls, unnamed_ranges
from sandboxer.controls.seccomp.rules import ARCHITECTURES
from sandboxer.verify.simulate import Call, run_filter, run_stack
from tests.controls.seccomp.filters import MINIMAL, meaning, programs


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_ranges_are_exactly_the_numbers_without_a_name(arch: str) -> None:
    ranges = tuple(unnamed_ranges(arch))
    named = set(NUMBERS[arch].values())
    for number in range(NEWEST[arch] + 100):
        assert any(low <= number <= high for low, high in ranges) is (number not in named)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_number_newer_than_the_table_answers_enosys_and_a_known_one_passes(arch: str) -> None:
    program = closing_filter(meaning(MINIMAL), arch)
    assert run_filter(program, Call(NEWEST[arch] + 1, arch=bpf.AUDIT_ARCH[arch])).errno == 38
    assert run_filter(program, Call(NUMBERS[arch]["getpid"], arch=bpf.AUDIT_ARCH[arch])).is_allowed


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_foreign_architecture_is_killed(arch: str) -> None:
    foreign = next(token for name, token in bpf.AUDIT_ARCH.items() if token != bpf.AUDIT_ARCH[arch])
    assert run_filter(closing_filter(meaning(MINIMAL), arch), Call(0, arch=foreign)).value == bpf.RET_KILL_PROCESS


def test_skipped_call_of_a_tracer_is_not_killed() -> None:
    assert run_filter(closing_filter(meaning(MINIMAL), "x86_64"), Call(-1)).errno == 38


def test_calls_that_pass_whole_are_not_mentioned() -> None:
    assert decided_calls(meaning(MINIMAL), "x86_64") == ("clone3",)
    assert decided_calls(meaning("allow: [execve, exit_group, clone3, seccomp]"), "x86_64") == ()
    assert decided_calls(meaning("allow: [execve, exit_group, clone3]"), "x86_64") == ("seccomp",)


def test_call_that_another_architecture_has_is_left_out() -> None:
    settings = meaning(f"{MINIMAL}\nerrno: {{ENOENT: [open]}}")
    assert "open" in decided_calls(settings, "x86_64")
    assert "open" not in decided_calls(settings, "aarch64")


def test_grant_of_several_values_is_seen_as_each_of_them() -> None:
    """Each value is a comparison of its own, and a way past the refusal from each is as long as what lies between."""
    text = "allow: [execve, exit_group, {socket: {family: {in: [1, 2, 4, 7]}, type: {in: [1, 2]}}}, {socket: {family: 9}}]"
    program = closing_filter(meaning(f"{text}\nerrno: {{EACCES: [socket]}}"), "x86_64")
    for family in range(12):
        for kind in range(4):
            is_granted = (family in (1, 2, 4, 7) and kind in (1, 2)) or family == 9
            assert run_filter(program, Call(41, (family, kind))).errno == (0 if is_granted else 13), (family, kind)


def test_stack_with_such_a_grant_is_proven() -> None:
    text = "allow: [execve, exit_group, {socket: {family: {in: [1, 2]}}}]\ndeny: [{socket: {family: 2, type: {in: [3, 4]}}}]"
    stack = programs(meaning(f"{text}\nerrno: {{EACCES: [socket]}}\nbackend: libseccomp"))
    expected = {(1, 3): 0, (2, 1): 0, (2, 3): 13, (2, 4): 13, (3, 1): 13}
    assert {pair: run_stack(stack, Call(41, pair)).errno for pair in expected} == expected
