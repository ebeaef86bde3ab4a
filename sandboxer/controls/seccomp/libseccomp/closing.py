"""The last filter: everything that the filters before it cannot say. Written by us, because libseccomp cannot say it either.

It holds, for every wall at once: that a number without a name answers ENOSYS, so that libcs fall back; what a refused call
answers, where that is not the default; and the verdict on seccomp(2) itself. Two facts of the kernel carry it. Of several filters
the strictest action wins, and of equal actions the newest filter's error number: so this one, loaded last, chooses the number and
never the verdict. And each filter is loaded under those before it: so they let seccomp(2) pass, and this one decides about it.
Source: kernel/seccomp.c, seccomp_run_filters.
"""

from __future__ import annotations

from collections.abc import Iterator

from sandboxer.abi import bpf
from sandboxer.abi.errnos import Errno
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.controls.seccomp.compiler.program import Program
from sandboxer.controls.seccomp.libseccomp.assembly import (
    answer,
    encode,
    jump_past,
    load,
    refuse,
    rows,
    unless_equal,
    when_equal,
    when_matching,
    when_row,
    when_within,
)
from sandboxer.controls.seccomp.meaning import Settings, Wall
from sandboxer.controls.seccomp.rules import find_number, tests_of

LOADING_CALL = "seccomp"


def unnamed_ranges(arch: str) -> Iterator[tuple[int, int]]:
    """The ranges of numbers, both ends included, to which the table gives no name; those of x32 are not among them."""
    start = 0
    for number in sorted(NUMBERS[arch].values()):
        if number > start:
            yield start, number - 1
        start = number + 1
    yield start, (bpf.X32_BIT - 1 if arch == "x86_64" else bpf.NO_NUMBER)


def decided_calls(settings: Settings, arch: str) -> tuple[str, ...]:
    """The calls about which this filter has something to say on this architecture."""
    special = {call for call, number in settings.answers if number != settings.default_errno} | {LOADING_CALL}
    return tuple(sorted(call for call in special if find_number(call, arch) is not None and not settings.passes_whole(call)))


def _verdict(wall: Wall, call: str, arch: str, refused: Program) -> Program:
    """End with `refused` if the wall refuses this use of the call, else go on."""
    denied: Program = ()
    for deny in wall.denies_of(call):
        for case in deny.cases:
            denied += when_matching(tests_of(call, case, arch), refused)
    grants = wall.grants_of(call)
    if any(grant.is_whole for grant in grants):
        return denied
    allowed = refused
    for grant in grants:
        for case in grant.cases:
            for row in rows(tests_of(call, case, arch)):
                allowed = when_row(row, jump_past(allowed)) + allowed
    return denied + allowed


def _foreign(arch: str) -> Program:
    """End the process of any other ABI; leaves the number loaded. -1 is no ABI's: a tracer skips a call with it."""
    kill = answer(bpf.RET_KILL_PROCESS)
    checked = load(bpf.DATA_ARCH) + unless_equal(bpf.AUDIT_ARCH[arch], kill) + load(bpf.DATA_NR)
    if arch != "x86_64":
        return checked
    unknown = refuse(int(Errno.ENOSYS))
    return checked + when_equal(bpf.NO_NUMBER, unknown) + when_within(bpf.X32_BIT, bpf.NO_NUMBER, kill)


def closing_filter(settings: Settings, arch: str) -> bytes:
    """The filter that is loaded last. Raises ProfileError if it grows too long."""
    program = _foreign(arch)
    for low, high in unnamed_ranges(arch):
        program += when_within(low, high, refuse(int(Errno.ENOSYS)))
    for call in decided_calls(settings, arch):
        refused = refuse(settings.errno_of(call))
        verdict: Program = ()
        for wall in settings.walls:
            verdict += _verdict(wall, call, arch, refused)
        program += when_equal(NUMBERS[arch][call], verdict + answer(bpf.RET_ALLOW))
    return encode(program + answer(bpf.RET_ALLOW))
