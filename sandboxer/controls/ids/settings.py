"""What the section `ids` says, and its typed settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from sandboxer.controls import parse
from sandboxer.controls.room import Scope
from sandboxer.controls.said import choice, number, numbers, places_of
from sandboxer.errors import Problem, ProfileError
from sandboxer.model.host import Host
from sandboxer.model.node import Node, Scalar
from sandboxer.model.place import Place
from sandboxer.model.section import Field, Merge, Section

NOBODY = 65534  # the kernel's overflow id. Source: include/linux/highuid.h, DEFAULT_OVERFLOWUID
MAX_ID = (1 << 32) - 2  # -1 means "leave as it is" to setresuid(2)
RANGE = 65536
DEFAULT_ID = 1000
DEFAULT_NAME = "sandbox"

_LOGIN = re.compile(r"[a-z_][a-z0-9_-]{0,31}", re.ASCII)


def _login(node: Node) -> str:
    value = parse.text(node)
    if not _LOGIN.fullmatch(value):
        why = "a user's name has small letters, digits, _ and - only, begins with a letter or _, and has at most 32 of them"
        parse.fail(node, f"{value!r} cannot name a user", why=why)
    return value


def _outside(node: Node) -> int:
    if isinstance(node, Scalar) and node.value == "nobody":
        return NOBODY
    value = parse.integer(least=0, most=MAX_ID)(node)
    if value == 0:
        parse.fail(
            node,
            "the job is never the host's root",
            why="host id 0 owns the machine's files",
            attempt="nobody, or an id of its own",
        )
    return value


FIELDS: tuple[Field, ...] = (
    Field(
        "user",
        Merge.CHOICE,
        {"type": "integer"},
        parse.one(parse.integer(most=MAX_ID)),
        "the job's user id inside. 0 looks like root to programs that ask, and gains nothing by it.",
        default=str(DEFAULT_ID),
    ),
    Field(
        "group",
        Merge.CHOICE,
        {"type": "integer"},
        parse.one(parse.integer(most=MAX_ID)),
        "the job's group id inside.",
        default=str(DEFAULT_ID),
    ),
    Field(
        "name",
        Merge.CHOICE,
        {"type": "string"},
        parse.one(_login),
        "the job's name for its user id: USER and LOGNAME.",
        default=DEFAULT_NAME,
    ),
    Field(
        "map",
        Merge.WIDEST,
        {"type": "string", "allowed": ["single", "range"]},
        parse.one(parse.name_in(("single", "range"), "map")),
        "`single`: one user id and one group id exist inside. `range`: the ids from 0 to 65535 do, backed by the caller's "
        "/etc/subuid and /etc/subgid, for programs that must change ids (package managers, su).",
        default="single",
        scale=("single", "range"),
    ),
    Field(
        "groups",
        Merge.GRANT,
        {"type": "list", "schema": {"type": "integer"}},
        parse.each(parse.integer(most=RANGE - 1)),
        "supplementary group ids inside; only with `map: range`.",
        default="[]",
    ),
    Field(
        "outside",
        Merge.CHOICE,
        {"type": ["integer", "string"]},
        parse.one(_outside),
        "the host's user and group id that the job really has when root starts the box: `nobody` or a number, never 0. "
        "A process of the host with that id owns the box. "
        "An ordinary user's job always has that user's ids.",
        default="an id that nobody else has",
    ),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """user, group: ids inside. outside: the host id where a privileged caller starts the box; None: one that nobody else has."""

    user: int = DEFAULT_ID
    group: int = DEFAULT_ID
    name: str = DEFAULT_NAME
    is_range: bool = False
    groups: tuple[int, ...] = ()
    outside: int | None = None
    places: Mapping[str, Place] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """The job's ids inside, and the host's ids that they stand for."""

    inside_uid: int
    inside_gid: int
    outside_uid: int
    outside_gid: int


def understand(section: Section, scope: Scope) -> Settings:
    """The typed settings. Raises: ProfileError for groups or large ids that the map cannot hold."""
    places = places_of(section)
    mine = Settings(
        user=number(section, "user", DEFAULT_ID),
        group=number(section, "group", DEFAULT_ID),
        name=choice(section, "name", DEFAULT_NAME),
        is_range=choice(section, "map", "single") == "range",
        groups=numbers(section, "groups"),
        outside=number(section, "outside", NOBODY) if "outside" in section.said else None,
        places=places,
    )
    problems = []
    if mine.groups and not mine.is_range:
        why = "with `map: single` one group id exists inside"
        problems.append(
            Problem("supplementary groups need a range of ids", where=places["groups"], why=why, attempt="map: range")
        )
    for name, value in (("user", mine.user), ("group", mine.group)):
        if mine.is_range and value >= RANGE:
            problems.append(
                Problem(f"{value} is outside of the range", where=places[name], why=f"`map: range` maps 0 to {RANGE - 1}")
            )
    if problems:
        raise ProfileError(problems)
    return mine


def identity(settings: Settings, host: Host) -> Identity:
    """Who the job is on this host, inside and outside."""
    if host.is_privileged:
        outside = host.box_id if settings.outside is None else settings.outside
        return Identity(settings.user, settings.group, outside, outside)
    return Identity(settings.user, settings.group, host.uid, host.gid)
