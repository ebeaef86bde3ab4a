"""The seccomp section of a policy -> OCI JSON, for one architecture, one kernel and one set of capabilities.

OCI has no denies, no sets of values and no widths, so what every call answers is taken apart into disjoint parts, and each part
into comparisons for equality under a mask, at most one for each argument: the form that all runtimes read alike. What comes out
is read again and proven equal to the policy, for all calls that the tables name and all 64 bits of every argument.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

from sandboxer.abi import bpf
from sandboxer.abi.errnos import Errno
from sandboxer.abi.syscalls_table import LINUX, NUMBERS
from sandboxer.controls.seccomp import settings as settings_of
from sandboxer.controls.seccomp.bits import FULL, Region
from sandboxer.controls.seccomp.meaning import Settings
from sandboxer.controls.seccomp.reference import TooManyParts, answers_in, in_order, strictest
from sandboxer.controls.seccomp.rules import Situation, Test, action_of, tests_of
from sandboxer.controls.seccomp.words import show_answer
from sandboxer.errors import Problem, ProfileError
from sandboxer.export import oci_words
from sandboxer.export.alternatives import TooManyBlocks, View, blocks_inside
from sandboxer.export.notes import Kind, Note, Translation
from sandboxer.export.oci_document import Comparison
from sandboxer.export.oci_proof import check_same
from sandboxer.export.oci_read import read_document
from sandboxer.model.host import Host
from sandboxer.model.json_node import parse_json
from sandboxer.model.policy import Policy

SUMMARY = "seccomp of the OCI runtime specification (JSON), which container engines take too"

MAX_ENTRIES_OF_CALL = 512
"""More of them make filters that the kernel does not take: each is a few instructions, and 4096 are the limit."""
MAX_UNEQUAL = 2
"""Conditions of one entry that something is not 0. The proof takes each apart into 64 blocks."""

Part = tuple[Comparison, ...]


def write(policy: Policy, situation: Situation, *, host: Host, may_narrow: bool = False) -> Translation:
    """The JSON of a policy. may_narrow: refuse more, and tell it, where the exact text would be too long.

    Raises: ProfileError for what is too long; InternalError if the proof fails.
    """
    return write_settings(settings_of(policy), situation, may_narrow=may_narrow)


def write_settings(settings: Settings, situation: Situation, *, may_narrow: bool = False) -> Translation:
    """The same for the settings of the section alone."""
    making = _Making(settings.at(situation), situation.arch, may_narrow)
    entries = [entry for call in sorted(NUMBERS[situation.arch]) for entry in making.entries(call)]
    data = {
        "defaultAction": oci_words.NAMES[bpf.RET_ERRNO],
        "defaultErrnoRet": settings.default_errno,
        "architectures": [oci_words.ARCHITECTURE_NAMES[situation.arch]],
        **({"flags": [oci_words.LOG_FLAG]} if settings.log else {}),
        "syscalls": [_row(*item) for item in _grouped(entries)],
    }
    text = json.dumps(data, indent=2) + "\n"
    document = read_document(parse_json(text.encode(), "the JSON that was written"))
    check_same(document, making.settings, situation, making.narrowed)
    return Translation(text, (*making.notes, *_notes(settings, situation.arch)))


@dataclass(frozen=True, slots=True)
class _Entry:
    """A call, in the uses of one conjunction, with its answer."""

    call: str
    answer: int
    part: Part = ()


@dataclass(slots=True)
class _Making:
    """Settings of one situation while they are written. narrowed: answers of calls of which nothing is left in part."""

    settings: Settings
    arch: str
    may_narrow: bool
    notes: list[Note] = field(default_factory=list)
    narrowed: dict[str, int] = field(default_factory=dict)

    def entries(self, call: str) -> list[_Entry]:
        """What is said about one call. A call that answers the default in every use is named too.

        Runtimes let numbers answer ENOSYS that are above all they find named, so all are named that the tables have.
        """
        default = bpf.RET_ERRNO | self.settings.default_errno
        try:
            parts = [(region.tests(), answer) for region, answer in answers_in(self.settings, call, self.arch, Region())]
        except TooManyParts:
            refused = bpf.RET_ERRNO | self.settings.errno_of(call)
            said = [answer for wall in self.settings.walls for _, answer in in_order(wall, call, refused)]
            return [self.too_long(call, strictest([refused, *said]))]
        answers = {answer for _, answer in parts}
        if len(answers) == 1:
            return [_Entry(call, answers.pop())]
        spoken = [(tests, answer) for tests, answer in parts if answer != default]
        try:
            found = _split(call, spoken)
            plain = self.plain_grants(call)
            if plain is not None:
                joined = _split(call, [(tests, bpf.RET_ALLOW) for tests in plain])
                found = joined if len(joined) < len(found) else found
            if len(found) <= MAX_ENTRIES_OF_CALL:
                return found
        except TooManyBlocks:
            pass
        return [self.too_long(call, strictest(answers))]

    def plain_grants(self, call: str) -> list[tuple[Test, ...]] | None:
        """The tests of the grants, where they alone decide: they may overlap, which parts do not, and so be fewer."""
        found: list[tuple[Test, ...]] | None = None
        for wall in self.settings.walls:
            rules = in_order(wall, call, 0)
            if any(answer != bpf.RET_ALLOW for _, answer in rules):
                return None
            if all(not rule.is_whole for rule, _ in rules):
                if found is not None:
                    return None
                found = [tests_of(call, case, self.arch) for rule, _ in rules for case in rule.cases]
        if self.settings.errno_of(call) != self.settings.default_errno:
            return None
        return found

    def too_long(self, call: str, answer: int) -> _Entry:
        """A call that would take too many entries: refused in every use, if that may be, or the export is."""
        what = f"{call} is allowed in part, and to say which would take more than {MAX_ENTRIES_OF_CALL} entries"
        why = "OCI compares for equality under a mask, and so many comparisons make a filter that no kernel takes"
        if not self.may_narrow:
            where = min(
                (item.place for wall in self.settings.walls for item in wall.grants or () if item.rule.call == call), default=None
            )
            raise ProfileError(Problem(what, where=where, why=why, attempt=f"--narrow, to refuse {call} in every use"))
        self.narrowed[call] = answer
        self.notes.append(Note(Kind.STRICTER, f"{call} answers {show_answer(answer)} in every use", why))
        return _Entry(call, answer)


# ── parts as comparisons ──────────────────────────────────────────────────────────────────────────────────────────────


def _split(call: str, parts: Iterable[tuple[Sequence[Test], int]]) -> list[_Entry]:
    """Each part as conjunctions with at most one comparison for each argument. Stops where it is too long already."""
    found: dict[_Entry, None] = {}
    for tests, answer in parts:
        for part in conjunctions(tests):
            found[_Entry(call, answer, part)] = None
            if len(found) > 4 * MAX_ENTRIES_OF_CALL:
                return list(found)
    return list(found)


def conjunctions(tests: Sequence[Test]) -> Iterator[Part]:
    """Conjunctions of which exactly one holds where all tests pass, and none elsewhere."""
    by_index: dict[int, list[View]] = {}
    for index, mask, ranges in tests:
        by_index.setdefault(index, []).append((mask, ranges))
    choices = [list(_alternatives(index, views)) for index, views in sorted(by_index.items())]
    for chosen in product(*choices):
        if sum(item.operator == "SCMP_CMP_NE" for item in chosen) > MAX_UNEQUAL:
            raise TooManyBlocks
        yield chosen


def _alternatives(index: int, views: Sequence[View]) -> Iterator[Comparison]:
    """Comparisons of one argument. That a pointer is there is one; all other sets are blocks."""
    if list(views) == [(FULL, ((1, FULL),))]:
        yield Comparison(index, "SCMP_CMP_NE", 0)
        return
    yield from (_equal(index, *block) for block in blocks_inside(views))


def _equal(index: int, mask: int, value: int) -> Comparison:
    return Comparison(index, "SCMP_CMP_EQ", value) if mask == FULL else Comparison(index, "SCMP_CMP_MASKED_EQ", mask, value)


# ── the text ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _grouped(entries: Iterable[_Entry]) -> list[tuple[tuple[str, ...], int, Part]]:
    """Entries that differ in the call only are one; whole calls first, what is allowed ahead of what is refused."""
    names: dict[tuple[int, Part], list[str]] = {}
    for entry in entries:
        names.setdefault((entry.answer, entry.part), []).append(entry.call)
    rows = [(tuple(calls), answer, part) for (answer, part), calls in names.items()]
    return sorted(rows, key=lambda row: (bool(row[2]), action_of(row[1]) != bpf.RET_ALLOW, row[1]))


def _row(calls: tuple[str, ...], answer: int, part: Part) -> dict[str, object]:
    row: dict[str, object] = {"names": list(calls), "action": oci_words.NAMES[action_of(answer)]}
    if action_of(answer) == bpf.RET_ERRNO:
        row["errnoRet"] = answer & bpf.RET_DATA
    if part:
        row["args"] = [_argument(item) for item in part]
    return row


def _argument(item: Comparison) -> dict[str, object]:
    two = {"valueTwo": item.value_two} if item.is_masked else {}
    return {"index": item.index, "value": item.value, **two, "op": item.operator}


def _notes(settings: Settings, arch: str) -> Iterator[Note]:
    """What OCI leaves to the runtime, or cannot say."""
    rest = Errno(settings.default_errno).name
    if settings.default_errno != Errno.ENOSYS:
        what = f"numbers that Linux {LINUX} does not name answer {rest} by the letter of the JSON, and ENOSYS in a box"
        why = "runtimes may answer ENOSYS themselves, as runc does to all numbers above those that it finds named"
        yield Note(Kind.DIFFERS, what, why)
    what = "programs of other architectures end at their first system call"
    why = "in a box the process, under a runtime at least the thread, by what its library does to architectures not listed"
    yield Note(Kind.NOTE, what + (", x32 too" if arch == "x86_64" else ""), why)
    if len(settings.walls) > 1:
        yield Note(Kind.NOTE, f"{len(settings.walls)} layers became one filter", "a call must pass all of them")
    asks = [item for wall in settings.walls for item in wall.denies if item.rule.answer == bpf.RET_USER_NOTIF]
    if asks:
        what = "SCMP_ACT_NOTIFY needs a listenerPath, which says who answers"
        yield Note(Kind.NOTE, what, place=min(item.place for item in asks))
