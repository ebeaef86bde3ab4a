"""What a policy means for one system call, straight from the rules: the semantics that every compiled filter is held to.

Of a wall: a deny that matches decides, and of several the strictest; an errno that a rule states goes before that of the call.
Else a grant that matches lets the call through. Else it is refused. Of several walls the strictest answer counts, and of equal
actions that of the profile's own wall, which is loaded last. Settings are of one situation (`Settings.at`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from sandboxer.abi import bpf
from sandboxer.abi.errnos import Errno
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.controls.seccomp import bits
from sandboxer.controls.seccomp.bits import Region
from sandboxer.controls.seccomp.meaning import Settings, Wall
from sandboxer.controls.seccomp.rules import NO_ANSWER, Case, Rule, matches, rank, tests_of

UNKNOWN = bpf.RET_ERRNO | int(Errno.ENOSYS)
FOREIGN = bpf.RET_KILL_PROCESS


@cache
def names_of(arch: str) -> dict[int, str]:
    """The calls of an architecture by their numbers."""
    return {number: name for name, number in NUMBERS[arch].items()}


def decide(settings: Settings, arch: str, number: int, arguments: Sequence[int]) -> int:
    """The answer to a call of the machine's own architecture, as SECCOMP_RET_* with its data."""
    if arch == "x86_64" and bpf.X32_BIT <= number != bpf.NO_NUMBER:
        return FOREIGN
    call = names_of(arch).get(number)
    if call is None:
        return UNKNOWN
    refused = bpf.RET_ERRNO | settings.errno_of(call)
    return strictest(wall_answer(wall, call, arch, arguments, refused) for wall in settings.walls)


def wall_answer(wall: Wall, call: str, arch: str, arguments: Sequence[int], refused: int) -> int:
    """What one wall answers to a call. refused: the answer of the call where no rule states one."""
    for rule, answer in in_order(wall, call, refused):
        if matches(rule, arch, arguments):
            return answer
    return refused


def in_order(wall: Wall, call: str, refused: int) -> list[tuple[Rule, int]]:
    """The rules about a call with their answers; the first that matches decides."""
    denies = [(rule, refused if rule.answer == NO_ANSWER else rule.answer) for rule in wall.denies_of(call)]
    grants = [(rule, bpf.RET_ALLOW if rule.answer == NO_ANSWER else rule.answer) for rule in wall.grants_of(call)]
    denies.sort(key=lambda pair: (rank(pair[1]), pair[0].answer == NO_ANSWER))
    return denies + sorted(grants, key=lambda pair: rank(pair[1]))


def strictest(answers: Iterable[int]) -> int:
    """The strictest of some answers; of equal actions the first."""
    return min(answers, key=rank)


# ── the same for whole regions of arguments ───────────────────────────────────────────────────────────────────────────

MAX_PARTS = 1 << 13


class TooManyParts(Exception):
    """The rules about a call, whose name is the text, take its uses apart into more parts than can be looked at."""


def answers_in(settings: Settings, call: str, arch: str, region: Region) -> Iterator[tuple[Region, int]]:
    """The region taken apart into parts of one answer each, by the same rules. Raises TooManyParts."""
    refused = bpf.RET_ERRNO | settings.errno_of(call)
    parts: list[tuple[Region, list[int]]] = [(region, [])]
    for wall in settings.walls:
        ordered = [(case, rule.call, answer) for rule, answer in in_order(wall, call, refused) for case in rule.cases]
        parts = [
            (smaller, [*answers, answer])
            for part, answers in parts
            for smaller, answer in _first_answers(part, arch, ordered, refused)
        ]
    for part, answers in parts:
        yield part, strictest(answers)


def _first_answers(
    region: Region, arch: str, ordered: Sequence[tuple[Case, str, int]], refused: int
) -> Iterator[tuple[Region, int]]:
    left = [region]
    for case, call, answer in ordered:
        tests = tests_of(call, case, arch)
        halves = [bits.split(part, tests) for part in left]
        yield from ((inside, answer) for inside, _ in halves if inside is not None)
        left = [smaller for _, outside in halves for smaller in outside]
        if len(left) > MAX_PARTS:
            raise TooManyParts(call)
        if not left:
            return
    yield from ((part, refused) for part in left)
