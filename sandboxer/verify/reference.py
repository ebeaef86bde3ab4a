"""What a policy means for one system call, straight from the rules: the semantics that every compiled filter is held to."""

from __future__ import annotations

from collections.abc import Sequence

from sandboxer.abi import bpf
from sandboxer.abi.errnos import Errno
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.controls.seccomp.meaning import Settings, Wall
from sandboxer.controls.seccomp.rules import matches


def is_passed(wall: Wall, call: str, arch: str, arguments: Sequence[int]) -> bool:
    """Whether a wall lets a call through."""
    if any(matches(rule, arch, arguments) for rule in wall.denies_of(call)):
        return False
    return any(matches(rule, arch, arguments) for rule in wall.grants_of(call))


def decide(settings: Settings, arch: str, number: int, arguments: Sequence[int]) -> int:
    """The answer to a call of the machine's own architecture, as SECCOMP_RET_* with its data."""
    if arch == "x86_64" and bpf.X32_BIT <= number != bpf.NO_NUMBER:
        return bpf.RET_KILL_PROCESS
    call = next((name for name, known in NUMBERS[arch].items() if known == number), None)
    if call is None:
        return bpf.RET_ERRNO | int(Errno.ENOSYS)
    if all(is_passed(wall, call, arch, arguments) for wall in settings.walls):
        return bpf.RET_ALLOW
    return bpf.RET_ERRNO | settings.errno_of(call)
