"""The reference semantics: what a policy means for one call."""

from __future__ import annotations

from sandboxer.abi import bpf
from sandboxer.controls.seccomp.reference import decide
from tests.controls.seccomp.filters import MINIMAL, meaning


def test_listed_call_is_allowed_and_an_unlisted_one_answers_eperm() -> None:
    settings = meaning(MINIMAL)
    assert decide(settings, "x86_64", 59, (0,) * 6) == bpf.RET_ALLOW
    assert decide(settings, "x86_64", 57, (0,) * 6) == bpf.RET_ERRNO | 1


def test_number_without_a_name_answers_enosys() -> None:
    assert decide(meaning(MINIMAL), "x86_64", 999, (0,) * 6) == bpf.RET_ERRNO | 38


def test_number_of_x32_kills() -> None:
    assert decide(meaning(MINIMAL), "x86_64", 0x40000001, (0,) * 6) == bpf.RET_KILL_PROCESS
    assert decide(meaning(MINIMAL), "aarch64", 0x40000001, (0,) * 6) == bpf.RET_ERRNO | 38


def test_layer_refuses_what_the_profile_allows() -> None:
    settings = meaning("allow: [execve, exit_group, getppid, getpid]", "deny: [getppid]")
    assert decide(settings, "x86_64", 110, (0,) * 6) == bpf.RET_ERRNO | 1
    assert decide(settings, "x86_64", 39, (0,) * 6) == bpf.RET_ALLOW
