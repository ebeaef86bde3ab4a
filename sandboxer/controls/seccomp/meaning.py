"""What a profile's seccomp section means: walls of rules with groups taken apart, and what refused calls answer.

The first wall is the profile's own section; every `restrict:` layer is a further one, and a call must pass them all. A wall
lets through what one of its grants allows and none of its denies is about. A wall that grants nothing by name, and is a layer,
lets everything through but its denies. Groups are files; this module sees them only as sections that somebody read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import combinations

from sandboxer.abi import bpf
from sandboxer.abi.errnos import Errno
from sandboxer.controls.parse import did_you_mean
from sandboxer.controls.room import Scope
from sandboxer.controls.seccomp.rules import (
    ALWAYS,
    MAX_CASES,
    NO_ANSWER,
    Answer,
    Count,
    Group,
    Rule,
    Situation,
    When,
    action_of,
    answered,
    are_included,
    overlaps,
    upper_half_rule,
)
from sandboxer.errors import InternalError, Problem, ProfileError
from sandboxer.model.place import Place, built_in
from sandboxer.model.section import Said, Section

NAME = "seccomp"
LAUNCH_CALLS = ("execve", "exit_group")
"""What the launcher still does behind the filters: it becomes the command, or ends when it cannot."""

BUILT_IN_ANSWERS = {"clone3": int(Errno.ENOSYS)}
"""The flags of clone3 are behind a pointer, so it cannot be allowed in part; libcs fall back to clone after ENOSYS."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One rule, where it was said, and the group that it came through, if any."""

    rule: Rule
    place: Place
    group: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What refused uses of a call answer where a condition holds; where that was said, and the group it came through, if any."""

    call: str
    errno: int
    when: When
    place: Place
    group: str = ""


def _by_call(statements: Iterable[Statement]) -> dict[str, tuple[Rule, ...]]:
    found: dict[str, list[Rule]] = {}
    for item in statements:
        found.setdefault(item.rule.call, []).append(item.rule)
    return {call: tuple(rules) for call, rules in found.items()}


@dataclass(frozen=True, slots=True)
class Wall:
    """One layer. `grants` is None where everything passes but the denies."""

    name: str
    place: Place
    grants: tuple[Statement, ...] | None
    denies: tuple[Statement, ...]
    _granted: dict[str, tuple[Rule, ...]] = field(init=False, repr=False, compare=False)
    _denied: dict[str, tuple[Rule, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_granted", _by_call(self.grants or ()))
        object.__setattr__(self, "_denied", _by_call(self.denies))

    def grants_of(self, call: str) -> tuple[Rule, ...]:
        """The rules that allow uses of a call, before the denies; one whole rule where the wall grants everything."""
        return (Rule(call),) if self.grants is None else self._granted.get(call, ())

    def denies_of(self, call: str) -> tuple[Rule, ...]:
        """The rules that deny uses of a call."""
        return self._denied.get(call, ())

    def passes_whole(self, call: str) -> bool:
        """Every use of the call passes, everywhere."""
        return any(rule.is_whole and rule.when == ALWAYS for rule in self.grants_of(call)) and not self.denies_of(call)

    def passes_some(self, call: str) -> bool:
        """Some use of the call may pass somewhere."""
        denies = [rule for rule in self.denies_of(call) if rule.when == ALWAYS]
        return any(not are_included(grant, denies) for grant in self.grants_of(call))

    def at(self, situation: Situation) -> Wall:
        """The wall with the rules that count there."""
        return replace(
            self,
            grants=None if self.grants is None else _counting(self.grants, situation),
            denies=_counting(self.denies, situation),
        )


def _counting(statements: tuple[Statement, ...], situation: Situation) -> tuple[Statement, ...]:
    if all(item.rule.when is ALWAYS for item in statements):
        return statements
    kept = (item for item in statements if item.rule.when.holds(situation))
    return _once(replace(item, rule=replace(item.rule, when=ALWAYS)) for item in kept)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the section means. `walls` begins with the profile's own; `answers` are pairs (call, errno), sorted.

    refusals: what was said about answers; what of it has no condition, and what is built in, are the `answers`.
    frequency: calls and how often they are made, for the order in which a filter looks; empty: all alike.
    """

    walls: tuple[Wall, ...]
    answers: tuple[tuple[str, int], ...]
    default_errno: int
    backend: str
    log: bool
    frequency: tuple[Count, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    def at(self, situation: Situation) -> Settings:
        """The settings with the rules that count there; nothing of it has a condition on host or capabilities any more."""
        refusals = tuple(replace(item, when=ALWAYS) for item in self.refusals if item.when.holds(situation))
        walls = tuple(wall.at(situation) for wall in self.walls)
        return replace(self, walls=walls, refusals=refusals, answers=_answers_of(refusals))

    def passes_whole(self, call: str) -> bool:
        """Every use of the call is allowed."""
        return all(wall.passes_whole(call) for wall in self.walls)

    def passes_some(self, call: str) -> bool:
        """No wall refuses every use of the call."""
        return all(wall.passes_some(call) for wall in self.walls)

    def errno_of(self, call: str) -> int:
        """What a refused use of the call answers."""
        return dict(self.answers).get(call, self.default_errno)


def _answers_of(refusals: Iterable[Refusal]) -> tuple[tuple[str, int], ...]:
    """The pairs (call, errno) that count everywhere."""
    said = {item.call: item.errno for item in refusals if item.when == ALWAYS}
    return tuple(sorted({**BUILT_IN_ANSWERS, **said}.items()))


@dataclass(slots=True)
class _Expansion:
    """Takes groups apart: the statements and answers of one section and of every group that it names."""

    scope: Scope
    grants: list[Statement] = field(default_factory=list)
    denies: list[Statement] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    entered: set[str] = field(default_factory=set)
    path: tuple[str, ...] = ()
    above: tuple[str, ...] = ()  # the path on which a group with changes stands

    def take(self, section: Section, group: str = "") -> None:
        """Take a section in; a group that is granted brings its denies and answers with it."""
        for item in section.said.get("allow", ()):
            if not isinstance(item.value, Group):
                self.grants.append(Statement(_as_rule(item), item.place, group))
            elif item.value == Group(item.value.name):
                self._enter(item.value.name, item.place)
            else:
                self._edit(item.value, item.place)
        for item in section.said.get("deny", ()):
            self.denies += self._rules_of(item)
        for item in section.said.get("errno", ()):
            self.refusals += self._refusals_of(item, group)

    def _enter(self, name: str, place: Place) -> None:
        found = self._find(name, place)
        if name in self.above:
            why = "what it leaves out, answers or is conditioned on would have to be found in what it means"
            self._blame(Problem(f"@{name} stands in itself, with changes", where=place, why=why))
        elif found is not None and name not in self.entered:
            self.entered.add(name)
            self.path, around = (*self.path, name), self.path
            self.take(found, name)
            self.path = around

    def _blame(self, problem: Problem) -> None:
        if repr(problem) not in map(repr, self.problems):
            self.problems.append(problem)

    def _edit(self, group: Group, place: Place) -> None:
        """Take in a group with changes: its own denies and answers come along, its grants without what is left out."""
        inner = _Expansion(self.scope, problems=self.problems, above=(*self.above, *self.path))
        inner._enter(group.name, place)
        for item in inner.grants:
            if item.rule.call not in group.but:
                rule = answered(item.rule, group.answer, group.when)
                self.grants.append(Statement(rule, item.place, item.group))
        self.denies += inner.denies
        self.refusals += inner.refusals
        self._check_exceptions(group, place, {item.rule.call for item in inner.grants})

    def _check_exceptions(self, group: Group, place: Place, calls: set[str]) -> None:
        for call in group.but:
            if calls and call not in calls:
                what = f"@{group.name} has no {call} that could be left out"
                self.problems.append(Problem(what, where=place, attempt=did_you_mean(call, calls)))

    def _find(self, name: str, place: Place) -> Section | None:
        found = self.scope.groups.get(name)
        if found is None:
            near = did_you_mean(name, self.scope.groups)
            why = "a group is a file in policies/syscalls/"
            self._blame(Problem(f"unknown group of system calls @{name}", where=place, why=why, attempt=near))
        return found

    def _rules_of(self, item: Said) -> Iterator[Statement]:
        if not isinstance(item.value, Group):
            yield Statement(_as_rule(item), item.place)
            return
        group = item.value
        rules = tuple(self._allowed_by(group.name, item.place, frozenset()))
        self._check_exceptions(group, item.place, {rule.call for rule in rules})
        for rule in rules:
            if rule.call not in group.but:
                # What a grant answers (log) is nothing that a deny could answer.
                plain = replace(rule, answer=NO_ANSWER)
                yield Statement(answered(plain, group.answer, group.when), item.place, group.name)

    def _allowed_by(self, name: str, place: Place, above: frozenset[str]) -> Iterator[Rule]:
        section = self._find(name, place) if name not in above else None
        for item in section.said.get("allow", ()) if section else ():
            if not isinstance(item.value, Group):
                yield _as_rule(item)
                continue
            group = item.value
            for rule in self._allowed_by(group.name, item.place, above | {name}):
                if rule.call not in group.but:
                    yield answered(rule, group.answer, group.when)

    def _refusals_of(self, item: Said, group: str) -> Iterator[Refusal]:
        """group: that of the section in which it stands."""
        answer = item.value
        if not isinstance(answer, Answer):
            raise InternalError(Problem(f"not an answer: {answer!r}", where=item.place))
        if not answer.subject.startswith("@"):
            yield Refusal(answer.subject, answer.errno, answer.when, item.place, group)
            return
        name = answer.subject[1:]
        for call in sorted({rule.call for rule in self._allowed_by(name, item.place, frozenset())}):
            yield Refusal(call, answer.errno, answer.when, item.place, name)


def _as_rule(item: Said) -> Rule:
    if not isinstance(item.value, Rule):
        raise InternalError(Problem(f"not a rule: {item.value!r}", where=item.place))
    return item.value


def _once(statements: Iterable[Statement]) -> tuple[Statement, ...]:
    """Each rule once, at its smallest place, in an order of its own."""
    first: dict[Rule, Statement] = {}
    for item in statements:
        known = first.get(item.rule)
        if known is None or (item.place, item.group) < (known.place, known.group):
            first[item.rule] = item
    return tuple(first[rule] for rule in sorted(first))


def _place(section: Section, name: str) -> Place:
    places = [item.place for items in section.said.values() for item in items]
    return min(places) if places else built_in(name)


def _check_refusals(found: Iterable[Refusal]) -> Iterator[Problem]:
    """Two error numbers for one call that can both count, at the later place of each."""
    known: dict[str, list[Refusal]] = {}
    for item in found:
        others = known.setdefault(item.call, [])
        rival = next((other for other in others if other.errno != item.errno and _can_meet(other.when, item.when)), None)
        if rival is not None:
            yield _two_things(item.call, (item.errno, item.place), (rival.errno, rival.place))
        others.append(item)


def _two_things(call: str, one: tuple[int, Place], other: tuple[int, Place], attempt: str = "") -> Problem:
    """A call with two error numbers, each with the place where it was said."""
    why = f"{Errno(one[0]).name} here and {Errno(other[0]).name} in {other[1].show()}"
    return Problem(f"{call} would answer two things", where=one[1], why=why, attempt=attempt)


def _can_meet(one: When, other: When) -> bool:
    """Whether two conditions can hold in one situation."""
    since = max(one.kernel[0], other.kernel[0])
    below = min((bound for bound in (one.kernel[1], other.kernel[1]) if bound != (0, 0)), default=(1 << 30, 0))
    arches = not one.arches or not other.arches or bool(set(one.arches) & set(other.arches))
    return arches and since < below and not (one.held | other.held) & (one.unheld | other.unheld)


def _check_cases(wall: Wall) -> Iterator[Problem]:
    """Calls with more cases than can be compared with each other in reasonable time."""
    for name, statements in (("allow", wall.grants or ()), ("deny", wall.denies)):
        counts: dict[str, int] = {}
        for item in sorted(statements, key=lambda item: item.place):
            before = counts.get(item.rule.call, 0)
            counts[item.rule.call] = before + len(item.rule.cases)
            if before <= MAX_CASES < counts[item.rule.call]:
                what = f"there are too many rules about {item.rule.call} in `{name}`"
                why = f"together they may have {MAX_CASES} cases; a list of values in one rule is one"
                yield Problem(
                    what, where=item.place, why=why, attempt=f"{{{item.rule.call}: {{argument: {{in: [value, ...]}}}}}}"
                )


def _check_errnos(wall: Wall) -> Iterator[Problem]:
    """Two denies that say different error numbers for one use of a call."""
    spoken = [item for item in wall.denies if item.rule.answer != NO_ANSWER and action_of(item.rule.answer) == bpf.RET_ERRNO]
    for one, other in combinations(sorted(spoken, key=lambda item: item.place), 2):
        a, b = one.rule, other.rule
        if a.answer != b.answer and _can_meet(a.when, b.when) and overlaps(a, b):
            here, there = ((rule.answer & bpf.RET_DATA, item.place) for rule, item in ((b, other), (a, one)))
            yield _two_things(b.call, here, there, "one of the two, or uses that differ")


def _strict(wall: Wall) -> Wall:
    """The wall, refusing also what no compiler makes of an argument that a rule looks at."""
    rules = (upper_half_rule(item.rule) for item in (*(wall.grants or ()), *wall.denies))
    return replace(wall, denies=_once((*wall.denies, *(Statement(rule, wall.place) for rule in rules if rule))))


def _check_launch(walls: tuple[Wall, ...]) -> Iterator[Problem]:
    """Say which wall keeps the launcher from starting the command."""
    own = walls[0]
    if not own.grants:
        why = "an absent or empty list allows no system call, and no program runs without any"
        yield Problem(
            "no system call is allowed", where=own.place, why=why, attempt='policies: [syscalls/base], or allow: ["@base"]'
        )
        return
    for wall in walls:
        for call in LAUNCH_CALLS:
            if not wall.passes_whole(call):
                where = next((item.place for item in wall.denies if item.rule.call == call), wall.place)
                why = "the launcher loads the filter first, and then becomes the command or ends"
                yield Problem(
                    f"{wall.name} does not allow {call}", where=where, why=why, attempt=f"{call} in allow, without conditions"
                )


def understand(section: Section, scope: Scope) -> Settings:
    """The walls and answers that a section and the layers over it mean. Raises ProfileError with everything that is wrong."""
    problems: list[Problem] = []
    refusals: list[Refusal] = []
    walls: list[Wall] = []
    said_layers = ((layer.name, layer.place, layer.sections[NAME]) for layer in scope.layers if NAME in layer.sections)
    layers = sorted(said_layers, key=lambda item: item[:2])
    is_strict = section.values("strict") == (True,)
    for name, place, said in [("the profile", _place(section, NAME), section), *layers]:
        expansion = _Expansion(scope)
        expansion.take(said)
        is_open = bool(walls) and "allow" not in said.said
        wall = Wall(name, place, None if is_open else _once(expansion.grants), _once(expansion.denies))
        too_many = tuple(_check_cases(wall))
        problems += too_many or _check_errnos(wall)
        walls.append(_strict(wall) if is_strict or said.values("strict") == (True,) else wall)
        refusals += expansion.refusals
        problems += expansion.problems
    refusals.sort(key=lambda item: (item.place, item.call))
    problems += _check_refusals(refusals)
    if not problems:
        problems += _check_launch(tuple(walls))
    if problems:
        raise ProfileError(problems)
    default, backend, log = section.one("default_errno"), section.one("backend"), section.one("log")
    return Settings(
        walls=tuple(walls),
        answers=_answers_of(refusals),
        default_errno=default.value if default and isinstance(default.value, int) else int(Errno.EPERM),
        backend=str(backend.value) if backend else "own",
        log=bool(log and log.value) or any(said.values("log") == (True,) for _, _, said in layers),
        frequency=tuple(sorted(item for item in section.values("frequency") if isinstance(item, Count))),
        refusals=tuple(refusals),
    )
