"""The proof of an export: what an OCI document says to its letter is what settings mean, for all bits of all arguments.

The document is taken apart bit by bit into parts of one answer each, and every part is asked of the settings. Most parts settle
every test of every rule, so that the answer is read off; the others go to the reference semantics for regions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sandboxer.abi import bpf
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.controls.seccomp import bits
from sandboxer.controls.seccomp.bits import Region
from sandboxer.controls.seccomp.meaning import Settings
from sandboxer.controls.seccomp.reference import TooManyParts, answers_in, in_order, strictest
from sandboxer.controls.seccomp.rules import Situation, Test, tests_of
from sandboxer.controls.seccomp.words import show_answer
from sandboxer.errors import InternalError, Problem, ProfileError
from sandboxer.export.oci_document import Bits, Document, answers_by_letter

Ordered = Sequence[tuple[Sequence[Test], int]]
"""Tests that must all pass, with the answer; the first that match decide."""


def check_same(document: Document, settings: Settings, here: Situation, narrowed: Mapping[str, int]) -> None:
    """Compare a document with settings of one situation. narrowed: calls that answer one thing in every use instead.

    Raises: InternalError with a call that differs; ProfileError for rules that take too many parts.
    """
    for call in NUMBERS[here.arch]:
        meant = _Call(settings, call, here.arch)
        for known, found in answers_by_letter(document, call, here):
            region = bits.within(Region(), [(index, mask, ((value, value),)) for index, (mask, value) in known.items()])
            assert region is not None  # one value under one mask for each argument is always possible
            for part, wanted in [(region, narrowed[call])] if call in narrowed else meant.answers(known, region):
                if found != wanted:
                    shown = ", ".join(f"{value:#x}" for value in part.point())
                    why = f"{call}({shown}) answers {show_answer(found)} where the policy says {show_answer(wanted)}"
                    raise InternalError(Problem("the JSON does not mean what the policy says", why=why))


class _Call:
    """What settings of one situation say about one call."""

    def __init__(self, settings: Settings, call: str, arch: str) -> None:
        self.settings = settings
        self.call = call
        self.arch = arch
        self.refused = bpf.RET_ERRNO | settings.errno_of(call)
        self.walls: list[Ordered] = [
            [(tests_of(call, case, arch), answer) for rule, answer in in_order(wall, call, self.refused) for case in rule.cases]
            for wall in settings.walls
        ]

    def answers(self, known: Bits, region: Region) -> Iterator[tuple[Region, int]]:
        """What they say about the uses of which some bits are known; the region is of these."""
        said = [_first_answer(ordered, known, self.refused) for ordered in self.walls]
        settled = [answer for answer in said if answer is not None]
        if len(settled) == len(said):
            yield region, strictest(settled)
            return
        try:
            yield from answers_in(self.settings, self.call, self.arch, region)
        except TooManyParts:
            raise ProfileError(
                Problem(f"the rules about {self.call} are too many to be proven", attempt="fewer values")
            ) from None


def _first_answer(ordered: Ordered, known: Bits, refused: int) -> int | None:
    """The answer of one wall; None if the bits do not settle it."""
    for tests, answer in ordered:
        passed = [_passes(test, known) for test in tests]
        if False in passed:
            continue
        return None if None in passed else answer
    return refused


def _passes(test: Test, known: Bits) -> bool | None:
    """Whether a test passes; None if the bits do not settle it, or it is not plain to see."""
    index, mask, ranges = test
    seen, value = known.get(index, (0, 0))
    least = value & mask
    most = least | mask & ~seen
    if any(low <= least and most <= high for low, high in ranges):
        return True
    return None if any(low <= most and least <= high for low, high in ranges) else False
