"""A second wall behind the mounts and namespaces: the same rights once more, inside the kernel's security module Landlock.

The room derives its rules from what other rooms show (`Scene.shown`), so that a mistake with a mount alone opens nothing. Rights
flow down a tree and cannot be taken back below: what is hidden or read-only inside of a granted tree stays the mounts' business.
"""

from __future__ import annotations

from dataclasses import replace

from sandboxer.abi.landlock import BY_NAME, KERNELS
from sandboxer.controls import parse
from sandboxer.controls.landlock import words
from sandboxer.controls.landlock.domain import is_heard, lower_walls
from sandboxer.controls.landlock.meaning import (
    ALL,
    DEFAULT_LEAST_ABI,
    GROUPS,
    NAME,
    USABLE_ABI,
    Settings,
    held_by_nothing_else,
    missing_rights,
)
from sandboxer.controls.landlock.meaning import understand as _understand
from sandboxer.controls.room import Lack, Lowered, Scene, Scope
from sandboxer.controls.said import own
from sandboxer.errors import HostError, Problem
from sandboxer.model.host import Host
from sandboxer.model.node import Node
from sandboxer.model.policy import Enforce, Policy, Trait
from sandboxer.model.report import Line, Status
from sandboxer.model.section import Field, Merge, Said, Section

__all__ = [
    "FIELDS", "NAME", "STACKED", "TITLE", "Settings", "explain", "in_place", "lower", "mentions", "need", "settings", "traits",
    "understand", "widens",
]  # fmt: skip

TITLE = "the second wall: the same rights once more, in Landlock"
STACKED = True
_ABIS = tuple(sorted((abi for abi in KERNELS if abi >= USABLE_ABI), reverse=True))
_KERNELS = ", ".join(f"{abi} (Linux {KERNELS[abi]})" for abi in _ABIS)


def _read_rights(node: Node) -> tuple[Said, ...]:
    """Names of rights; the name of a kind is all of its rights."""
    said = parse.each(parse.name_in((*GROUPS, *sorted(ALL)), "Landlock right"))(node)
    return tuple(Said(name, item.place) for item in said for name in sorted(GROUPS.get(str(item.value), {str(item.value)})))


def _ports(name: str, verb: str, more: str) -> Field:
    return Field(
        name,
        Merge.GRANT,
        {"type": "list", "schema": {"type": "integer"}},
        parse.each(parse.integer(most=65535)),
        f"where the job has a network: the TCP ports that it may {verb}, {more}; in a `restrict:` layer those that remain.",
        default="all ports of the network that the job has",
    )


FIELDS: tuple[Field, ...] = (
    Field(
        "unhandled",
        Merge.GRANT,
        {"type": "list", "schema": {"type": "string"}},
        _read_rights,
        f"rights that the wall leaves alone: {', '.join(sorted(ALL))}; or all of a kind: {', '.join(GROUPS)}. Whoever mounts "
        "inside needs `filesystem` here.",
        default="[]",
    ),
    _ports("bind_tcp", "bind", "0 for one that the kernel picks"),
    _ports("connect_tcp", "connect to", "at any address"),
    Field(
        "least_abi",
        Merge.STRICTEST,
        {"type": "integer", "allowed": list(_ABIS)},
        parse.one(parse.integer(least=_ABIS[-1], most=_ABIS[0])),
        f"the oldest Landlock ABI that the section takes for enforced: {_KERNELS}.",
        default=str(DEFAULT_LEAST_ABI),
        scale=_ABIS,
    ),
    Field(
        "log",
        Merge.STRICTEST,
        {"type": "boolean"},
        parse.one(parse.boolean),
        "write what the wall refuses to the kernel's audit log, where auditing is on (audit=1); without it nothing of the job is "
        "written there but under --explain. Needs ABI 7.",
        default="false",
        scale=(True, False),
    ),
)  # fmt: skip


def understand(section: Section, scope: Scope) -> Settings:
    """The typed settings, with the layers. Strict where nothing was said: every right is handled. Raises ProfileError."""
    return _understand(section, scope)


def settings(policy: Policy) -> Settings:
    """This room's settings of a policy."""
    return own(Settings, policy.settings[NAME])


def traits(settings: object) -> frozenset[Trait]:
    """None that others need."""
    return frozenset()


def mentions(settings: object) -> frozenset[str]:
    """No paths of its own."""
    return frozenset()


def need(settings: object, host: Host) -> tuple[Lack, ...]:
    """Landlock at all, and the ABI that the section asks for."""
    mine = own(Settings, settings)
    place = mine.places.get("least_abi")
    if mine.is_empty or host.landlock_abi >= max(mine.least_abi, USABLE_ABI):
        return ()
    if host.landlock_abi < USABLE_ABI:
        why, attempt = words.obstacle(host)
        lost = "files, ports and signals are held by the mounts and namespaces of the box alone"
        return (Lack("Landlock cannot be used here", why, attempt, lost, place),)
    lost = words.listed(name for name in BY_NAME if host.landlock_abi < BY_NAME[name].abi <= mine.least_abi)
    return (
        Lack(
            f"Landlock of ABI {mine.least_abi}",
            f"this kernel has ABI {host.landlock_abi}",
            f"Linux {KERNELS[mine.least_abi]} or newer, or landlock: {{least_abi: {host.landlock_abi}}}",
            f"not handled: {lost}",
            place,
        ),
    )


def lower(settings: object, scene: Scene) -> Lowered:
    """A domain for each wall, behind everything but the filter. Raises: HostError for a right that nothing else stands in for."""
    mine = own(Settings, settings)
    if mine.is_empty:
        line = Line(NAME, Status.ENFORCED, "no second wall, as the profile says", place=mine.places.get("unhandled"))
        return Lowered(lines=(line,))
    if scene.host.landlock_abi < USABLE_ABI:
        return Lowered()
    missing = missing_rights(mine.walls[0], scene.traits, scene.host.landlock_abi)
    lost = {name: held_by_nothing_else(name, scene.traits) for name in missing}
    problems = [
        Problem(
            f"Landlock cannot handle {name} here",
            where=mine.places.get("unhandled"),
            why=f"it came with {words.since(name)}; without it {loss}; the section `{NAME}` is required",
            attempt=f"landlock: {{unhandled: [{name}]}}, or enforce: best_effort",
        )
        for name, loss in lost.items()
        if loss
    ]
    if problems and scene.enforce is Enforce.REQUIRED:
        raise HostError(problems)
    lowered = lower_walls(mine, scene)
    more = (*words.missing_lines(mine, lost), *words.log_lines(mine, scene.host, is_heard=is_heard(scene)))
    return Lowered(lowered.steps, (*lowered.lines, *more))


def in_place(settings: object, scene: Scene) -> Lowered:
    """The walls, where nothing else holds files: the profile's own handles all that the kernel knows, whatever is `unhandled`.

    Ports as in a box, and none where the profile gives no network. What an older kernel does not handle of the rest, the rooms
    say whose it is: `filesystem`, `network`, `namespaces`. Raises: HostError under a monitor, where the kernel has no Landlock:
    nobody asked for a start without a box, and without this there would be no wall around files at all.
    """
    mine = own(Settings, settings)
    first = replace(mine.walls[0], unhandled=frozenset())
    lacks = need(settings, scene.host)
    if Trait.HOST_NETWORK in scene.traits:
        lacks += tuple(words.port_lacks(mine, scene.host))
    if scene.host.landlock_abi < USABLE_ABI:
        if scene.has_monitor:
            why, attempt = words.obstacle(scene.host)
            what = "without a box Landlock alone holds files, and it cannot be used here"
            raise HostError(Problem(what, why=why, attempt=attempt))
        return Lowered(lacks=lacks)
    traits = frozenset({Trait.NEW_NET_NAMESPACE}) | (scene.traits & {Trait.HOST_NETWORK})
    lowered = lower_walls(replace(mine, walls=(first, *mine.walls[1:])), replace(scene, traits=traits))
    return replace(lowered, lacks=lacks)


def explain(settings: object) -> tuple[str, ...]:
    """What the section means, in sentences."""
    return words.sentences(own(Settings, settings))


def widens(old: object, new: object) -> tuple[str, ...]:
    """What `new` allows that `old` does not, in sentences."""
    return words.widened(own(Settings, old), own(Settings, new))
