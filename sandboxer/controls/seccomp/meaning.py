"""What a profile's seccomp section means: walls of rules with groups taken apart, and what refused calls answer.

The first wall is the profile's own section; every `restrict:` layer is a further one, and a call must pass them all. A wall
lets through what one of its grants allows and none of its denies is about. A wall that grants nothing by name, and is a layer,
lets everything through but its denies. Groups are files; this module sees them only as sections that somebody read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from sandboxer.abi.errnos import Errno
from sandboxer.controls.parse import did_you_mean
from sandboxer.controls.room import Scope
from sandboxer.controls.seccomp.rules import Answer, Group, Rule, includes
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
        """Every use of the call passes."""
        return any(rule.is_whole for rule in self.grants_of(call)) and not self.denies_of(call)

    def passes_some(self, call: str) -> bool:
        """Some use of the call may pass."""
        denies = self.denies_of(call)
        return any(not any(includes(deny, grant) for deny in denies) for grant in self.grants_of(call))


@dataclass(frozen=True, slots=True)
class Settings:
    """What the section means. `walls` begins with the profile's own; `answers` are pairs (call, errno), sorted."""

    walls: tuple[Wall, ...]
    answers: tuple[tuple[str, int], ...]
    default_errno: int
    backend: str
    log: bool

    def passes_whole(self, call: str) -> bool:
        """Every use of the call is allowed."""
        return all(wall.passes_whole(call) for wall in self.walls)

    def passes_some(self, call: str) -> bool:
        """No wall refuses every use of the call."""
        return all(wall.passes_some(call) for wall in self.walls)

    def errno_of(self, call: str) -> int:
        """What a refused use of the call answers."""
        return dict(self.answers).get(call, self.default_errno)


@dataclass(slots=True)
class _Expansion:
    """Takes groups apart: the statements and answers of one section and of every group that it names."""

    scope: Scope
    grants: list[Statement] = field(default_factory=list)
    denies: list[Statement] = field(default_factory=list)
    answers: list[tuple[Answer, Place]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    entered: set[str] = field(default_factory=set)

    def take(self, section: Section, group: str = "") -> None:
        """Take a section in; a group that is granted brings its denies and answers with it."""
        for item in section.said.get("allow", ()):
            if isinstance(item.value, Group):
                self._enter(item.value.name, item.place)
            else:
                self.grants.append(Statement(_as_rule(item), item.place, group))
        for item in section.said.get("deny", ()):
            self.denies += self._rules_of(item)
        for item in section.said.get("errno", ()):
            self.answers += self._answers_of(item)

    def _enter(self, name: str, place: Place) -> None:
        found = self._find(name, place)
        if found is not None and name not in self.entered:
            self.entered.add(name)
            self.take(found, name)

    def _find(self, name: str, place: Place) -> Section | None:
        found = self.scope.groups.get(name)
        if found is None:
            near = did_you_mean(name, self.scope.groups)
            why = "a group is a file in policies/syscalls/"
            problem = Problem(f"unknown group of system calls @{name}", where=place, why=why, attempt=near)
            if repr(problem) not in map(repr, self.problems):
                self.problems.append(problem)
        return found

    def _rules_of(self, item: Said) -> Iterator[Statement]:
        if isinstance(item.value, Group):
            for rule in self._allowed_by(item.value.name, item.place, frozenset()):
                yield Statement(rule, item.place, item.value.name)
        else:
            yield Statement(_as_rule(item), item.place)

    def _allowed_by(self, name: str, place: Place, above: frozenset[str]) -> Iterator[Rule]:
        section = self._find(name, place) if name not in above else None
        for item in section.said.get("allow", ()) if section else ():
            if isinstance(item.value, Group):
                yield from self._allowed_by(item.value.name, item.place, above | {name})
            else:
                yield _as_rule(item)

    def _answers_of(self, item: Said) -> Iterator[tuple[Answer, Place]]:
        answer = item.value
        if not isinstance(answer, Answer):
            raise InternalError(Problem(f"not an answer: {answer!r}", where=item.place))
        if not answer.subject.startswith("@"):
            yield answer, item.place
            return
        for call in sorted({rule.call for rule in self._allowed_by(answer.subject[1:], item.place, frozenset())}):
            yield Answer(answer.errno, call), item.place


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


def _joined_answers(found: Iterable[tuple[Answer, Place]], problems: list[Problem]) -> tuple[tuple[str, int], ...]:
    first: dict[str, tuple[int, Place]] = {}
    for answer, place in sorted(found, key=lambda pair: pair[1]):
        known = first.setdefault(answer.subject, (answer.errno, place))
        if known[0] != answer.errno:
            names = f"{Errno(answer.errno).name} here and {Errno(known[0]).name} in {known[1].show()}"
            problems.append(Problem(f"{answer.subject} would answer two things", where=place, why=names))
    explicit = {call: number for call, (number, _) in first.items()}
    return tuple(sorted({**BUILT_IN_ANSWERS, **explicit}.items()))


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
    answers: list[tuple[Answer, Place]] = []
    walls: list[Wall] = []
    layers = [(layer.name, layer.sections[NAME], layer.place) for layer in scope.layers if NAME in layer.sections]
    for name, said, place in [("the profile", section, _place(section, NAME)), *layers]:
        expansion = _Expansion(scope)
        expansion.take(said)
        is_open = bool(walls) and "allow" not in said.said
        walls.append(Wall(name, place, None if is_open else _once(expansion.grants), _once(expansion.denies)))
        answers += expansion.answers
        problems += expansion.problems
    joined = _joined_answers(answers, problems)
    if not problems:
        problems += _check_launch(tuple(walls))
    if problems:
        raise ProfileError(problems)
    default, backend, log = section.one("default_errno"), section.one("backend"), section.one("log")
    return Settings(
        walls=tuple(walls),
        answers=joined,
        default_errno=default.value if default and isinstance(default.value, int) else int(Errno.EPERM),
        backend=str(backend.value) if backend else "libseccomp",
        log=bool(log and log.value) or any(said.one("log") is not None and bool(said.values("log")[0]) for _, said, _ in layers),
    )
