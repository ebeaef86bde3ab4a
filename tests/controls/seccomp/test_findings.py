"""Rules that do nothing are named with their places; rules that do something are not."""

from __future__ import annotations

from sandboxer.controls.seccomp.findings import find_unused
from sandboxer.model.report import Status
from tests.controls.seccomp.filters import MINIMAL, meaning


def found(text: str, *layers: str, **groups: str) -> list[str]:
    lines = find_unused(meaning(text, *layers, **groups))
    assert all(line.status is Status.UNUSED and line.place is not None for line in lines)
    return [line.what for line in lines]


def test_deny_that_removes_nothing_is_found() -> None:
    assert found(f"{MINIMAL}\ndeny: [ptrace]") == ["the deny of ptrace removes nothing"]
    assert found("allow: [execve, exit_group, ptrace, getpid]\ndeny: [{ptrace: {request: PTRACE_ATTACH}}]") == []


def test_deny_of_another_part_removes_nothing() -> None:
    allow = "allow: [execve, exit_group, {socket: {family: AF_UNIX}}]"
    assert found(f"{allow}\ndeny: [{{socket: {{family: AF_INET}}}}]") == ["the deny of socket(family AF_INET) removes nothing"]
    assert found(f"{allow}\ndeny: [{{socket: {{type: SOCK_RAW}}}}]") == []


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
