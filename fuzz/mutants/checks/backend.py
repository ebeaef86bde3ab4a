"""What the second backend gives libseccomp, and the filter that closes its stack."""

from __future__ import annotations

import itertools

from fuzz.mutants.checks.algebra import ENDS, SMALL, held
from fuzz.mutants.checks.filters import NATIVE
from fuzz.mutants.checks.ground import ALLOW, ENOSYS, EPERM, KILL, MINIMAL, WORD, raises, rule
from sandboxer.abi import bpf
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.controls.seccomp import bits
from sandboxer.controls.seccomp.compiler.program import Instruction, decode, loaded_length, stacked_length
from sandboxer.controls.seccomp.libseccomp.backend import alternatives, denied_rules, granted_rules
from sandboxer.controls.seccomp.libseccomp.blocks import comparisons
from sandboxer.controls.seccomp.libseccomp.closing import closing_filter, unnamed_ranges
from sandboxer.controls.seccomp.rules import Situation
from sandboxer.controls.seccomp.stack import compile_stack
from sandboxer.errors import ProfileError
from sandboxer.verify.simulate import Call, run_filter
from tests.controls.seccomp.filters import meaning


def check_lengths() -> None:
    """What the kernel counts: net/core/filter.c, and 4 for each filter that is not the newest."""
    steps = [
        (0x20, 0, 0, 4),
        (0x15, 0, 4, 0xC000003E),
        (0x45, 0, 3, 6),
        (0x25, 1, 2, 6),
        (0x35, 0, 1, 6),
        (6, 0, 0, 0),
        (6, 0, 0, 1),
    ]
    counted = tuple(Instruction(*step) for step in steps)
    assert loaded_length(counted) == 3 + 1 + 2 + 2 + 2 + 1 + 2 + 2
    assert [stacked_length([counted] * count) for count in (0, 1, 3)] == [0, 15, 53]
    here = meaning(MINIMAL).at(Situation())
    limit = bpf.MAX_STACKED_INSTRUCTIONS
    for is_watched in (False, True):
        made = compile_stack(here, "x86_64", is_watched=is_watched)
        try:
            bpf.MAX_STACKED_INSTRUCTIONS = stacked_length(decode(item.program) for item in made)  # type: ignore[misc]
            assert compile_stack(here, "x86_64", is_watched=is_watched) == made
            bpf.MAX_STACKED_INSTRUCTIONS -= 1  # type: ignore[misc]
            assert "together" in raises(ProfileError, lambda: compile_stack(here, "x86_64", is_watched=is_watched))  # noqa: B023
        finally:
            bpf.MAX_STACKED_INSTRUCTIONS = limit  # type: ignore[misc]


def check_closing() -> None:
    """What we write beside libseccomp: numbers without a name, answers, the loading call; and how ranges become comparisons."""
    text = "allow: [execve, exit_group, getpid, {socket: {family: {in: [1, 2]}}}, bpf, {prctl: {option: 3}}]"
    text += "\ndeny: [{socket: {family: 2, type: {masked: [15, 3]}}}, {bpf: {cmd: 5}}]"
    text += "\nerrno: {EIO: [socket, ptrace], EACCES: [bpf]}"
    found = meaning(text, "deny: [{bpf: {cmd: 7}}]").at(Situation())
    for arch, native in NATIVE.items():
        data = closing_filter(meaning(text, "deny: [{bpf: {cmd: 7}}]").at(Situation(arch)), arch)
        number = NUMBERS[arch]
        rows = [
            ("execve", (), ALLOW),
            ("socket", (1,), ALLOW),
            ("socket", (3,), 0x50005),
            ("socket", (2, 3), 0x50005),
            ("socket", (2, 0x803), 0x50005),
            ("socket", (2 | 7 << 32, 2), ALLOW),
            ("ptrace", (), 0x50005),
            ("bpf", (4,), ALLOW),
            ("bpf", (5,), 0x5000D),
            ("bpf", (7,), 0x5000D),
            ("mount", (), ALLOW),
            ("clone3", (), ENOSYS),
            ("seccomp", (1,), EPERM),
        ]
        for call, arguments, wanted in rows:
            assert run_filter(data, Call(number[call], arguments, native)).value == wanted, (arch, call, arguments)
        for unnamed in (472, 1000, 0x3FFFFFFF, WORD, *((600,) if arch == "x86_64" else (0x40000001, 0x80000000))):
            assert run_filter(data, Call(unnamed, (), native)).value == ENOSYS, (arch, unnamed)
        if arch == "x86_64":
            for x32 in (0x40000000, 0x40000001, 0x80000000, WORD - 1):
                assert run_filter(data, Call(x32, (), native)).value == KILL
        assert run_filter(data, Call(59, (), 0x40000003)).value == KILL
        assert run_filter(data, Call(59, (), native + 1)).value == KILL
        listed = set(NUMBERS[arch].values())
        ranges = tuple(unnamed_ranges(arch))
        assert all(any(low <= at <= high for low, high in ranges) is (at not in listed) for at in range(600))
    own = found.walls[0]
    assert [rule.call for rule in granted_rules(own)] == ["bpf", "execve", "exit_group", "getpid", "prctl", "socket"]
    assert [rule.call for rule in denied_rules(own)] == ["bpf", "socket"]
    gone = meaning(f"{MINIMAL[:-1]}, ptrace]\ndeny: [ptrace]").at(Situation()).walls[0]
    assert [rule.call for rule in granted_rules(gone)] == ["execve", "exit_group", "getpid"]
    twice = rule("{socket: {expr: 'family & 1 == 1 && family != 3'}}")
    raises(ProfileError, lambda: alternatives(twice, "x86_64"))
    for mask in SMALL:
        for pair in itertools.combinations(ENDS[::11], 2):
            ranges = bits.normal(pair, mask)
            tests = comparisons((0, mask, ranges))
            for value in SMALL:
                assert sum(value & test.mask == test.value for test in tests) == (value & mask in held(ranges, mask))
    rows_of = alternatives(rule("{socket: {family: {in: [1, 4]}, type: {in: [8, 11]}}}"), "x86_64")
    assert len(rows_of) == 4
    assert all(len(row) == 2 and row[0].index == 0 and row[1].index == 1 for row in rows_of)
