"""Which namespaces are the box's own, which it shares with the host, and which existing ones it joins by path.

The room starts the child and joins and shifts; the user namespace that a privileged caller's child enters late is the work of
`ids`. `new` is the strict value of every kind and stands where nothing is said. What goes on inside a namespace (mounts,
interfaces, names) is for other rooms.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from sandboxer.abi.landlock import BY_NAME
from sandboxer.abi.namespaces import NAMESPACES, TIME_CLOCKS, CloneFlag
from sandboxer.controls import parse
from sandboxer.controls.nesting import bar_namespaces
from sandboxer.controls.room import Lack, Lowered, Scene, Scope
from sandboxer.controls.said import own, places_of
from sandboxer.controls.starting import can_have_clock, lose_clock, start
from sandboxer.errors import Problem, ProfileError
from sandboxer.model.host import Host
from sandboxer.model.node import Node
from sandboxer.model.op import U64, JoinNamespace, MakePrivate, Op, SetTimeOffsets, Text, Unshare
from sandboxer.model.place import Place
from sandboxer.model.plan import Step
from sandboxer.model.policy import Policy, Trait
from sandboxer.model.report import Line, Status
from sandboxer.model.section import Field, Merge, Said, Section
from sandboxer.model.stage import Stage
from sandboxer.units import show_duration_ms

NAME = "namespaces"
TITLE = "what of the kernel is the box's own"
STACKED = False

NEW = "new"
HOST = "host"
SHAREABLE = frozenset({"pid", "ipc", "uts", "cgroup", "time"})
MAX_OFFSET_MS = 100 * 365 * 86_400_000

_TRAITS = {
    "mount": Trait.NEW_MOUNT_NAMESPACE,
    "pid": Trait.NEW_PID_NAMESPACE,
    "net": Trait.NEW_NET_NAMESPACE,
    "ipc": Trait.NEW_IPC_NAMESPACE,
    "uts": Trait.NEW_UTS_NAMESPACE,
    "user": Trait.NEW_USER_NAMESPACE,
    "cgroup": Trait.NEW_CGROUP_NAMESPACE,
    "time": Trait.NEW_TIME_NAMESPACE,
}
_WHAT = {
    "mount": "the mounts: the box has a root of its own, and nothing of the host but what `filesystem` shows",
    "pid": "the processes: the job sees and signals none but the box's own",
    "net": "the network: interfaces, addresses, ports and abstract sockets (the host's: `network.mode: host`)",
    "ipc": "System V IPC and POSIX message queues",
    "uts": "the host name",
    "user": "users and capabilities: what the job holds counts inside the box only",
    "cgroup": "the names of control groups in /proc/self/cgroup",
    "time": "the offsets of the monotonic and the boot clock",
}
# Joined in this order: the user namespace gives the rights to join the others, and paths mean something else after the mounts.
_JOIN_INSIDE = ("cgroup", "ipc", "uts", "net", "time", "mount")


def _read_kind(kind: str) -> parse.Read[str]:
    def read(node: Node) -> str:
        value = parse.filled_text(node)
        if value == NEW or (value == HOST and kind in SHAREABLE):
            return value
        if value == HOST and kind == "net":
            parse.fail(node, "the host's network is shared by `network.mode: host`, not here", attempt="network: {mode: host}")
        if value == HOST:
            parse.fail(node, f"the {kind} namespace cannot be the host's", why="every other control of the box stands on it")
        if value.startswith(("/", "~/")):
            return parse.absolute_path(node)
        known = f"new{', host' if kind in SHAREABLE else ''} or the absolute path of a namespace file"
        parse.fail(node, f"unknown namespace {value!r}", attempt=known)

    return read


def _narrower(one: Hashable, other: Hashable) -> Hashable:
    return one if one == other else NEW


def _row(kind: str) -> Field:
    choices = "`new` or `host`" if kind in SHAREABLE else "`new`"
    return Field(
        name=kind,
        merge=Merge.GRANT,
        shape={"type": "string"},
        parse=parse.one(_read_kind(kind)),
        help=f"{_WHAT[kind]}. {choices}, or the path of an existing namespace to join, e.g. /run/netns/NAME.",
        default=NEW,
        meet=_narrower,
    )


FIELDS: tuple[Field, ...] = (
    *(_row(kind) for kind in NAMESPACES),
    Field(
        name="time_offsets",
        merge=Merge.CHOICE,
        shape={
            "type": "dict",
            "keysrules": {"type": "string", "allowed": list(TIME_CLOCKS)},
            "valuesrules": {"type": ["string", "integer"]},
        },
        parse=lambda node: (_read_offsets(node),),
        help="how far the clocks of the box run ahead of the host's: {monotonic: 10s, boottime: 1h}. Needs `process.init`.",
        default="none",
    ),
)


def _read_offsets(node: Node) -> Said:
    said = parse.entries(parse.name_in(TIME_CLOCKS, "clock"), parse.duration_ms(most_ms=MAX_OFFSET_MS))(node)
    return Said(tuple(sorted(item.value for item in said if isinstance(item.value, tuple))), node.place)


@dataclass(frozen=True, slots=True)
class Settings:
    """kinds: for each namespace `new`, `host` or a path. offsets_ms: pairs of clock and milliseconds, sorted."""

    kinds: Mapping[str, str]
    offsets_ms: tuple[tuple[str, int], ...] = ()
    places: Mapping[str, Place] = field(default_factory=dict, compare=False)

    @property
    def new(self) -> tuple[str, ...]:
        """The kinds that are to be the box's own."""
        return tuple(kind for kind, value in self.kinds.items() if value == NEW)

    @property
    def joined(self) -> tuple[tuple[str, str], ...]:
        """The kinds that are joined, and where."""
        return tuple((kind, value) for kind, value in self.kinds.items() if value not in (NEW, HOST))


def understand(section: Section, scope: Scope) -> Settings:
    """The typed settings. Raises: ProfileError where two files want two different wide values of one kind."""
    kinds: dict[str, str] = {}
    for kind in NAMESPACES:
        wide = [item for item in section.said.get(kind, ()) if item.value != NEW]
        if len(wide) > 1:
            others = ", ".join(f"{item.value} at {item.place.show()}" for item in wide[1:])
            why = f"it is {wide[0].value} here and {others}; a box is in one {kind} namespace"
            raise ProfileError(Problem(f"two different values for namespaces.{kind}", where=wide[0].place, why=why))
        kinds[kind] = parse.at_home(str(wide[0].value), scope.home) if wide else NEW
    said = section.one("time_offsets")
    offsets = said.value if said is not None and isinstance(said.value, tuple) else ()
    if offsets and kinds["time"] != NEW:
        where = said.place if said else None
        why = "only a time namespace that nobody entered yet takes offsets"
        raise ProfileError(Problem(f"time_offsets with time: {kinds['time']}", where=where, why=why, attempt="time: new"))
    return Settings(kinds, offsets, places_of(section))


def settings(policy: Policy) -> Settings:
    """This room's settings of a policy."""
    return own(Settings, policy.settings[NAME])


def traits(settings: object) -> frozenset[Trait]:
    """One for each namespace of the box's own, whether its mounts are another's, and whether the clocks are shifted."""
    mine = own(Settings, settings)
    shifts = {Trait.SHIFTS_CLOCKS} if mine.offsets_ms else set[Trait]()
    mounts = {Trait.JOINED_MOUNT_NAMESPACE} if "mount" in dict(mine.joined) else set[Trait]()
    return frozenset({_TRAITS[kind] for kind in mine.new} | mounts | shifts)


def mentions(settings: object) -> frozenset[str]:
    """The namespaces to join."""
    return frozenset(path for _, path in own(Settings, settings).joined)


def available(host: Host) -> frozenset[str]:
    """The kinds that this host and this user can make. An ordinary user makes all of them out of a user namespace."""
    kinds = host.namespaces - ({"user"} if host.user_namespace_problem else set())
    return kinds if host.can_make_namespaces else frozenset()


def need(settings: object, host: Host) -> tuple[Lack, ...]:
    """The kinds that cannot be made, and the joins that need more rights."""
    mine = own(Settings, settings)
    can = available(host)
    lacks = [_user_lack(mine, host)] if "user" in mine.new and "user" not in can else []
    if host.is_privileged or not lacks:
        lacks += [
            Lack(
                what=f"a new {kind} namespace",
                why=f"the kernel {host.kernel[0]}.{host.kernel[1]} has no {kind} namespaces",
                attempt=f"a kernel with {'CONFIG_TIME_NS (5.6 or newer)' if kind == 'time' else f'CONFIG_{kind.upper()}_NS'}",
                lost=f"the box shares with the host {_WHAT[kind].split(':')[0].split(' (')[0]}",
                place=mine.places.get("time_offsets" if kind == "time" and mine.offsets_ms else kind),
            )
            for kind in mine.new
            if kind not in can and kind != "user"
        ]
    lacks += [_join_lack(mine, kind, path, host) for kind, path in mine.joined if _join_problem(mine, kind, host)]
    return tuple(lacks)


_WITHOUT = "; or, to do with less than a box, `policies: [box/anywhere]` in the profile"


def _user_lack(mine: Settings, host: Host) -> Lack:
    lost = (
        "the job has the host's ids and no wall around its capabilities" if host.is_privileged else "every namespace of the box"
    )
    return Lack(
        what="a new user namespace",
        why=host.user_namespace_problem or "the kernel has no user namespaces (CONFIG_USER_NS)",
        attempt=f"{host.user_namespace_mend or 'sandboxer check'}{'' if host.is_privileged else _WITHOUT}",
        lost=lost,
        place=mine.places.get("user"),
    )


def _join_problem(mine: Settings, kind: str, host: Host) -> str:
    if kind == "user":
        return "a privileged caller builds the box outside of every user namespace but the host's" if host.is_privileged else ""
    if not host.is_privileged and mine.kinds["user"] == NEW:
        return "an ordinary user has no rights over a namespace made by others; those come with the user namespace that owns it"
    return ""


def _join_lack(mine: Settings, kind: str, path: str, host: Host) -> Lack:
    return Lack(
        what=f"joining the {kind} namespace {path}",
        why=_join_problem(mine, kind, host),
        attempt="an ordinary user" if kind == "user" else "root, or join its owner too: namespaces: {user: PATH}",
        lost=f"the box gets a new {kind} namespace instead",
        place=mine.places.get(kind),
    )


def made(settings: Settings, scene: Scene) -> frozenset[str]:
    """The kinds that this box really makes on this host: wanted or in place of a join that cannot be, and available."""
    wanted = {
        kind
        for kind, value in settings.kinds.items()
        if value == NEW or (value != HOST and _join_problem(settings, kind, scene.host))
    }
    if Trait.HOST_NETWORK in scene.traits:
        wanted.discard("net")
    if not can_have_clock(scene):
        wanted.discard("time")
    return frozenset(wanted) & available(scene.host)


def lower(settings: object, scene: Scene) -> Lowered:
    """Start with what must be there from the first moment; join; shift the clocks; cut the mounts off."""
    mine = own(Settings, settings)
    kinds = made(mine, scene)
    privileged = scene.host.is_privileged
    shifts = bool(mine.offsets_ms) and "time" in kinds
    early = kinds & {"mount", "pid", "time"} if privileged else kinds
    # Only clone3 starts a child with a new clock; else the command gets it with the fork of pid 1.
    late_time = "time" in kinds and (shifts or scene.host.hides_clone3)
    if late_time:
        early -= {"time"}
    # Its root is the group that its maker is in, and at the clone that is the launcher's: the box enters its own with the clone.
    late_cgroup = "cgroup" in kinds and bool(scene.host.hierarchies) and ("cgroup" in early or Trait.SHOWS_GROUPS in scene.traits)
    if late_cgroup:
        early -= {"cgroup"}
    joins = {kind: path for kind, path in mine.joined if kind not in kinds}
    steps = [
        _step(JoinNamespace(U64(NAMESPACES[kind]), Text(joins[kind])), Stage.PREPARE, mine, kind)
        for kind in ("user", "pid")
        if kind in joins
    ]
    steps.append(Step(start(_flags(early), scene.host), Stage.START, NAME))
    for kind in _JOIN_INSIDE:
        if kind in joins:
            steps.append(_step(JoinNamespace(U64(NAMESPACES[kind]), Text(joins[kind])), Stage.JOIN, mine, kind))
    if late_cgroup:
        steps.append(_step(Unshare(U64(CloneFlag.NEWCGROUP)), Stage.JOIN, mine, "cgroup"))
    if "mount" in joins:
        # A copy of its own: what its owner mounts later must not reach into a box that runs.
        steps.append(_step(Unshare(U64(CloneFlag.NEWNS)), Stage.JOIN, mine, "mount"))
    if late_time and not (privileged and shifts):
        steps.append(_step(Unshare(U64(CloneFlag.NEWTIME)), Stage.JOIN, mine, "time_offsets"))
    if shifts:
        steps.append(_step(SetTimeOffsets(Text(_offsets_text(mine))), Stage.HOST, mine, "time_offsets"))
    if "mount" in kinds or "mount" in joins:
        steps.append(_step(MakePrivate(), Stage.PRIVATE, mine, "mount"))
    wants_clock = mine.kinds["time"] == NEW and "time" in available(scene.host)
    lost = lose_clock(NAME, scene, mine.places.get("time")) if wants_clock and "time" not in kinds else ()
    barred = bar_namespaces(NAME, scene, available(scene.host), mine.places.get("user")) if "user" in kinds else Lowered()
    return Lowered(steps=(*steps, *barred.steps), lines=(*_lines(mine, kinds, joins, shifts), *barred.lines, *lost))


def _step(op: Op, stage: Stage, mine: Settings, name: str) -> Step:
    return Step(op, stage, NAME, mine.places.get(name))


def _flags(kinds: frozenset[str]) -> int:
    return sum(NAMESPACES[kind] for kind in kinds)


def _offsets_text(mine: Settings) -> str:
    """One line for each clock: its name, seconds, nanoseconds. Source: time_namespaces(7)."""
    return "".join(f"{clock} {ms // 1000} {ms % 1000 * 1_000_000}\n" for clock, ms in mine.offsets_ms)


def _lines(mine: Settings, kinds: frozenset[str], joins: Mapping[str, str], shifts: bool) -> tuple[Line, ...]:
    lines = (
        [Line(NAME, Status.ENFORCED, f"new namespaces: {', '.join(kind for kind in NAMESPACES if kind in kinds)}")]
        if kinds
        else []
    )
    for kind in NAMESPACES:
        if mine.kinds[kind] == HOST:
            lines.append(
                Line(
                    NAME, Status.ENFORCED, f"the {kind} namespace is the host's, as the profile says", place=mine.places.get(kind)
                )
            )
        elif kind in joins:
            lines.append(Line(NAME, Status.ENFORCED, f"the {kind} namespace is {joins[kind]}", place=mine.places.get(kind)))
    if shifts:
        lines.append(
            Line(
                NAME, Status.ENFORCED, f"clocks ahead of the host: {_offsets_words(mine)}", place=mine.places.get("time_offsets")
            )
        )
    return tuple(lines)


def _offsets_words(mine: Settings) -> str:
    return ", ".join(f"{clock} by {show_duration_ms(ms)}" for clock, ms in mine.offsets_ms)


_SHARED = {
    "pid": "processes of the caller's outside can be found by number, and their priorities and limits changed; and what is left "
    "behind when the process ends runs on",
    "ipc": "System V IPC and POSIX message queues of the host can be used",
    "uts": "the host's name is seen",
}
"""What is lost in place of each kind, beyond what other rooms say: `network` of net, `filesystem` of mount, `ids` of user."""


def in_place(settings: object, scene: Scene) -> Lowered:
    """No namespace is made. What stands in: Landlock for signals and debuggers, and /proc is not granted; the rest is lost."""
    mine = own(Settings, settings)
    why, attempt = "without a box the process stays in the caller's namespaces", ""
    lost = {kind: _SHARED[kind] for kind in mine.new if kind in _SHARED}
    if "pid" in lost and scene.has_monitor:
        lost["pid"] = lost["pid"].split(";")[0]
    if "pid" in lost and scene.host.landlock_abi < BY_NAME["signal"].abi:
        lost["pid"] = f"processes of the caller's can be signalled; {lost['pid']}"
    lacks = [Lack(f"a new {kind} namespace", why, attempt, words, mine.places.get(kind)) for kind, words in lost.items()]
    lacks += [
        Lack(f"joining the {kind} namespace {path}", why, attempt, "the caller's own stays", mine.places.get(kind))
        for kind, path in mine.joined
    ]
    if mine.offsets_ms:
        place = mine.places.get("time_offsets")
        lacks.append(Lack("shifted clocks", why, attempt, "the clocks are the host's", place))
    return Lowered((Step(start(0, scene.host), Stage.START, NAME),) if scene.has_monitor else (), lacks=tuple(lacks))


def explain(settings: object) -> tuple[str, ...]:
    """One sentence for what is new, one for each kind that is not."""
    mine = own(Settings, settings)
    sentences = [f"The box has its own {', '.join(mine.new)} namespaces."] if mine.new else []
    sentences += [f"It shares the host's {kind} namespace." for kind, value in mine.kinds.items() if value == HOST]
    sentences += [f"It joins the {kind} namespace {path}." for kind, path in mine.joined]
    if mine.offsets_ms:
        sentences.append(f"Its clocks are ahead of the host's: {_offsets_words(mine)}.")
    return tuple(sentences)


def widens(old: object, new: object) -> tuple[str, ...]:
    """The kinds that are no longer the box's own, or another's than before."""
    before, after = own(Settings, old), own(Settings, new)
    return tuple(
        f"namespaces.{kind}: {value} instead of {before.kinds[kind]}"
        for kind, value in after.kinds.items()
        if value not in (NEW, before.kinds[kind])
    )
