"""Who the job is: its ids inside, the host ids they stand for, its groups; and how it gets them.

A privileged caller gives up its ids first and enters a user namespace after everything was mounted; an ordinary user is in one
from the start. The late `Unshare` is here, because ids are given up before it and mapped behind it; which namespaces it makes
is read from the traits that `namespaces` states.
"""

from __future__ import annotations

from sandboxer.abi.capabilities import CAPABILITIES, Securebits
from sandboxer.abi.namespaces import CloneFlag
from sandboxer.controls.ids.ranges import range_advice, range_map, range_problem
from sandboxer.controls.ids.settings import FIELDS, RANGE, Identity, Settings, identity, understand
from sandboxer.controls.room import Lack, Lowered, Scene
from sandboxer.controls.said import comma, own
from sandboxer.model.host import Host
from sandboxer.model.op import (
    U32,
    U64,
    AwaitInside,
    AwaitOutside,
    Op,
    OwnPipes,
    RunMapHelper,
    SetDumpable,
    SetIds,
    SetSecurebits,
    Text,
    TextList,
    U32List,
    Unshare,
    WriteChildMaps,
    WriteOwnMaps,
)
from sandboxer.model.place import Place
from sandboxer.model.plan import Step
from sandboxer.model.policy import Policy, Trait
from sandboxer.model.report import Line, Status
from sandboxer.model.stage import Stage

NAME = "ids"
TITLE = "who the job is, inside and outside"
STACKED = False

__all__ = [
    "FIELDS", "NAME", "STACKED", "TITLE", "Identity", "Settings", "explain", "identity", "in_place", "lower", "mentions", "need",
    "settings", "traits", "understand", "widens",
]  # fmt: skip

_LATE = {
    Trait.NEW_IPC_NAMESPACE: ("ipc", CloneFlag.NEWIPC),
    Trait.NEW_UTS_NAMESPACE: ("uts", CloneFlag.NEWUTS),
    Trait.NEW_CGROUP_NAMESPACE: ("cgroup", CloneFlag.NEWCGROUP),
    Trait.NEW_NET_NAMESPACE: ("net", CloneFlag.NEWNET),
    Trait.SHIFTS_CLOCKS: ("time", CloneFlag.NEWTIME),
}


def settings(policy: Policy) -> Settings:
    """This room's settings of a policy."""
    return own(Settings, policy.settings[NAME])


def traits(settings: object) -> frozenset[Trait]:
    """Whether more than one id is mapped."""
    return frozenset({Trait.MAPS_RANGE} if own(Settings, settings).is_range else set())


def mentions(settings: object) -> frozenset[str]:
    """No paths."""
    return frozenset()


def need(settings: object, host: Host) -> tuple[Lack, ...]:
    """A range that nobody gave to this user, and a caller that is root but may not become another."""
    mine = own(Settings, settings)
    lacks = []
    if mine.is_range and (why := range_problem(mine, host)):
        lacks.append(
            Lack(
                what="a range of ids",
                why=why,
                attempt=range_advice(host),
                lost=f"one user id and one group id exist inside ({mine.user} and {mine.group}), and no supplementary groups",
                place=mine.places.get("map"),
            )
        )
    if host.uid == 0 and not host.is_privileged:
        lacks.append(
            Lack(
                what="host ids that are not root's",
                why="the caller is uid 0 without the capabilities to become another (CAP_SETUID, CAP_SETGID, CAP_SYS_ADMIN)",
                attempt="an ordinary user, or root with these capabilities",
                lost="the job has the host ids of root, without its capabilities",
                place=mine.places.get("outside"),
            )
        )
    return tuple(lacks)


def _as_map(rows: tuple[tuple[int, int, int], ...]) -> Text:
    return Text("\n".join(" ".join(map(str, row)) for row in rows))


def _as_arguments(rows: tuple[tuple[int, int, int], ...]) -> TextList:
    return TextList(tuple(str(number) for row in rows for number in row))


def lower(settings: object, scene: Scene) -> Lowered:
    """Map the ids, and become the job's own."""
    mine = own(Settings, settings)
    host = scene.host
    is_range = mine.is_range and not range_problem(mine, host)
    who = identity(mine, host)
    if host.is_privileged:
        if not host.has_user_namespaces:
            return Lowered(_without_namespace(mine, scene), (_bare_line(who.outside_uid),))
        steps = _late_range(mine, scene) if is_range else _late_single(mine, scene)
    elif Trait.NEW_USER_NAMESPACE not in scene.traits:
        return Lowered(lines=(Line(NAME, Status.ENFORCED, "the ids are those that the joined user namespace gives the caller"),))
    elif not host.has_user_namespaces:
        return Lowered(lines=(_bare_line(host.uid),))
    else:
        steps = _early_range(mine, scene) if is_range else _early_single(mine, scene)
    return Lowered(steps, _lines(mine, scene, is_range))


def _step(op: Op, stage: Stage, place: Place | None = None) -> Step:
    return Step(op, stage, NAME, place)


def _become(uid: int, gid: int, groups: tuple[int, ...] = ()) -> SetIds:
    return SetIds(U32(uid), U32(gid), U32List(groups), U32(1))


def _late_flags(scene: Scene) -> CloneFlag:
    flags = CloneFlag(0)
    for trait, (kind, flag) in _LATE.items():
        is_shared = kind == "net" and Trait.HOST_NETWORK in scene.traits
        if trait in scene.traits and kind in scene.host.namespaces and not is_shared:
            flags |= flag
    return flags


def _own_maps(mine: Settings, who: Identity) -> WriteOwnMaps:
    uid_map, gid_map = ((mine.user, who.outside_uid, 1),), ((mine.group, who.outside_gid, 1),)
    return WriteOwnMaps(_as_map(uid_map), _as_map(gid_map), Text("deny"))


def _own_pipes(who: Identity) -> Step:
    """Ahead of giving up the caller's ids: a pipe of root's could be written, but not opened again as /dev/stdout."""
    return _step(OwnPipes(U32(who.outside_uid), U32(who.outside_gid)), Stage.IDENTITY_LATE)


def _late_single(mine: Settings, scene: Scene) -> tuple[Step, ...]:
    who = identity(mine, scene.host)
    late = Stage.IDENTITY_LATE
    return (
        _own_pipes(who),
        _step(_become(who.outside_uid, who.outside_gid), late, mine.places.get("outside")),
        # setresuid made /proc/self root's, and the maps are written there.
        _step(SetDumpable(U32(1)), late),
        _step(Unshare(U64(_late_flags(scene) | CloneFlag.NEWUSER)), late),
        _step(_own_maps(mine, who), late, mine.places.get("user")),
    )


def _late_range(mine: Settings, scene: Scene) -> tuple[Step, ...]:
    host, late, place = scene.host, Stage.IDENTITY_LATE, mine.places.get("map")
    who = identity(mine, host)
    uid_map = _as_map(range_map(mine.user, who.outside_uid, host.subuids))
    gid_map = _as_map(range_map(mine.group, who.outside_gid, host.subgids))
    return (
        _step(AwaitInside(), Stage.MEET, place),
        _step(WriteChildMaps(uid_map, gid_map, Text("allow")), Stage.MEET, place),
        _own_pipes(who),
        _step(Unshare(U64(_late_flags(scene) | CloneFlag.NEWUSER)), late),
        _step(AwaitOutside(), late, place),
        _step(_become(mine.user, mine.group, mine.groups), late, mine.places.get("user")),
    )


def _early_single(mine: Settings, scene: Scene) -> tuple[Step, ...]:
    return (_step(_own_maps(mine, identity(mine, scene.host)), Stage.IDENTITY_EARLY, mine.places.get("user")),)


def _early_range(mine: Settings, scene: Scene) -> tuple[Step, ...]:
    host, early, place = scene.host, Stage.IDENTITY_EARLY, mine.places.get("map")
    uid_map = _as_arguments(range_map(mine.user, host.uid, host.subuids))
    gid_map = _as_arguments(range_map(mine.group, host.gid, host.subgids))
    return (
        _step(AwaitInside(), Stage.MEET, place),
        _step(RunMapHelper(Text(host.newuidmap), uid_map), Stage.MEET, place),
        _step(RunMapHelper(Text(host.newgidmap), gid_map), Stage.MEET, place),
        _step(AwaitOutside(), early, place),
        _step(_become(mine.user, mine.group, mine.groups), early, mine.places.get("user")),
    )


def _without_namespace(mine: Settings, scene: Scene) -> tuple[Step, ...]:
    """Root on a host without user namespaces: the job gets host ids, and keeps its rights until `capabilities` drops them."""
    late = Stage.IDENTITY_LATE
    who = identity(mine, scene.host)
    return (
        _own_pipes(who),
        _step(Unshare(U64(_late_flags(scene))), late),
        _step(SetSecurebits(U32(Securebits.NO_SETUID_FIXUP)), late),
        _step(_become(who.outside_uid, who.outside_gid), late, mine.places.get("outside")),
    )


def _become_keeping(uid: int, gid: int, host: Host, place: Place | None) -> tuple[Step, ...]:
    """Other ids, and the capabilities of before, where a bit can keep them: `capabilities` drops the bounding set with them."""
    late = Stage.IDENTITY_LATE
    become = _step(_become(uid, gid), late, place)
    if not host.capabilities >> CAPABILITIES["setpcap"] & 1:
        return (become,)
    return _step(SetSecurebits(U32(Securebits.NO_SETUID_FIXUP)), late), become


def _bare_line(uid: int) -> Line:
    lost = "uids inside are the host's uids"
    why = "this host has no user namespace for the box"
    return Line(NAME, Status.WEAKENED, f"the job is host uid {uid}", lost=lost, why=why, attempt="sandboxer check")


def _lines(mine: Settings, scene: Scene, is_range: bool) -> tuple[Line, ...]:
    host = scene.host
    who = identity(mine, host)
    what = f"uid {who.inside_uid} and gid {who.inside_gid} inside are the host's {who.outside_uid} and {who.outside_gid}"
    if is_range:
        what += f"; the ids around them, up to {RANGE - 1}, are spare ids of {host.user}"
    lines = [Line(NAME, Status.ENFORCED, what, place=mine.places.get("user"))]
    kept = tuple(group for group in host.groups if group != host.gid)
    if host.is_privileged or is_range:
        lines.append(Line(NAME, Status.ENFORCED, f"supplementary groups: {comma(mine.groups if is_range else ())}"))
    elif kept:
        lines.append(
            Line(
                NAME,
                Status.WEAKENED,
                f"the caller's supplementary groups stay: {comma(kept)}",
                lost="files that these groups may use stay usable where `filesystem` shows them",
                why="the kernel forbids setgroups(2) in a user namespace that its user mapped by itself",
                attempt="ids: {map: range}, or a start by root",
            )
        )
    if "outside" in mine.places and not host.is_privileged:
        what = "`outside` is for boxes that root starts; this job has the caller's ids"
        lines.append(Line(NAME, Status.UNUSED, what, place=mine.places["outside"]))
    return tuple(lines)


def in_place(settings: object, scene: Scene) -> Lowered:
    """An ordinary user's ids stay: they are what a box has outside. Root's child becomes nobody's; root itself stays root."""
    host, place = scene.host, own(Settings, settings).places.get("outside")
    if scene.has_monitor and host.can_become_other:
        uid, gid = scene.outside_uid, scene.outside_gid
        what = f"the ids are the host's {uid} and {gid}, without supplementary groups"
        steps = (_step(OwnPipes(U32(uid), U32(gid)), Stage.IDENTITY_LATE), *_become_keeping(uid, gid, host, place))
        return Lowered(steps, (Line(NAME, Status.ENFORCED, what, place=place),))
    attempt = "become another user first"
    lacks = []
    if host.uid == 0:
        why = "the process keeps its ids; it holds no capabilities, but files know their owner"
        lost = "it is root to the files that are granted, and to every file's attributes"
        lacks.append(Lack("the process is still root", why, attempt, lost, place))
    kept = tuple(group for group in host.groups if group != host.gid)
    if kept:
        why = "setgroups(2) needs CAP_SETGID, and nothing of the ids changes"
        lost = "files that these groups may use stay usable where `filesystem` grants them"
        lacks.append(Lack(f"the caller's supplementary groups stay: {comma(kept)}", why, attempt, lost))
    return Lowered(
        lines=(Line(NAME, Status.UNUSED, f"the ids are the caller's own: {host.uid} and {host.gid}"),), lacks=tuple(lacks)
    )


def explain(settings: object) -> tuple[str, ...]:
    """Who the job is, in sentences."""
    mine = own(Settings, settings)
    who = "an id that nobody else has" if mine.outside is None else f"host id {mine.outside}"
    sentences = [
        f"The job is {mine.name}, uid {mine.user} and gid {mine.group}, inside.",
        f"Outside it is the user who starts it, or {who} where root does.",
    ]
    if mine.is_range:
        sentences.append(f"Inside it can use all ids up to {RANGE - 1}; they stand for spare ids of the caller.")
    if mine.groups:
        sentences.append(f"It is in the groups {comma(mine.groups)} too.")
    return tuple(sentences)


def widens(old: object, new: object) -> tuple[str, ...]:
    """More ids inside, more groups, another host id than one of its own."""
    before, after = own(Settings, old), own(Settings, new)
    found = ["ids.map: range instead of single"] if after.is_range and not before.is_range else []
    found += [f"ids.groups: {group}" for group in sorted(set(after.groups) - set(before.groups))]
    if after.outside not in (before.outside, None):
        found.append(f"ids.outside: {after.outside} instead of {before.outside or 'an id of its own'}")
    return tuple(found)
