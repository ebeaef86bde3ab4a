"""OCI seccomp JSON -> a policy file with the same meaning, and what could not be kept.

The same meaning is: for every call that our tables name and all arguments, the policy answers what the document says (see
oci_document.py) about the same call with every bit cleared that the kernel does not look at. So nothing passes whose like, to the
kernel, the document does not let pass. What the document leaves open is decided for the stricter answer, and told; what a policy
cannot say is refused, with its place. The text that comes out is read again before anybody sees it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from sandboxer.abi import bpf
from sandboxer.abi.errnos import Errno
from sandboxer.abi.removed_syscalls import REMOVED
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.controls.seccomp import bits
from sandboxer.controls.seccomp import cases as algebra
from sandboxer.controls.seccomp.cases import Cases, TooManyCases
from sandboxer.controls.seccomp.meaning import BUILT_IN_ANSWERS
from sandboxer.controls.seccomp.rules import (
    ARCHITECTURES,
    CALLS,
    NO_ANSWER,
    Argument,
    Case,
    Condition,
    Rule,
    When,
    action_of,
    find_arguments,
    overlaps,
    rank,
)
from sandboxer.controls.seccomp.values import check_pointer
from sandboxer.errors import Problem, ProfileError
from sandboxer.export import oci_words, situations
from sandboxer.export.alternatives import as_conjunction, joined
from sandboxer.export.notes import Kind, Note, Translation
from sandboxer.export.oci_document import Comparison, Document, Entry, Named, Unreadable
from sandboxer.export.oci_policy import is_grant, write_policy
from sandboxer.export.oci_read import read_document
from sandboxer.model.json_node import parse_json
from sandboxer.model.node import Scalar
from sandboxer.model.place import Place

SUMMARY = "seccomp of the OCI runtime specification, or the profile of a container engine (JSON)"

MAX_RULES = 8192
MAX_PARTS = 128
MAX_CONDITIONS = 12
MAX_COMPARED = 30_000
"""How often two rules about one call are looked at together. A profile of a container engine takes a few hundred."""


def read(data: bytes, file: str, name: str) -> Translation:
    """A policy file out of JSON. file: how messages call the JSON. name: the policy's.

    Raises: ProfileError with all that is wrong with the JSON, or that a policy cannot say.
    """
    document = read_document(parse_json(data, file))
    meaning = understand(document)
    return Translation(write_policy(meaning, name, file), tuple(meaning.notes))


@dataclass(frozen=True, slots=True)
class Spoken:
    """A rule, and the entry that says it; None for what the default action says."""

    rule: Rule
    entry: Entry | None
    place: Place


@dataclass(slots=True)
class Meaning:
    """A document as rules. default_errno: for refused calls; answers: calls whose refused uses answer something else."""

    document: Document
    default_errno: int = int(Errno.EPERM)
    rules: list[Spoken] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)
    is_logged: bool = False
    notes: list[Note] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    compared: int = 0

    def spend(self) -> None:
        """Count a look at two rules. Raises: ProfileError for a document that would keep us busy."""
        self.compared += 1
        if self.compared > MAX_COMPARED:
            what = "too many entries are about the same calls"
            why = f"at most {MAX_COMPARED} pairs of them are looked at"
            raise ProfileError(Problem(what, where=self.document.place, why=why))

    def note(self, kind: Kind, what: str, why: str = "", place: Place | None = None) -> None:
        """Tell something, once."""
        note = Note(kind, what, why, place)
        if note not in self.notes:
            self.notes.append(note)


def understand(document: Document) -> Meaning:
    """The rules that a document means. Raises: ProfileError with all that a policy cannot say."""
    meaning = Meaning(document)
    tell_of_document(meaning)
    by_call: dict[str, list[Spoken]] = {}
    seen: set[Rule] = set()
    for entry in document.entries:
        for item in rules_of(meaning, entry):
            if item.rule not in seen:
                seen.add(item.rule)
                by_call.setdefault(item.rule.call, []).append(item)
        if sum(map(len, by_call.values())) > MAX_RULES:
            raise ProfileError(Problem(f"the entries make more than {MAX_RULES} rules", where=entry.place))
    for call, spoken in by_call.items():
        by_call[call] = join_alternatives(spoken)
        check_answers(meaning, by_call[call])
    meaning.rules = [item for spoken in by_call.values() for item in spoken]
    if not meaning.problems:
        take_default(meaning, by_call)
    if meaning.problems:
        raise ProfileError(meaning.problems)
    return meaning


def tell_of_document(meaning: Meaning) -> None:
    """What is around the entries: architectures, flags, a listener."""
    document = meaning.document
    foreign = [item for item in document.architectures if item.call not in oci_words.OUR_ARCHITECTURES]
    if foreign:
        names = ", ".join(item.call for item in foreign)
        what = f"programs of other architectures end at their first system call: {names}"
        why = "a policy speaks of the machine's own calls, whose numbers mean something else there"
        meaning.note(Kind.STRICTER, what, why, foreign[0].place)
    for flag in document.flags:
        meaning.is_logged |= flag.call == oci_words.LOG_FLAG
        if lost := oci_words.FLAGS[flag.call]:
            meaning.note(Kind.DIFFERS, f"{flag.call} is left out", lost, flag.place)
    if document.listener is not None:
        why = "who listens is no part of a policy; calls that ask nobody fail with ENOSYS"
        meaning.note(Kind.DIFFERS, "the listener is left out", why, document.listener)


# ── entries ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def rules_of(meaning: Meaning, entry: Entry) -> Iterator[Spoken]:
    """The rules that one entry says, one or more for each of its calls."""
    if entry.when is None:
        names = ", ".join(item.call for item in entry.calls)
        meaning.note(Kind.NOTE, f"an entry that can count on no machine of ours is left out: {names}", place=entry.place)
        return
    indexes = [comparison.index for comparison in entry.comparisons]
    if len(set(indexes)) < len(indexes):
        what = "several comparisons of one argument are read as the specification says it: all of them hold"
        meaning.note(Kind.DIFFERS, what, "runtimes take them for alternatives", entry.place)
    tell_of_unknown(meaning, entry)
    for named in entry.calls:
        if named.call not in CALLS:
            continue
        try:
            for cases, when in cases_of(meaning, entry, named, entry.when):
                yield Spoken(Rule(named.call, cases, answer_in_rule(entry.answer), when), entry, named.place)
        except ProfileError as error:
            meaning.problems += error.problems


def tell_of_unknown(meaning: Meaning, entry: Entry) -> None:
    """Calls that none of our architectures has."""
    unknown = [named for named in entry.calls if named.call not in CALLS]
    removed = [named for named in unknown if any(named.call in REMOVED[arch] for arch in ARCHITECTURES)]
    foreign = [named for named in unknown if any(named.call in table for table in (*NUMBERS.values(), *REMOVED.values()))]
    passes = is_grant(answer_in_rule(entry.answer))
    for kind, found, why in (
        (Kind.NOTE if passes else Kind.DIFFERS, removed, "the kernel has no such function any more; they answer ENOSYS"),
        (
            Kind.NOTE,
            [named for named in foreign if named not in removed],
            "only programs of 32 bits have them, and these do not run",
        ),
        (
            Kind.STRICTER if passes else Kind.DIFFERS,
            [named for named in unknown if named not in foreign],
            "no architecture of ours has them, or they are newer than the tables and answer ENOSYS",
        ),
    ):
        if found:
            meaning.note(kind, f"left out: {', '.join(named.call for named in found)}", why, found[0].place)


def answer_in_rule(answer: int) -> int:
    """The answer as a rule has it: what is plainly allowed says nothing of its own."""
    return NO_ANSWER if answer == bpf.RET_ALLOW else answer


def cases_of(meaning: Meaning, entry: Entry, named: Named, when: When) -> Iterator[tuple[Cases, When]]:
    """The uses that an entry means of a call, and where. They differ by architecture where its arguments do.

    Where an argument cannot be compared on some machine that the document does not speak of, an entry that allows is left out
    there. Raises: ProfileError.
    """
    found: dict[Cases, list[str]] = {}
    lost: dict[str, ProfileError] = {}
    for arch in ARCHITECTURES:
        if named.call in NUMBERS[arch] and (not when.arches or arch in when.arches):
            try:
                parts = [condition_of(meaning, comparison, named, arch) for comparison in entry.comparisons]
                found.setdefault(algebra.all_hold(named.call, *parts), []).append(arch)
            except ProfileError as error:
                lost[arch] = error
    if lost:
        first = next(iter(lost.values()))
        spoken_of = {oci_words.OUR_ARCHITECTURES.get(item.call, "") for item in meaning.document.architectures} & {*ARCHITECTURES}
        if not found or not is_grant(answer_in_rule(entry.answer)) or not spoken_of or spoken_of & lost.keys():
            raise first
        what = f"an entry about {named.call} is left out on {', '.join(lost)}, which the document does not name"
        meaning.note(Kind.STRICTER, what, first.problems[0].what, entry.place)
    for cases, arches in found.items():
        here = when if len(found) == 1 and not lost else situations.on(arches, when)
        if cases == algebra.NEVER:
            what = f"an entry about {named.call} that can never match is left out"
            meaning.note(Kind.NOTE, what, "no value that the kernel sees fulfils its comparisons", named.place)
        elif here is not None:
            yield cases, here
    if not found and not lost:
        meaning.note(Kind.NOTE, f"{named.call} is not there on the architectures of its entry", place=named.place)


def condition_of(meaning: Meaning, comparison: Comparison, named: Named, arch: str) -> Cases:
    """A comparison as a condition on an argument by name, as wide as the kernel looks. Raises: ProfileError."""
    known = find_arguments(named.call, arch)
    if known is None or comparison.index >= len(known):
        count = "are not known" if known is None else f"are {len(known)}"
        why = f"the arguments of {named.call} {count}"
        what = f"{named.call}: argument {comparison.index} cannot be compared"
        raise ProfileError(Problem(what, where=comparison.place, why=why))
    argument = known[comparison.index]
    try:
        mask, ranges = comparison.by_kernel(argument)
    except Unreadable as error:
        why = f"the kernel looks at {argument.bits} bits of {argument.name}; {error}"
        what = f"{named.call}: this order of {argument.name} cannot be kept"
        raise ProfileError(Problem(what, where=comparison.place, why=why)) from None
    found = algebra.one_of(argument, mask, ranges)
    if found not in (algebra.NEVER, algebra.EVERY):
        check_pointer(Scalar(None, "", False, comparison.place), argument, mask, found[0][0].ranges)
    tell_of_width(meaning, comparison, named.call, argument.name, argument.bits, found)
    return found


def tell_of_width(meaning: Meaning, comparison: Comparison, call: str, name: str, width: int, found: Cases) -> None:
    """What becomes of the bits of an argument that the kernel does not look at."""
    if width == 64:
        return
    if comparison.value >> width or comparison.value_two >> width:
        how = {algebra.NEVER: "it can never hold", algebra.EVERY: "it always holds"}.get(found, "their lower bits are compared")
        what = f"{call}: {name} has {width} bits, and this comparison looks at more: {how}"
        meaning.note(Kind.DIFFERS, what, "the kernel drops the rest of the register", comparison.place)


def join_alternatives(spoken: list[Spoken]) -> list[Spoken]:
    """The rules about one call, those of one answer that differ in one argument only as one: `in` instead of many values."""
    groups: dict[tuple[int, When], list[Spoken]] = {}
    for item in spoken:
        groups.setdefault((item.rule.answer, item.rule.when), []).append(item)
    found: list[Spoken] = []
    for items in groups.values():
        cases = {case: item for item in items for case in item.rule.cases}
        found += (
            replace(item, rule=replace(item.rule, cases=(case,))) for case, item in _joined(items[0].rule.call, cases).items()
        )
    return found


def _joined(call: str, cases: dict[Case, Spoken]) -> dict[Case, Spoken]:
    """Cases with their first entries, as few as a look at one argument after the other finds."""
    known = {argument.name: argument for arch in ARCHITECTURES for argument in find_arguments(call, arch) or ()}
    while True:
        before = len(cases)
        for name in sorted({condition.argument for case in cases for condition in case}):
            groups: dict[Case, list[Case]] = {}
            for case in cases:
                groups.setdefault(tuple(item for item in case if item.argument != name), []).append(case)
            following: dict[Case, Spoken] = {}
            for others, group in groups.items():
                first = min((cases[case] for case in group), key=lambda item: item.place)
                following.update((found, first) for found in _joined_along(call, known[name], others, group))
            cases = following
        if len(cases) == before:
            return cases


def _joined_along(call: str, argument: Argument, others: Case, group: list[Case]) -> Iterator[Case]:
    """Cases that differ in the conditions on one argument, as fewer."""
    own = [tuple(item for item in case if item.argument == argument.name) for case in group]
    if len(group) == 1 or any(len(conditions) != 1 for conditions in own):
        yield from group
        return
    found = [(item.mask, item.ranges) for (item,) in own]
    views = joined(found)
    every = as_conjunction(found, argument.mask) if len(views) > 1 else None
    for alternative in [every] if every and len(every) < len(views) else [[view] for view in views]:
        parts = [algebra.one_of(argument, mask, ranges) for mask, ranges in alternative]
        yield from algebra.all_hold(call, (others,), *parts)


def check_answers(meaning: Meaning, spoken: list[Spoken]) -> None:
    """Entries about the same use of a call with other answers: the stricter one counts; two error numbers are refused."""
    for number, one in enumerate(spoken):
        for other in spoken[:number]:
            a, b = one.rule, other.rule
            if a.answer == b.answer:
                continue
            meaning.spend()
            if situations.both(a.when, b.when) is None or not overlaps(a, b):
                continue
            where = other.place.show()
            if NO_ANSWER not in (a.answer, b.answer) and action_of(a.answer) == action_of(b.answer):
                what = f"{a.call} would answer two error numbers"
                why = f"another entry is about the same use ({where}), and which one counts is not defined"
                meaning.problems.append(Problem(what, where=one.place, why=why, attempt="one of the two"))
                return
            what = f"two entries are about the same use of {a.call}; the stricter answer counts"
            meaning.note(Kind.DIFFERS, what, f"the other one is {where}; runtimes do not agree on which one counts", one.place)
            break


# ── the default action ────────────────────────────────────────────────────────────────────────────────────────────────


def take_default(meaning: Meaning, by_call: dict[str, list[Spoken]]) -> None:
    """Say what a call answers that no entry is about."""
    default, place = meaning.document.default, meaning.document.place
    if action_of(default) == bpf.RET_ERRNO:
        meaning.default_errno = default & bpf.RET_DATA
        for call, errno in BUILT_IN_ANSWERS.items():
            if errno != meaning.default_errno:
                meaning.answers[call] = meaning.default_errno
    else:
        for call in sorted(CALLS):
            try:
                for cases, when in rest_of(meaning, call, [item.rule for item in by_call.get(call, ())]):
                    meaning.rules.append(Spoken(Rule(call, cases, answer_in_rule(default), when), None, place))
            except (TooManyCases, situations.TooManyCells) as error:
                what = f"what is left of {call} for the default action is too much for a policy"
                meaning.problems.append(Problem(what, where=by_call[call][0].place, why=str(error)))
    if default != bpf.RET_ERRNO | int(Errno.ENOSYS):
        kind = Kind.STRICTER if default in (bpf.RET_ALLOW, bpf.RET_LOG) else Kind.DIFFERS
        what = "calls newer than the tables answer ENOSYS, and not what the default action says"
        meaning.note(kind, what, "so that programs fall back to older calls; runtimes do so too for errors", place)


def rest_of(meaning: Meaning, call: str, rules: list[Rule]) -> Iterator[tuple[Cases, When]]:
    """The uses of a call that none of the rules is about, and where. Raises: TooManyCases, TooManyCells."""
    if all(rank(answer_of(rule)) <= rank(meaning.document.default) for rule in rules):
        yield algebra.EVERY, When()  # the stricter rule wins anyway
        return
    for cell, holding in situations.cells([rule.when for rule in rules]):
        cases = [case for number in sorted(holding) for case in rules[number].cases]
        for case in cases_outside(meaning, call, cases):
            yield (case,), cell


def answer_of(rule: Rule) -> int:
    """The answer of a rule, as SECCOMP_RET_*."""
    return bpf.RET_ALLOW if rule.answer == NO_ANSWER else rule.answer


def cases_outside(meaning: Meaning, call: str, cases: Iterable[Case]) -> list[Case]:
    """Disjoint cases that hold where none of these does. Raises: TooManyCases."""
    parts: list[Case] = [()]
    for case in cases:
        for _ in parts:
            meaning.spend()
        parts = [smaller for part in parts for smaller in _case_without(call, part, case)]
        if len(parts) > MAX_PARTS or any(len(part) > MAX_CONDITIONS for part in parts):
            why = f"it would take more than {MAX_PARTS} alternatives, or of {MAX_CONDITIONS} conditions in one"
            raise TooManyCases(why)
    return parts


def _case_without(call: str, part: Case, case: Case) -> Iterator[Case]:
    rest: Cases = (part,)
    for condition in case:
        if not rest:
            return
        outside = bits.complement(condition.ranges, condition.mask)
        yield from algebra.all_hold(call, rest, ((Condition(condition.argument, condition.mask, outside),),))
        rest = algebra.all_hold(call, rest, ((condition,),))
