"""What can be said of rules that are not wrong: those that do nothing, denies beside which another way stays open, and whether
the job can make namespaces."""

from __future__ import annotations

from collections.abc import Iterator

from sandboxer.abi.arguments_table import DEPENDENT
from sandboxer.abi.equivalents import BY_RING, FAMILIES, RING
from sandboxer.controls.seccomp.grammar import parse_grants
from sandboxer.controls.seccomp.meaning import NAME, Settings, Statement, Wall
from sandboxer.controls.seccomp.rules import ALWAYS, NO_ANSWER, Rule, are_included, overlaps, rank
from sandboxer.controls.seccomp.words import show_rule
from sandboxer.model.node import parse_node
from sandboxer.model.place import Place
from sandboxer.model.report import Line, Status


def _subject(item: Statement) -> str:
    return f"@{item.group}" if item.group else show_rule(item.rule)


def idle_denies(wall: Wall) -> Iterator[tuple[Place, str]]:
    """Places of denies that remove nothing from what the wall grants. A group counts as one deny, as it was written.

    One with an answer of its own is not idle: it decides what a call gets that is refused anyhow.
    """
    if wall.grants is None:
        return
    idle: dict[tuple[Place, str], bool] = {}
    for deny in wall.denies:
        removes = deny.rule.answer != NO_ANSWER or any(overlaps(deny.rule, grant.rule) for grant in wall.grants)
        key = (deny.place, _subject(deny))
        idle[key] = idle.get(key, True) and not removes
    yield from sorted(key for key, is_idle in idle.items() if is_idle)


def shadowed_grants(wall: Wall) -> Iterator[tuple[Place, str, Place]]:
    """Grants of which the denies in the same file leave nothing, with the place of the first such deny.

    What comes from another file, or through a group, is no mistake: to take away a part of it is what denies are for.
    """
    for grant in wall.grants or ():
        near = [deny for deny in wall.denies if deny.rule.call == grant.rule.call and deny.place.file == grant.place.file]
        if not grant.group and near and are_included(grant.rule, [deny.rule for deny in near]):
            guilty = (deny.place for deny in near if overlaps(deny.rule, grant.rule))
            yield grant.place, show_rule(grant.rule), min(guilty)


def repeated_rules(statements: tuple[Statement, ...]) -> Iterator[tuple[Place, str, Place]]:
    """Rules that can never decide anything, because others of the same list in the same file say as much already."""
    by_call: dict[tuple[str, str], list[Statement]] = {}
    for item in statements:
        if not item.group:
            by_call.setdefault((item.rule.call, item.place.file), []).append(item)
    for same in by_call.values():
        for item in same if len(same) > 1 else ():
            others = [other for other in same if other is not item and rank(other.rule.answer) <= rank(item.rule.answer)]
            others = [other for other in others if other.rule.when == item.rule.when]
            if others and are_included(item.rule, [other.rule for other in others]):
                yield item.place, show_rule(item.rule), min(other.place for other in others)


def silent_refusals(settings: Settings) -> Iterator[tuple[Place, str]]:
    """Error numbers that no call ever answers, because all uses pass. A group counts as one, as it was written."""
    silent: dict[tuple[Place, str], bool] = {}
    for item in settings.refusals:
        key = (item.place, f"@{item.group}" if item.group else item.call)
        silent[key] = silent.get(key, True) and settings.passes_whole(item.call)
    yield from sorted(key for key, is_silent in silent.items() if is_silent)


def open_ways(wall: Wall, settings: Settings) -> Iterator[tuple[Place, str, str, Place]]:
    """(place of a deny, what stays allowed in words, the call that is left, its place): denies beside which another way is open.

    Only denies of single calls that take something away: who denies a group has chosen what belongs together. A call that is
    allowed in part only was thought about.
    """
    grants = {item.rule.call: item.place for item in sorted(wall.grants or (), key=lambda item: item.place, reverse=True)}
    denied = {item.rule.call: item for item in sorted(wall.denies, key=lambda item: item.place, reverse=True) if not item.group}
    for call, deny in sorted(denied.items()):
        if wall.grants is not None and call not in grants:
            continue
        for deed, family in FAMILIES.items():
            for other in family if call in family else ():
                if other != call and settings.passes_whole(other):
                    what = f"{other} stays allowed, which can {deed} as {call} does"
                    yield deny.place, what, other, grants.get(other, wall.place)
        if call in BY_RING and all(settings.passes_some(ring) for ring in RING):
            what = f"{RING[0]} stays allowed, and a ring does what {call} does"
            yield deny.place, what, RING[0], grants.get(RING[0], wall.place)


def loose_denies(wall: Wall) -> Iterator[tuple[Place, str, str]]:
    """(place, rule, argument): denies that look at the upper half of an argument of which some commands drop it.

    fcntl(fd, F_SETFD, 1) and the same with a bit above the lowest 32 do one thing, and a deny of the value 1 is about the first.
    """
    for item in wall.denies:
        for name in DEPENDENT.get(item.rule.call, ()):
            conditions = (condition for case in item.rule.cases for condition in case if condition.argument == name)
            if any(condition.mask >> 32 for condition in conditions):
                yield item.place, show_rule(item.rule), name


def find_findings(settings: Settings) -> tuple[Line, ...]:
    """A line of the report for each rule that does nothing, and for each way that a deny leaves open."""
    lines = []
    for place, subject in silent_refusals(settings):
        why = "every use of it is allowed"
        lines.append(Line(NAME, Status.UNUSED, f"the errno of {subject} is never answered", why=why, place=place))
    for wall in settings.walls:
        for place, subject in idle_denies(wall):
            why = f"{wall.name} allows nothing of it"
            lines.append(Line(NAME, Status.UNUSED, f"the deny of {subject} removes nothing", why=why, place=place))
        for place, subject, other in shadowed_grants(wall):
            why = f"{other.show()} denies all of it"
            lines.append(Line(NAME, Status.UNUSED, f"the grant of {subject} allows nothing", why=why, place=place))
        for verb, statements in (("grant", wall.grants or ()), ("deny", wall.denies)):
            for place, subject, other in repeated_rules(statements):
                why = f"{other.show()} says as much already"
                lines.append(Line(NAME, Status.UNUSED, f"the {verb} of {subject} adds nothing", why=why, place=place))
        for place, subject, name in loose_denies(wall):
            what = f"the deny of {subject} misses values of {name} with an upper half"
            why = "some commands of the call drop that half"
            attempt = f"{name}: {{masked: ['0xffffffff', ...]}}"
            lines.append(Line(NAME, Status.LEFT_OPEN, what, why=why, attempt=attempt, place=place))
        for place, what, left, there in open_ways(wall, settings):
            attempt = f"deny {left} too, or nothing"
            why = f"{there.show()} allows it"
            lines.append(Line(NAME, Status.LEFT_OPEN, what, why=why, attempt=attempt, place=place))
    return tuple(lines)


_NEW = "CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET"
_MAKING = f"""\
- clone3
- {{clone: {{clone_flags: {{any_of: [{_NEW}]}}}}}}
- {{unshare: {{unshare_flags: {{any_of: [{_NEW}, CLONE_NEWTIME]}}}}}}
"""


def makes_namespaces(settings: Settings) -> bool:
    """Whether some call that makes a namespace may come through all walls. Never no where one does."""
    rules = [item.value for item in parse_grants(parse_node(_MAKING.encode(), "what makes namespaces"))]
    return any(isinstance(rule, Rule) and all(_passes_some_of(wall, rule) for wall in settings.walls) for rule in rules)


def _passes_some_of(wall: Wall, uses: Rule) -> bool:
    """Some of these uses of a call may pass somewhere; where denies leave a part of them, the answer is yes."""
    denies = [rule for rule in wall.denies_of(uses.call) if rule.when == ALWAYS]
    return any(overlaps(grant, uses) for grant in wall.grants_of(uses.call)) and not are_included(uses, denies)
