"""Profiles of a test, resolved as the real ones are, and what they refuse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sandboxer.compile.resolve import resolve, syscall_groups
from sandboxer.controls import seccomp
from sandboxer.controls.seccomp.meaning import Settings
from sandboxer.controls.seccomp.reference import decide
from sandboxer.controls.seccomp.rules import Situation
from sandboxer.learn.denials import explain_denials
from sandboxer.model.policy import Policy
from sandboxer.model.result import Denial
from sandboxer.run.ledger import Ledger, Use
from tests.learn.waiting import ARCH, NUMBER

AUDIT_X86_64 = 0xC000003E
HEAD = "kind: profile\nname: {name}\ndescription: of a test\n"


@dataclass(frozen=True)
class Place:
    """A project directory in which profiles are written; the working directory of the test."""

    root: Path

    def profile(self, text: str, name: str = "mine") -> Known:
        """Write a profile and resolve it."""
        path = self.root / f".sandboxer/profiles/{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(HEAD.format(name=name) + text)
        return known(name)


@dataclass(frozen=True)
class Known:
    """A policy, and what it means on a plain machine."""

    policy: Policy
    settings: Settings = field(repr=False)

    def answer(self, call: str, *arguments: int) -> int:
        """What it answers."""
        return decide(self.settings, ARCH, NUMBER[call], (*arguments, *(0,) * 6)[:6])

    def denial(self, call: str, *arguments: int, texts: Sequence[str] = ()) -> Denial:
        """What is said about one refused call."""
        number = NUMBER[call]
        return self.denial_of(AUDIT_X86_64, number, self.answer(call, *arguments), *arguments, texts=texts)

    def denial_of(self, arch: int, number: int, verdict: int, *arguments: int, texts: Sequence[str] = ()) -> Denial:
        """The same by number."""
        ledger = Ledger()
        row = ledger.add(Use(arch, number, (*arguments, *(0,) * 6)[:6], tuple(texts)), verdict)
        assert row is not None
        row.pid, row.name = 7, b"job"
        (found,) = explain_denials(ledger, self.policy, self.settings, ARCH).rows
        return found


def known(name: str) -> Known:
    """A profile by its name."""
    policy = resolve(name).policy
    return Known(policy, seccomp.settings(policy).at(Situation()))


__all__ = ["Known", "Place", "known", "syscall_groups"]
