"""What can be said against rules that are not wrong: denies that remove nothing, grants that a deny takes away whole."""

from __future__ import annotations

from collections.abc import Iterator

from sandboxer.controls.seccomp.meaning import NAME, Settings, Statement, Wall
from sandboxer.controls.seccomp.rules import includes, overlaps
from sandboxer.controls.seccomp.words import show_rule
from sandboxer.model.place import Place
from sandboxer.model.report import Line, Status


def _subject(item: Statement) -> str:
    return f"@{item.group}" if item.group else show_rule(item.rule)


def idle_denies(wall: Wall) -> Iterator[tuple[Place, str]]:
    """Places of denies that remove nothing from what the wall grants. A group counts as one deny, as it was written."""
    if wall.grants is None:
        return
    idle: dict[tuple[Place, str], bool] = {}
    for deny in wall.denies:
        removes = any(overlaps(deny.rule, grant.rule) for grant in wall.grants)
        key = (deny.place, _subject(deny))
        idle[key] = idle.get(key, True) and not removes
    yield from sorted(key for key, is_idle in idle.items() if is_idle)


def shadowed_grants(wall: Wall) -> Iterator[tuple[Place, str, Place]]:
    """Grants of which a deny in the same file leaves nothing, with the place of that deny.

    What comes from another file, or through a group, is no mistake: to take away a part of it is what denies are for.
    """
    for grant in wall.grants or ():
        for deny in wall.denies:
            if not grant.group and grant.place.file == deny.place.file and includes(deny.rule, grant.rule):
                yield grant.place, show_rule(grant.rule), deny.place
                break


def find_unused(settings: Settings) -> tuple[Line, ...]:
    """A line of the report for each rule that does nothing."""
    lines = []
    for wall in settings.walls:
        for place, subject in idle_denies(wall):
            why = f"{wall.name} allows nothing of it"
            lines.append(Line(NAME, Status.UNUSED, f"the deny of {subject} removes nothing", why=why, place=place))
        for place, subject, deny in shadowed_grants(wall):
            why = f"{deny.show()} denies all of it"
            lines.append(Line(NAME, Status.UNUSED, f"the grant of {subject} allows nothing", why=why, place=place))
    return tuple(lines)
