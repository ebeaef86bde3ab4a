"""Sections become walls: groups are taken apart, denies win, layers stand apart, contradictions are said."""

from __future__ import annotations

import pytest

from sandboxer.controls.seccomp.rules import Rule
from sandboxer.errors import ProfileError
from tests.controls.seccomp.filters import MINIMAL, meaning


def error(text: str, *layers: str, **groups: str) -> str:
    with pytest.raises(ProfileError) as caught:
        meaning(text, *layers, **groups)
    return str(caught.value)


def test_absent_section_is_refused_because_nothing_would_run() -> None:
    assert "no system call is allowed" in error("{}")


def test_empty_allow_is_refused_because_nothing_would_run() -> None:
    assert "no system call is allowed" in error("allow: []")
    assert "no system call is allowed" in error("deny: [ptrace]")


@pytest.mark.parametrize("text", ["allow: [exit_group]", f"{MINIMAL}\ndeny: [execve]"])
def test_profile_without_execve_is_refused_with_advice(text: str) -> None:
    shown = error(text)
    assert "the profile does not allow execve" in shown
    assert "execve in allow" in shown


def test_layer_without_execve_is_refused_by_its_name() -> None:
    assert "layer 1 does not allow execve" in error(MINIMAL, "allow: [exit_group, read]")


def test_granted_group_brings_its_rules_denies_and_answers() -> None:
    settings = meaning(
        'allow: [execve, exit_group, "@mine"]',
        mine="allow: [getppid, ioctl]\ndeny: [{ioctl: {cmd: TIOCSTI}}]\nerrno: {EIO: [ptrace]}",
    )
    assert settings.passes_whole("getppid")
    assert settings.passes_some("ioctl")
    assert not settings.passes_whole("ioctl")
    assert settings.errno_of("ptrace") == 5


def test_group_in_a_group_is_taken_apart_and_a_circle_ends() -> None:
    settings = meaning('allow: [execve, exit_group, "@one"]', one='allow: ["@two", getpid]', two='allow: ["@one", getuid]')
    assert settings.passes_whole("getpid")
    assert settings.passes_whole("getuid")


def test_denied_group_removes_the_rules_that_it_would_allow() -> None:
    settings = meaning(
        'allow: [execve, exit_group, socket, getpid]\ndeny: ["@net"]', net="allow: [{socket: {family: AF_INET}}, getpid]"
    )
    assert not settings.passes_some("getpid")
    assert settings.passes_some("socket")
    assert not settings.passes_whole("socket")


def test_unknown_group_is_refused_with_what_was_meant() -> None:
    shown = error('allow: [execve, "@netwrok"]')
    assert "unknown group of system calls @netwrok" in shown
    assert "did you mean network" in shown


def test_denied_call_does_not_pass_whoever_allows_it() -> None:
    settings = meaning("allow: [execve, exit_group, ptrace, getpid]\ndeny: [ptrace]")
    assert not settings.passes_some("ptrace")
    assert settings.passes_whole("getpid")


def test_layer_with_denies_only_leaves_everything_else_to_the_profile() -> None:
    settings = meaning("allow: [execve, exit_group, getpid, getuid]", "deny: [getpid]")
    assert not settings.passes_some("getpid")
    assert settings.passes_whole("getuid")
    assert not settings.passes_some("ptrace")


def test_layer_with_an_allow_list_refuses_everything_else() -> None:
    settings = meaning("allow: [execve, exit_group, getpid, getuid]", "allow: [execve, exit_group, getpid]")
    assert settings.passes_whole("getpid")
    assert not settings.passes_some("getuid")


def test_layer_with_an_empty_allow_list_refuses_everything() -> None:
    assert "layer 1 does not allow execve" in error(MINIMAL, "allow: []")


def test_two_answers_for_one_call_are_refused_with_both_places() -> None:
    shown = error(f"{MINIMAL}\nerrno:\n  ENOSYS: [ptrace]\n  EACCES: [ptrace]")
    assert "ptrace would answer two things" in shown
    assert "test.yaml:3:12" in shown
    assert "test.yaml:4:12" in shown


def test_answer_for_a_group_is_an_answer_for_each_of_its_calls() -> None:
    settings = meaning(f'{MINIMAL}\nerrno: {{ENOSYS: ["@io-uring"]}}')
    assert settings.errno_of("io_uring_setup") == 38
    assert settings.errno_of("ptrace") == 1


def test_clone3_answers_enosys_unless_something_else_is_said() -> None:
    assert meaning(MINIMAL).errno_of("clone3") == 38
    assert meaning(f"{MINIMAL}\nerrno: {{EPERM: [clone3]}}").errno_of("clone3") == 1


def test_order_of_rules_does_not_matter() -> None:
    one = meaning("allow: [execve, exit_group, getpid, {socket: {family: 1}}]\ndeny: [ptrace, getuid]")
    other = meaning("deny: [getuid, ptrace]\nallow: [{socket: {family: 1}}, getpid, exit_group, execve]")
    assert [item.rule for item in one.walls[0].grants or ()] == [item.rule for item in other.walls[0].grants or ()]
    assert [item.rule for item in one.walls[0].denies] == [item.rule for item in other.walls[0].denies]


def test_log_of_a_layer_counts() -> None:
    assert not meaning(MINIMAL).log
    assert meaning(MINIMAL, "log: true").log


def test_rule_said_twice_is_one_rule() -> None:
    grants = meaning("allow: [execve, exit_group, execve]").walls[0].grants or ()
    assert [item.rule for item in grants] == [Rule("execve"), Rule("exit_group")]
