"""Settings in sentences, and what a change widens."""

from __future__ import annotations

import pytest

from sandboxer.controls.seccomp.sentences import count_allowed, explain, widens
from tests.controls.seccomp.filters import meaning

BASE = "execve, exit_group"


def test_explanation_says_what_is_allowed_denied_and_answered() -> None:
    text = f"allow: [{BASE}, ioctl, {{socket: {{family: AF_UNIX}}}}]\ndeny: [{{ioctl: {{cmd: TIOCSTI}}}}]\nlog: true"
    lines = explain(meaning(text, "deny: [ptrace]", f"allow: [{BASE}]"))
    assert lines == (
        "2 system calls are allowed in every form: execve, exit_group",
        "allowed in part: ioctl; never ioctl(cmd TIOCSTI)",
        "allowed in part: socket(family AF_UNIX)",
        "layer 1 denies: ptrace",
        "layer 2 allows only: execve, exit_group",
        "every other system call answers EPERM",
        "refused with ENOSYS: clone3",
        "calls newer than the table answer ENOSYS; calls of a foreign architecture and of x32 end the process",
        "refused calls are written to the kernel's log",
    )


def test_answers_with_a_condition_are_said_with_it() -> None:
    on_arm = ", ".join(f"{{{call}: {{}}, when: {{arch: aarch64}}}}" for call in ("bpf", "ptrace"))
    lines = explain(meaning(f"allow: [{BASE}]\nerrno: {{EIO: [mount, {on_arm}]}}"))
    assert [line for line in lines if line.startswith("refused with")] == [
        "refused with EIO: mount",
        "refused with EIO on aarch64: bpf, ptrace",
        "refused with ENOSYS: clone3",
    ]


def test_count_is_of_one_architecture() -> None:
    settings = meaning(f"allow: [{BASE}, open, {{socket: {{family: AF_UNIX}}}}]")
    assert count_allowed(settings, "x86_64") == "3 system calls are allowed and 1 in part"
    assert count_allowed(settings, "aarch64") == "2 system calls are allowed and 1 in part"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (f"allow: [{BASE}]", f"allow: [{BASE}, ptrace]", ("allows ptrace, which was refused",)),
        (f"allow: [{BASE}, ptrace]", f"allow: [{BASE}]", ()),
        (f"allow: [{BASE}, {{socket: {{family: 1}}}}]", f"allow: [{BASE}, socket]", ("allows more uses of socket",)),
        (f"allow: [{BASE}, socket]", f"allow: [{BASE}, {{socket: {{family: 1}}}}]", ()),
        (
            f"allow: [{BASE}, ioctl]\ndeny: [{{ioctl: {{cmd: TIOCSTI}}}}]",
            f"allow: [{BASE}, ioctl]",
            ("allows more uses of ioctl",),
        ),
        (f"allow: [{BASE}, ioctl]", f"allow: [{BASE}, ioctl]\ndeny: [{{ioctl: {{cmd: TIOCSTI}}}}]", ()),
        (f"allow: [{BASE}, bpf]\ndeny: [bpf]", f"allow: [{BASE}, bpf]", ("allows bpf, which was refused",)),
    ],
)
def test_widening_is_named_and_narrowing_is_not(old: str, new: str, words: tuple[str, ...]) -> None:
    assert widens(meaning(old), meaning(new)) == words


def test_layer_taken_away_widens_and_one_added_does_not() -> None:
    free, held = meaning(f"allow: [{BASE}, bpf]"), meaning(f"allow: [{BASE}, bpf]", "deny: [bpf]")
    assert widens(held, free) == ("allows bpf, which was refused",)
    assert widens(free, held) == ()
