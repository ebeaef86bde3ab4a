"""Rules that do nothing, and ways that a deny leaves open, are named with their places; rules that do their work are not."""

from __future__ import annotations

import pytest

from sandboxer.controls.seccomp.findings import find_findings, makes_namespaces
from sandboxer.controls.seccomp.rules import Situation
from sandboxer.model.report import Status
from tests.controls.seccomp.filters import MINIMAL, meaning


def found(text: str, *layers: str, **groups: str) -> list[str]:
    lines = find_findings(meaning(text, *layers, **groups))
    assert all(line.place is not None for line in lines)
    return [line.what for line in lines if line.status is Status.UNUSED]


def left_open(text: str, *layers: str) -> list[str]:
    return [line.what for line in find_findings(meaning(text, *layers)) if line.status is Status.LEFT_OPEN]


def test_deny_that_removes_nothing_is_found() -> None:
    assert found(f"{MINIMAL}\ndeny: [ptrace]") == ["the deny of ptrace removes nothing"]
    assert found("allow: [execve, exit_group, ptrace, getpid]\ndeny: [{ptrace: {request: PTRACE_ATTACH}}]") == []


def test_deny_of_another_part_removes_nothing() -> None:
    allow = "allow: [execve, exit_group, {socket: {family: AF_UNIX}}]"
    assert found(f"{allow}\ndeny: [{{socket: {{family: AF_INET}}}}]") == ["the deny of socket(family AF_INET) removes nothing"]
    assert found(f"{allow}\ndeny: [{{socket: {{type: SOCK_RAW}}}}]") == []


def test_answer_of_what_always_passes_is_found_and_one_of_what_is_denied_in_part_is_not() -> None:
    allow = "allow: [execve, exit_group, getpid, getuid]"
    assert found(f"{allow}\nerrno: {{ENOSYS: [getpid, bpf]}}") == ["the errno of getpid is never answered"]
    assert found(f"{allow[:-1]}, socket]\ndeny: [{{socket: {{family: 1}}}}]\nerrno: {{ENOSYS: [socket]}}") == []
    assert found(f"{allow}\nerrno: {{ENOSYS: [getpid]}}", "deny: [getpid]") == []
    groups = {"ids": "allow: [getpid, getppid]", "mine": "allow: [getpid, getuid]"}
    assert found(f'{allow}\nerrno: {{ENOSYS: ["@ids"]}}', **groups) == []
    assert found(f'{allow}\nerrno: {{ENOSYS: ["@mine"]}}', **groups) == ["the errno of @mine is never answered"]


def test_answer_that_does_not_count_here_is_not_judged() -> None:
    settings = meaning("allow: [execve, exit_group, getpid]\nerrno: {EIO: [{getpid: {}, when: {arch: aarch64}}]}")
    assert [line.what for line in find_findings(settings.at(Situation()))] == []
    assert [line.what for line in find_findings(settings.at(Situation("aarch64")))] == ["the errno of getpid is never answered"]


def test_denied_group_counts_as_one_deny() -> None:
    assert found(f'{MINIMAL}\ndeny: ["@mount"]') == ["the deny of @mount removes nothing"]
    assert found(f'{MINIMAL[:-1]}, chroot]\ndeny: ["@mount"]') == ["the grant of chroot allows nothing"]


def test_layer_of_denies_is_never_idle() -> None:
    assert found(MINIMAL, "deny: [ptrace]") == []


def test_grant_through_a_group_may_be_shadowed_silently() -> None:
    assert found('allow: [execve, exit_group, "@debug"]\ndeny: [ptrace]') == []


def test_deny_of_what_another_file_grants_is_no_mistake() -> None:
    groups = {"mine": "allow: [getpid]"}
    assert found('allow: [execve, exit_group, "@mine"]\ndeny: [getpid]', **groups) == []
    assert found("allow: [execve, exit_group, getpid]\ndeny: [getpid]") == ["the grant of getpid allows nothing"]


def test_grant_that_several_denies_take_away_together_is_found() -> None:
    allow = "allow: [execve, exit_group, {socket: {family: {in: [AF_UNIX, AF_INET]}}}]"
    both = "deny: [{socket: {family: AF_UNIX}}, {socket: {family: AF_INET}}]"
    assert found(f"{allow}\n{both}") == ["the grant of socket(family AF_UNIX or AF_INET) allows nothing"]
    assert found(f"{allow}\ndeny: [{{socket: {{family: AF_UNIX}}}}]") == []


def test_rule_that_others_say_already_is_found() -> None:
    text = "allow: [execve, exit_group, socket, {socket: {family: AF_UNIX}}]"
    assert found(text) == ["the grant of socket(family AF_UNIX) adds nothing"]
    assert found("allow: [execve, exit_group, {socket: {family: AF_INET}}, {socket: {family: AF_UNIX}}]") == []
    ranges = "allow: [execve, exit_group, {kill: {sig: {lt: 5}}}, {kill: {sig: {ge: 5}}}, {kill: {sig: 9}}]"
    assert found(ranges) == ["the grant of kill(sig SIGKILL) adds nothing"]


def test_stricter_answer_for_a_part_is_no_repetition() -> None:
    deny = "deny: [socket, {socket: {family: AF_ALG}, action: kill_process}]"
    assert found(f"allow: [execve, exit_group]\n{deny}") == [
        "the deny of socket removes nothing",
    ]


def test_equivalent_call_that_stays_open_is_found_with_both_places() -> None:
    line = find_findings(meaning("allow: [execve, exit_group, openat, openat2]\ndeny: [openat]"))[-1]
    assert line.status is Status.LEFT_OPEN
    assert line.what == "openat2 stays allowed, which can open a file as openat does"
    assert line.place is not None
    assert line.place.show() == "test.yaml:2:8"
    assert line.why == "test.yaml:1:37 allows it"


def test_deny_of_a_part_beside_an_open_equivalent_is_found() -> None:
    allow = "allow: [execve, exit_group, kill, tgkill]"
    assert left_open(f"{allow}\ndeny: [{{kill: {{sig: 9}}}}]") == ["tgkill stays allowed, which can send a signal as kill does"]
    assert left_open(f"{allow}\ndeny: [{{kill: {{sig: 9}}}}, {{tgkill: {{sig: 9}}}}]") == []


def test_ring_beside_a_denied_call_is_found() -> None:
    allow = "allow: [execve, exit_group, connect, io_uring_setup, io_uring_enter]"
    assert left_open(f"{allow}\ndeny: [connect]") == ["io_uring_setup stays allowed, and a ring does what connect does"]
    assert left_open("allow: [execve, exit_group, connect]\ndeny: [connect]") == []


def test_deny_of_what_some_commands_cut_is_found() -> None:
    allow = "allow: [execve, exit_group, fcntl]"
    wide = f"{allow}\ndeny: [{{fcntl: {{cmd: F_SETFD, arg: 1}}}}]"
    assert left_open(wide) == ["the deny of fcntl(arg 1, cmd F_SETFD) misses values of arg with an upper half"]
    assert left_open(f"{allow}\ndeny: [{{fcntl: {{cmd: F_SETFD, arg: {{masked: ['0xffffffff', 1]}}}}}}]") == []


def test_layer_of_denies_is_told_of_open_ways_too() -> None:
    allow = "allow: [execve, exit_group, unlink, unlinkat, rmdir]"
    assert left_open(allow, "deny: [unlink]") == [
        "unlinkat stays allowed, which can remove a name as unlink does",
        "rmdir stays allowed, which can remove a name as unlink does",
    ]
    assert left_open(allow, "deny: [unlink, unlinkat, rmdir]") == []


def test_denied_group_was_chosen_whole() -> None:
    assert left_open('allow: [execve, exit_group, "@process", "@debug"]\ndeny: ["@debug"]') == []


def test_deny_with_an_answer_of_its_own_decides_what_an_ungranted_call_gets() -> None:
    assert found("allow: [execve, exit_group]\ndeny: [{ptrace: {}, errno: ENOSYS}]") == []
    assert found("allow: [execve, exit_group]\ndeny: [ptrace]") == ["the deny of ptrace removes nothing"]


NEW = "[CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET]"
FREE = "allow: [execve, exit_group, clone, unshare]"


@pytest.mark.parametrize(
    "call",
    [
        "clone3",
        "unshare",
        "{unshare: {unshare_flags: CLONE_NEWUSER}}",
        "{unshare: {unshare_flags: CLONE_NEWTIME}}",
        "{clone: {clone_flags: {any_of: [CLONE_NEWNET]}}}",
        "{unshare: {}, when: {capability: CAP_SYS_ADMIN}}",
    ],
)
def test_call_that_makes_one_makes_namespaces(call: str) -> None:
    assert makes_namespaces(meaning(f"{MINIMAL[:-1]}, {call}]"))


@pytest.mark.parametrize(
    "call",
    [
        "setns",
        "fork",
        "{unshare: {unshare_flags: CLONE_FILES}}",
        f"{{clone: {{clone_flags: {{none_of: {NEW}}}}}}}",
    ],
)
def test_call_that_makes_none_makes_none(call: str) -> None:
    assert not makes_namespaces(meaning(f"{MINIMAL[:-1]}, {call}]"))


def test_denies_and_layers_take_away_what_is_granted() -> None:
    denied = f"deny: [{{clone: {{clone_flags: {{any_of: {NEW}}}}}}}, unshare]"
    assert makes_namespaces(meaning(FREE))
    assert not makes_namespaces(meaning(f"{FREE}\n{denied}"))
    assert not makes_namespaces(meaning(FREE, denied))
    assert makes_namespaces(meaning(f"{FREE}\ndeny: [{{unshare: {{unshare_flags: CLONE_NEWUSER}}}}]"))
