"""What tests of rooms share: a section out of YAML text, pretended hosts, and lowered ops as readable text."""

from __future__ import annotations

import textwrap
from dataclasses import replace

from sandboxer.controls.room import Lowered, Room, Scene, Scope
from sandboxer.errors import Problem, ProfileError
from sandboxer.model.host import Host, IdRange
from sandboxer.model.node import Mapping, parse_node
from sandboxer.model.policy import Trait
from sandboxer.model.report import Status
from sandboxer.model.section import Section, inherited, joined, narrowed

ALL_CAPABILITIES = (1 << 41) - 1
ORDINARY = Host()
PRIVILEGED = Host(uid=0, gid=0, groups=(0,), user="root", home="/root", cwd="/root/project", capabilities=ALL_CAPABILITIES)
WITHOUT_USER_NAMESPACES = replace(ORDINARY, user_namespace_problem="AppArmor forbids them to ordinary users")
BARE_ROOT = replace(PRIVILEGED, namespaces=PRIVILEGED.namespaces - {"user"})
WITH_RANGES = replace(
    ORDINARY,
    subuids=(IdRange(100000, 65536),),
    subgids=(IdRange(200000, 65536),),
    newuidmap="/usr/bin/newuidmap",
    newgidmap="/usr/bin/newgidmap",
)
ALL_NEW = frozenset(
    {
        Trait.NEW_MOUNT_NAMESPACE,
        Trait.NEW_PID_NAMESPACE,
        Trait.NEW_NET_NAMESPACE,
        Trait.NEW_IPC_NAMESPACE,
        Trait.NEW_UTS_NAMESPACE,
        Trait.NEW_USER_NAMESPACE,
        Trait.NEW_CGROUP_NAMESPACE,
        Trait.NEW_TIME_NAMESPACE,
        Trait.HAS_INIT,
    }
)


def section(room: Room, text: str, file: str = "test.yaml") -> Section:
    """The section that YAML text says, through the parsers of the room's rows."""
    if not text.strip():
        return Section()
    node = parse_node(textwrap.dedent(text).encode(), file)
    assert isinstance(node, Mapping)
    rows = {row.name: row for row in room.FIELDS}
    said = {}
    problems: list[Problem] = []
    for key, value in node.entries:
        try:
            said[key.text] = rows[key.text].parse(value)
        except ProfileError as error:
            problems += error.problems
    if problems:
        raise ProfileError(problems)
    return Section(said)


def _combined(room: Room, one: Section, other: Section, rule: object) -> Section:
    assert callable(rule)
    said = {row.name: rule(row, one.said.get(row.name, ()), other.said.get(row.name, ())) for row in room.FIELDS}
    return Section({name: items for name, items in said.items() if items})


def both(room: Room, one: str, other: str) -> Section:
    """What two parents say together."""
    return _combined(room, section(room, one, "one.yaml"), section(room, other, "other.yaml"), joined)


def child(room: Room, own: str, parent: str) -> Section:
    """What a profile and its parent say."""
    return _combined(room, section(room, own, "own.yaml"), section(room, parent, "parent.yaml"), inherited)


def under(room: Room, base: str, layer: str) -> Section:
    """What is left of a section under a `restrict:` layer."""
    return _combined(room, section(room, base, "base.yaml"), section(room, layer, "layer.yaml"), narrowed)


def understood(room: Room, said: str | Section = "", home: str = "/home/user") -> object:
    """The settings of a room for YAML text or a section."""
    found = section(room, said) if isinstance(said, str) else said
    return room.understand(found, Scope(cwd="/home/user/project", home=home))


def lowered(room: Room, text: str, host: Host, traits: frozenset[Trait] = ALL_NEW) -> Lowered:
    """The room's part of the plan."""
    return room.lower(understood(room, text), Scene(host, traits))


def steps(result: Lowered) -> str:
    """The ops, sorted by stage, one line each."""
    ordered = sorted(result.steps, key=lambda step: step.stage)
    return "\n".join(f"{step.stage.name.lower()}: {step.op.say()}" for step in ordered)


def lines(result: Lowered) -> str:
    """The report, one line each; what is lost behind a dash."""
    shown = []
    for line in result.lines:
        mark = "" if line.status is Status.ENFORCED else f"{line.status.value}: "
        shown.append(f"{mark}{line.what}" + (f" - {line.lost}" if line.lost else ""))
    return "\n".join(shown)


def text(block: str) -> str:
    """An indented block of a test as it is meant."""
    return textwrap.dedent(block).strip()
