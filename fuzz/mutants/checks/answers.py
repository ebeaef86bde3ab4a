"""Calls whose answers a person worked out."""

from __future__ import annotations

from collections.abc import Iterator

from fuzz.mutants.checks.ground import ALLOW, EPERM, LOG, MINIMAL, raises
from fuzz.mutants.golden import GOLDEN, Gold
from sandboxer.controls.seccomp.reference import decide
from sandboxer.controls.seccomp.rules import Situation
from sandboxer.errors import ProfileError
from tests.controls.seccomp.filters import meaning


def meant(gold: Gold) -> Iterator[tuple[object, Situation, tuple[int, ...], int, int]]:
    for arch, kernel, capabilities, rows in gold.places:
        there = Situation(arch, kernel, capabilities)
        here = meaning(gold.text, *gold.layers).at(there)
        for number, arguments, wanted in rows:
            yield here, there, (*arguments, *(0,) * (6 - len(arguments))), number, wanted


def check_meaning() -> None:
    """The reference, at calls whose answers a person worked out."""
    for gold in GOLDEN:
        for here, there, arguments, number, wanted in meant(gold):
            found = decide(here, there.arch, number, arguments)  # type: ignore[arg-type]
            assert found == wanted, (gold.text, there, number, arguments, hex(found), hex(wanted))


MINE = "allow: [getpid, {socket: {family: 1}}, bpf]\ndeny: [getppid, {socket: {family: 1, type: 3}}]\nerrno: {EIO: [ptrace]}"
GRANTED = "allow: [execve, exit_group, getppid, socket, "
OLD, NEW, ARM_NEW = Situation(kernel=(5, 7)), Situation(kernel=(5, 8)), Situation("aarch64", (5, 8))


def _said(text: str, there: Situation, number: int, *arguments: int, **groups: str) -> int:
    here = meaning(text, **groups).at(there)
    return decide(here, there.arch, number, (*arguments, *(0,) * (6 - len(arguments))))


def check_groups() -> None:
    """Groups, groups with changes, groups that are denied, and their conditions."""
    for grant, wanted in (
        ('"@mine"]', {39: ALLOW, 321: ALLOW, 110: EPERM, 101: 0x50005}),
        ('{"@mine": {but: [bpf]}}]', {39: ALLOW, 321: EPERM, 110: EPERM, 101: 0x50005}),
        ('{"@mine": {}, action: log}]', {39: LOG, 321: LOG, 110: EPERM, 101: 0x50005}),
    ):
        assert {number: _said(GRANTED + grant, NEW, number, mine=MINE) for number in wanted} == wanted, grant
        assert [_said(GRANTED + grant, NEW, 41, 1, kind, mine=MINE) >> 16 for kind in (1, 3)][1] == 5
    denied = "allow: [execve, exit_group, getpid, bpf, socket, mount]\ndeny: [{'@mine': {but: [bpf]}, action: trap}]"
    group = "allow: [{getpid: {}, action: log}, bpf, {socket: {family: 1}}]"
    assert [_said(denied, NEW, number, 1, mine=group) for number in (39, 321, 41, 165)] == [0x30000, ALLOW, 0x30000, ALLOW]
    plain = denied.replace(", action: trap", "")
    assert [_said(plain, NEW, number, family, mine=group) for number, family in ((39, 0), (41, 1), (41, 2))] == [
        EPERM,
        EPERM,
        ALLOW,
    ]
    since = 'allow: [execve, exit_group, {"@mine": {}, when: {kernel: ">=5.8", arch: [x86_64, aarch64]}}]'
    for rule, places in (
        ("getpid", {NEW: ALLOW, OLD: EPERM}),
        ("{getpid: {}, when: {arch: aarch64}}", {NEW: EPERM, ARM_NEW: ALLOW}),
        ("{getpid: {}, when: {arch: riscv64}}", {NEW: EPERM, ARM_NEW: EPERM, Situation("riscv64", (5, 8)): EPERM}),
        ("{getpid: {}, when: {kernel: '>=5.4'}}", {NEW: ALLOW, OLD: EPERM}),
        ("{getpid: {}, when: {kernel: '<5.8'}}", {NEW: EPERM, OLD: EPERM}),
    ):
        for there, wanted in places.items():
            number = 39 if there.arch == "x86_64" else 172
            assert _said(since, there, number, mine=f"allow: [{rule}]") == wanted, (rule, there)
    until = since.replace(">=5.8", "<6.1")
    assert _said(until, OLD, 39, mine="allow: [{getpid: {}, when: {kernel: '<5.8'}}]") == ALLOW
    assert _said(until, NEW, 39, mine="allow: [{getpid: {}, when: {kernel: '<5.8'}}]") == EPERM
    circle = {"one": 'allow: [{"@two": {but: [bpf]}}]', "two": 'allow: ["@one", bpf, getpid]'}
    for grant in ('"@one"]', '"@two"]'):
        raises(ProfileError, lambda grant=grant: meaning(GRANTED + grant, **circle))  # type: ignore[misc]
    assert _said(GRANTED + '"@one"]', NEW, 39, one='allow: ["@two", bpf]', two='allow: ["@one", getpid]') == ALLOW


SOMETIMES = """
allow: [execve, exit_group]
errno:
  ENOSYS: [{bpf: {}, when: {kernel: '<5.8'}}, {"@ring": {}, when: {arch: aarch64}}]
  EACCES: [{bpf: {}, when: {kernel: '>=5.8'}}]
"""


def check_answers() -> None:
    """Answers count where their conditions hold, and two of them only where they never meet."""
    for there, number, errno in ((OLD, 321, 38), (NEW, 321, 13), (NEW, 425, 1), (ARM_NEW, 425, 38), (ARM_NEW, 280, 13)):
        assert _said(SOMETIMES, there, number, ring="allow: [io_uring_setup]") == 0x50000 | errno, (there, number)
    undecided = meaning(SOMETIMES, ring="allow: [io_uring_setup]")
    assert [undecided.errno_of(call) for call in ("bpf", "io_uring_setup")] == [1, 1]
    meeting = (
        f"{MINIMAL}\nerrno: {{EIO: [{{bpf: {{}}, when: {{arch: x86_64}}}}], EACCES: [{{bpf: {{}}, when: {{kernel: '<6.0'}}}}]}}"
    )
    assert "two things" in raises(ProfileError, lambda: meaning(meeting))
    many = "".join(f", {{socket: {{family: {at}}}}}" for at in range(257))
    assert "too many rules about socket" in raises(ProfileError, lambda: meaning(f"{MINIMAL[:-1]}{many}]"))


def check_refusals() -> None:
    """What contradicts itself, or could not start anything, is refused; what only looks so is not."""
    both = f"{MINIMAL}\ndeny: [{{bpf: {{cmd: {{le: 5}}}}, errno: EIO%s}}, {{bpf: {{cmd: {{ge: %d}}}}, errno: EACCES%s}}]"
    first, second = ", when: {arch: x86_64}", ", when: {arch: aarch64}"
    shown = raises(ProfileError, lambda: meaning(both % ("", 5, "")))
    assert "would answer two things" in shown
    assert meaning(both % ("", 6, "")).walls
    assert meaning(both % (first, 5, second)).walls
    raises(ProfileError, lambda: meaning(both % (first, 5, first)))
    for text in (
        "deny: [ptrace]",
        "allow: []",
        "allow: [exit_group]",
        "allow: [exit_group, {execve: {}, when: {arch: x86_64}}]",
        f"{MINIMAL}\ndeny: [{{execve: {{}}, when: {{arch: x86_64}}}}]",
        f'{MINIMAL[:-1]}, "@nobody"]',
        f"{MINIMAL}\nerrno: {{EIO: [bpf], EACCES: [bpf]}}",
    ):
        raises(ProfileError, lambda text=text: meaning(text))  # type: ignore[misc]
    for layer in ("allow: []", "allow: [exit_group]", "deny: [execve]"):
        raises(ProfileError, lambda layer=layer: meaning(MINIMAL, layer))  # type: ignore[misc]
    assert meaning(MINIMAL, "deny: [bpf]").walls
