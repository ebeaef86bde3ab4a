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
from sandboxer.controls.seccomp.reference import answers_in, in_order, strictest
from sandboxer.controls.seccomp.rules import Situation, Test, tests_of
from sandboxer.controls.seccomp.words import show_answer
from sandboxer.errors import InternalError, Problem
from sandboxer.export.oci_document import Bits, Document, answers_by_letter

Ordered = Sequence[tuple[Sequence[Test], int]]
"""Tests that must all pass, with the answer; the first that match decide."""


def check_same(document: Document, settings: Settings, here: Situation, narrowed: Mapping[str, int]) -> None:
    """Compare a document with settings of one situation. Raises: InternalError with a call that differs.

    narrowed: calls that answer one thing in every use instead.
    """
    for call in NUMBERS[here.arch]:
        refused = bpf.RET_ERRNO | settings.errno_of(call)
        walls = [
            [(tests_of(call, case, here.arch), answer) for rule, answer in in_order(wall, call, refused) for case in rule.cases]
            for wall in settings.walls
        ]
        for known, found in answers_by_letter(document, call, here):
            for region, answer in _answers(settings, call, here.arch, known, walls, refused):
                wanted = narrowed.get(call, answer)
                if found != wanted:
                    shown = ", ".join(f"{value:#x}" for value in region.point())
                    why = f"{call}({shown}) answers {show_answer(found)} where the policy says {show_answer(wanted)}"
                    raise InternalError(Problem("the JSON does not mean what the policy says", why=why))


def _answers(
    settings: Settings, call: str, arch: str, known: Bits, walls: Sequence[Ordered], refused: int
) -> Iterator[tuple[Region, int]]:
    """What the settings say about the uses of a call of which some bits are known."""
    region = bits.within(Region(), [(index, mask, ((value, value),)) for index, (mask, value) in known.items()])
    assert region is not None  # one value under one mask for each argument is always possible
    said = [_first_answer(ordered, known, refused) for ordered in walls]
    settled = [answer for answer in said if answer is not None]
    if len(settled) == len(said):
        yield region, strictest(settled)
    else:
        yield from answers_in(settings, call, arch, region)


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
