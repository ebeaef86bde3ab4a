"""Knows the policy of one run: what it answers to a call, and how the arguments of a refused one read.

The answer comes from the reference semantics, straight from the rules, and not from the filter that the kernel runs.
"""

from __future__ import annotations

from functools import lru_cache, partial

from sandboxer.abi import bpf
from sandboxer.controls.seccomp.meaning import Settings
from sandboxer.controls.seccomp.reference import decide, names_of
from sandboxer.kernel.listener.notices import Notice
from sandboxer.kernel.listener.waiting import Waiting
from sandboxer.learn.arguments import show_arguments, shown_arguments
from sandboxer.learn.look import Look

DECISIONS_KEPT = 1024
"""A job that is refused one call makes it again: of so many the answer is remembered."""

FOREIGN = {number: arch for arch, number in bpf.AUDIT_ARCH.items() if arch != "x32"}


class PolicyWitness:
    """The witness of a policy on a machine."""

    __slots__ = ("_arch", "_decide", "_settings")

    def __init__(self, settings: Settings, arch: str) -> None:
        self._settings = settings
        self._arch = arch
        self._decide = lru_cache(DECISIONS_KEPT)(partial(decide, settings, arch))

    def decide(self, arch: int, number: int, arguments: tuple[int, ...]) -> int:
        """The policy's answer: what a foreign architecture calls is killed."""
        if arch != bpf.AUDIT_ARCH[self._arch]:
            return bpf.RET_KILL_PROCESS
        return self._decide(number, arguments)

    def read(self, notice: Notice, waiting: Waiting) -> tuple[str, ...]:
        """The arguments that the call has; all six as numbers where nobody knows how many it has."""
        call = find_call(notice.arch, notice.number, self._arch)
        rows = shown_arguments(call, self._arch) if call else None
        if call is None or rows is None:
            return tuple(f"{value:#x}" for value in notice.arguments)
        values = {argument.name: notice.arguments[argument.index] & argument.mask for argument, _ in rows}
        return show_arguments(Look(call, values, waiting), self._arch) or ()


def find_call(audit_arch: int, number: int, arch: str) -> str | None:
    """The name of a call of this machine's own architecture, or None."""
    return names_of(arch).get(number) if audit_arch == bpf.AUDIT_ARCH[arch] else None
