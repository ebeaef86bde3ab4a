"""The filters of those answers, their stacks, and how one that is too long is split."""

from __future__ import annotations

import itertools

from fuzz.mutants.checks.answers import meant
from fuzz.mutants.checks.ground import ALLOW, ARM, EPERM, KILL, LOG, MINIMAL, RISCV, X86, raises
from fuzz.mutants.golden import GOLDEN
from sandboxer.controls.seccomp.rules import Situation
from sandboxer.controls.seccomp.stack import compile_stack
from sandboxer.errors import ProfileError
from sandboxer.verify.simulate import Call, run_filter, run_stack
from tests.controls.seccomp.filters import meaning

NATIVE = {"x86_64": X86, "aarch64": ARM, "riscv64": RISCV}


def check_filters() -> None:
    """The compiled filters at the same calls; and every compilation is proven."""
    for gold in GOLDEN:
        stacks: dict[object, list[bytes]] = {}
        for here, there, arguments, number, wanted in meant(gold):
            if there not in stacks:
                stacks[there] = [item.program for item in compile_stack(here, there.arch)]  # type: ignore[arg-type]
                for foreign in (X86, ARM, RISCV, 0x40000003, 0, NATIVE[there.arch] ^ 1, NATIVE[there.arch] + 1):
                    if foreign != NATIVE[there.arch]:
                        assert run_stack(stacks[there], Call(59, (), foreign)).value == KILL
            found = run_stack(stacks[there], Call(number, arguments, NATIVE[there.arch])).value
            assert found == wanted, (gold.text, there, number, arguments, hex(found), hex(wanted))


def check_stacks() -> None:
    """Layers let the loading call pass until the last filter; a listener is asked; order makes no difference."""
    here = meaning("allow: [execve, exit_group, getpid, bpf]", "deny: [seccomp, bpf]", "deny: [getpid]").at(Situation())
    filters = [item.program for item in compile_stack(here, "x86_64")]
    assert [run_filter(program, Call(317)).value for program in filters] == [ALLOW, ALLOW, EPERM]
    assert [run_filter(program, Call(321)).value for program in filters] == [ALLOW, EPERM, ALLOW]
    assert run_stack(filters, Call(39)).value == EPERM
    watched = [item.program for item in compile_stack(here, "x86_64", is_watched=True)]
    assert [run_stack(watched, Call(number)).value for number in (59, 39, 317, 307, 999)] == [
        ALLOW,
        0x7FC00000,
        EPERM,
        EPERM,
        0x7FC00000,
    ]
    assert [run_filter(watched[0], Call(number)).value for number in (317, 307)] == [ALLOW, ALLOW]
    spoken = "allow: [execve, exit_group, {getpid: {}, action: log}]"
    spoken += "\ndeny: [{bpf: {}, action: trap}, {mount: {}, action: kill_process}]"
    asking = [item.program for item in compile_stack(meaning(spoken).at(Situation()), "x86_64", is_watched=True)]
    assert [run_stack(asking, Call(number)).value for number in (39, 321, 165, 59)] == [LOG, 0x30000, 0x7FC00000, ALLOW]
    two = [item.program for item in compile_stack(meaning("allow: [getpid, exit_group, execve]").at(Situation()), "x86_64")]
    assert two == [item.program for item in compile_stack(meaning(MINIMAL).at(Situation()), "x86_64")]
    counted = [
        compile_stack(meaning(f"allow: [execve, exit_group, getpid, socket, futex, mmap, lseek]{said}").at(Situation()), "x86_64")
        for said in ("", "\nfrequency: {futex: 100000, read: 1}")
    ]
    plain, quick = (run_filter(found[0].program, Call(202)).executed for found in counted)
    assert quick < plain


def check_splits() -> None:
    """Rules that fill three filters, and a call that fills one alone."""
    names = {
        "socket": "family",
        "ioctl": "cmd",
        "lseek": "whence",
        "prctl": "option",
        "kill": "sig",
        "fcntl": "cmd",
        "flock": "cmd",
    }
    names |= {"openat": "flags", "madvise": "behavior", "umask": "mask", "getpgid": "pid", "bpf": "cmd"}
    lists = {call: ", ".join(str(20 * step + at) for step in range(500)) for at, call in enumerate(names)}
    rules = ", ".join(f"{{{call}: {{{name}: {{in: [{lists[call]}]}}}}}}" for call, name in names.items())
    found = compile_stack(meaning(f"allow: [execve, exit_group, {rules}]").at(Situation()), "x86_64")
    filters = [item.program for item in found]
    assert len(filters) > 2
    assert all(len(program) <= 4096 * 8 for program in filters)
    for (number, index), at in zip(
        ((41, 0), (16, 1), (8, 2), (157, 0), (62, 1), (72, 1), (73, 1)), itertools.count(), strict=False
    ):
        for value, wanted in ((20 * 499 + at, ALLOW), (20 * 499 + at + 1, EPERM), (20 + at, ALLOW), (20 * 500 + at, EPERM)):
            arguments = tuple(value if place == index else 0 for place in range(6))
            assert run_stack(filters, Call(number, arguments)).value == wanted, (number, value)
    assert run_stack(filters, Call(39)).value == EPERM
    bulky = " || ".join(f"(family & {1 << bit} && type & {1 << bit})" for bit in range(12))
    here = meaning(f"allow: [execve, exit_group, {{socket: {{expr: '{bulky}'}}}}]").at(Situation())
    raises(ProfileError, lambda: compile_stack(here, "x86_64"))
