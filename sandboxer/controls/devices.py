"""What the box has of devices: a /dev made afresh out of few nodes, a terminal multiplexer and shared memory of its own.

An ordinary user cannot make device nodes, so the nodes are the host's, bound one by one. The directory itself lies in the box's
root and is sealed with it; a tmpfs of its own would only cost a mount more. Device nodes need no further mount flags than NOSUID
and NOEXEC: everywhere else the box has NODEV.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace

from sandboxer.abi.mount import MountAttr
from sandboxer.controls import parse
from sandboxer.controls.paths import covers, fact_of, follow, parts
from sandboxer.controls.room import Lack, Lowered, Scene, Scope, Shown, Use
from sandboxer.controls.said import comma, own
from sandboxer.errors import Problem, ProfileError
from sandboxer.model.host import Host, PathFact, PathKind
from sandboxer.model.node import Mapping, Node, Scalar
from sandboxer.model.op import (
    NO_SLOT,
    U32,
    U64,
    Attach,
    Blob,
    MakeDirectory,
    MakeFile,
    MakeSymlink,
    MountFilesystem,
    Op,
    OpenTree,
    Text,
    TextList,
)  # fmt: skip
from sandboxer.model.place import Place, built_in
from sandboxer.model.plan import Step
from sandboxer.model.policy import Policy, Trait
from sandboxer.model.report import Line, Status
from sandboxer.model.section import Field, Merge, Section
from sandboxer.model.stage import Stage
from sandboxer.units import show_bytes

NAME = "devices"
TITLE = "what the box has of devices"
STACKED = False

NODES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty")
LINKS = (
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/ptmx", "pts/ptmx"),
)
SCALE = ("none", "minimal")
DEFAULT_SHM_BYTES = 64 * 1024 * 1024
FIRST_SLOT = 192  # the slots below are for the section filesystem
_SLOTS = 64
_TERMINALS = 128  # kernel.pty.max counts those of the whole machine: no box may take them all
_NODE = MountAttr.NOSUID | MountAttr.NOEXEC
_OURS = built_in("devices.dev")


@dataclass(frozen=True, slots=True)
class Device:
    """One more device of the host, or a directory of them."""

    path: str
    optional: bool = False

    def __str__(self) -> str:
        return self.path + ("?" if self.optional else "")


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole section. `allow` holds each further device with the place where it was said."""

    dev: str = "none"
    dev_place: Place = _OURS
    shm_bytes: int = DEFAULT_SHM_BYTES
    allow: tuple[tuple[Device, Place], ...] = ()


def read_device(node: Node) -> Device:
    """`/dev/PATH`, `/dev/PATH?` or `{path, optional}`."""
    optional = False
    if isinstance(node, Mapping):
        found = parse.record(node, ("path",), ("optional",), "a device")
        optional = "optional" in found and parse.boolean(found["optional"])
        node = found["path"]
    value = parse.filled_text(node)
    if isinstance(node, Scalar) and node.written.endswith("?"):
        optional = True
        node = replace(node, text=value[:-1], value=value[:-1], template=node.template[:-1])
    path = parse.absolute_path(node)
    if not path.startswith("/dev/"):
        parse.fail(node, f"{path} is not below /dev", attempt="filesystem.read or filesystem.write, for files")
    return Device(path, optional)


def meet_devices(one: Hashable, other: Hashable) -> Hashable | None:
    """What two grants of devices have in common: the deeper one, if one covers the other."""
    if not isinstance(one, Device) or not isinstance(other, Device):
        return None
    inner, outer = (other, one) if covers(one.path, other.path) else (one, other)
    return Device(inner.path, one.optional or other.optional) if covers(outer.path, inner.path) else None


_ENTRY: dict[str, object] = {
    "type": "dict",
    "schema": {"path": {"type": "string", "required": True}, "optional": {"type": "boolean"}},
}

FIELDS: tuple[Field, ...] = (
    Field(
        "dev",
        Merge.WIDEST,
        {"type": "string", "allowed": list(SCALE)},
        parse.one(parse.name_in(SCALE, "kind of /dev")),
        "none, or minimal: null zero full random urandom tty, a pts and a shm of the box's own",
        default="none",
        scale=SCALE,
    ),
    Field(
        "shm_size",
        Merge.LEAST,
        {"type": ["string", "integer"]},
        parse.one(parse.size_bytes(least=4096)),
        "how much memory /dev/shm may take",
        default="64M",
    ),
    Field(
        "allow",
        Merge.GRANT,
        {"type": "list", "schema": {"anyof": [{"type": "string"}, _ENTRY]}},
        parse.each(read_device),
        "further devices of the host; a ? at the end marks one that may be missing",
        default="[]",
        meet=meet_devices,
    ),
)


def understand(section: Section, scope: Scope) -> Settings:
    """The typed settings. Strict where nothing was said: no device at all."""
    dev, shm = section.one("dev"), section.one("shm_size")
    allow = tuple((item.value, item.place) for item in section.said.get("allow", ()) if isinstance(item.value, Device))
    return Settings(
        dev=str(dev.value) if dev else "none",
        dev_place=dev.place if dev else _OURS,
        shm_bytes=shm.value if shm and isinstance(shm.value, int) else DEFAULT_SHM_BYTES,
        allow=allow,
    )


def settings(policy: Policy) -> Settings:
    """This room's settings in a policy."""
    return own(Settings, policy.settings[NAME])


def traits(settings: object) -> frozenset[Trait]:
    """Whether there is a /dev inside, with terminals."""
    return frozenset({Trait.FRESH_DEV}) if own(Settings, settings).dev == "minimal" else frozenset()


def mentions(settings: object) -> frozenset[str]:
    """The device nodes whose facts lowering will read."""
    said = own(Settings, settings)
    return frozenset(NODES if said.dev == "minimal" else ()) | {device.path for device, _ in said.allow}


def need(settings: object, host: Host) -> tuple[Lack, ...]:
    """Devices of the host that are not there, or that the job could not open."""
    said = own(Settings, settings)
    lacks = []
    for path in NODES if said.dev == "minimal" else ():
        if fact_of(host, path).kind is not PathKind.DEVICE:
            why = "the host has no such device node"
            lacks.append(
                Lack(f"{path} cannot be given to the box", why, "a host with a usual /dev", f"{path} is missing", said.dev_place)
            )
    for device, place in said.allow:
        fact = fact_of(host, follow(host, device.path, place).path)
        if host.is_privileged and fact.kind is PathKind.DEVICE and fact.mode & 0o006 != 0o006:
            why = f"its mode is {fact.mode & 0o777:o}, and the job is neither its owner nor in its group"
            attempt = f"chmod o+rw {device.path}, or run as an ordinary user who may open it"
            lacks.append(
                Lack(f"the job could not open {device.path}", why, attempt, f"{device.path} is there and cannot be opened", place)
            )
    return tuple(lacks)


class _Lowering:
    """The steps of /dev while they are written down."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.shown: list[Shown] = []
        self.sources = 0

    def add(self, op: Op, place: Place, stage: Stage = Stage.MOUNTS) -> None:
        """Add one op."""
        self.steps.append(Step(op, stage, NAME, place))

    def bind(self, source: str, target: str, place: Place, *, is_directory: bool = False) -> None:
        """Show a device of the host, or a directory of them."""
        if self.sources == _SLOTS:
            raise ProfileError(Problem(f"more than {_SLOTS} devices cannot be given", where=place, attempt="a directory of them"))
        slot = U32(FIRST_SLOT + self.sources)
        self.sources += 1
        self.add(OpenTree(slot, Text(source), U64(_NODE), U32(int(is_directory)), NO_SLOT), place, Stage.SOURCES)
        point = MakeDirectory(Text(target), U32(0o755)) if is_directory else MakeFile(Text(target), U32(0o444), Blob(b""))
        self.add(point, place)
        self.add(Attach(slot, Text(target)), place)
        use = Use.READ | Use.CHANGE | Use.CONTROL | (Use.LIST if is_directory else Use(0))
        self.shown.append(Shown(target, use, is_directory, place))

    def minimal(self, said: Settings, host: Host, scene: Scene) -> None:
        """Nodes, links, terminals and shared memory."""
        place = said.dev_place
        self.add(MakeDirectory(Text("/dev"), U32(0o755)), place)
        is_one_generator = host.kernel >= (5, 18)  # random and urandom are the same from there on. Source: drivers/char/random.c
        for path in NODES:
            if fact_of(host, path).kind is not PathKind.DEVICE:
                continue
            if path == "/dev/random" and is_one_generator:
                self.add(MakeSymlink(Text(path), Text("urandom")), place)
            else:
                self.bind(path, path, place)
        for path, target in LINKS:
            self.add(MakeSymlink(Text(path), Text(target)), place)
        self.add(MakeDirectory(Text("/dev/pts"), U32(0o755)), place)
        self.add(
            MountFilesystem(
                Text("devpts"),
                Text("/dev/pts"),
                U64(_NODE),
                TextList(("newinstance", "ptmxmode=0666", "mode=620", f"max={_TERMINALS}")),
            ),
            place,
        )
        self.add(MakeDirectory(Text("/dev/shm"), U32(0o755)), place)
        uid, gid = (scene.outside_uid, scene.outside_gid) if host.is_privileged else (scene.inside_uid, scene.inside_gid)
        inodes = max(said.shm_bytes // 4096, 1024)
        # In a user namespace that is joined, only that namespace knows the job's ids; whoever mounts is the owner then.
        is_known = host.is_privileged or Trait.NEW_USER_NAMESPACE in scene.traits
        owner = (f"uid={uid}", f"gid={gid}") if is_known else ()
        options = TextList((f"size={said.shm_bytes}", f"nr_inodes={inodes}", "mode=1777", *owner))
        self.add(MountFilesystem(Text("tmpfs"), Text("/dev/shm"), U64(_NODE | MountAttr.NODEV), options), place)
        files = Use.LIST | Use.READ | Use.CHANGE
        self.shown.append(Shown("/dev/pts", files | Use.CONTROL, place=place))
        self.shown.append(Shown("/dev/shm", files | Use.MAKE | Use.CONNECT, place=place))


def _wanted(said: Settings, host: Host) -> tuple[dict[str, tuple[PathFact, Place]], tuple[Line, ...]]:
    """The further devices by canonical path, and a line for each that is not there. Raises: ProfileError for required ones."""
    problems: list[Problem] = []
    lines: list[Line] = []
    found: dict[str, tuple[PathFact, Place]] = {}
    for device, place in said.allow:
        path = follow(host, device.path, place).path
        fact = fact_of(host, path)
        if fact.kind in (PathKind.MISSING, PathKind.UNREADABLE):
            if device.optional:
                lines.append(Line(NAME, Status.UNUSED, f"{device.path} is not there", place=place))
            else:
                problems.append(
                    Problem(f"{device.path} does not exist", where=place, attempt=f"{device.path}? if the box can do without")
                )
        elif fact.kind not in (PathKind.DEVICE, PathKind.DIRECTORY) or not path.startswith("/dev/"):
            problems.append(
                Problem(f"{device.path} is not a device", where=place, why=f"it leads to {path}, a {fact.kind.value}")
            )
        elif said.dev == "minimal" and any(covers(path, taken) for taken in (*NODES, "/dev/pts", "/dev/shm", *dict(LINKS))):
            problems.append(
                Problem(f"{device.path} is in a minimal /dev already", where=place, why="the box has its own", attempt="drop it")
            )
        else:
            found.setdefault(path, (fact, place))
    if problems:
        raise ProfileError(problems)
    outer = {path: value for path, value in found.items() if not any(covers(other, path) and other != path for other in found)}
    return outer, tuple(lines)


def lower(settings: object, scene: Scene) -> Lowered:
    """The ops for this host. Pure. Raises ProfileError for devices that are missing or none."""
    said = own(Settings, settings)
    wanted, lines = _wanted(said, scene.host)
    lowering = _Lowering()
    if said.dev == "minimal":
        lowering.minimal(said, scene.host, scene)
    links: dict[str, tuple[str, Place]] = {}
    for device, place in said.allow:
        links.update((link, (target, place)) for link, target in follow(scene.host, device.path, place).links)
    for path, (fact, place) in sorted(wanted.items(), key=lambda item: parts(item[0])):
        lowering.bind(path, path, place, is_directory=fact.kind is PathKind.DIRECTORY)
    for link, (target, place) in links.items():
        if link.startswith("/dev/") and not any(covers(path, link) for path in wanted) and link not in dict(LINKS):
            lowering.add(MakeSymlink(Text(link), Text(target)), place)
    if not lowering.steps and not lines:
        return Lowered(lines=(Line(NAME, Status.ENFORCED, "the box has no devices"),))
    what = f"/dev is {said.dev}; further devices of the host: {comma([str(device) for device, _ in said.allow])}"
    line = Line(NAME, Status.ENFORCED, what, place=said.dev_place)
    return Lowered(tuple(lowering.steps), (line, *lines), shown=tuple(lowering.shown))


def explain(settings: object) -> tuple[str, ...]:
    """What the section means, in sentences."""
    said = own(Settings, settings)
    found = []
    if said.dev == "minimal":
        names = comma([path.removeprefix("/dev/") for path in NODES])
        found.append(f"/dev has {names}, terminals of its own, and up to {show_bytes(said.shm_bytes)} of shared memory.")
    else:
        found.append("There is no /dev.")
    if said.allow:
        found.append(f"It has these devices of the host: {comma([str(device) for device, _ in said.allow])}.")
    return tuple(found)


def widens(old: object, new: object) -> tuple[str, ...]:
    """What `new` allows that `old` does not, in sentences."""
    before, after = own(Settings, old), own(Settings, new)
    found = []
    if SCALE.index(after.dev) > SCALE.index(before.dev):
        found.append("has a /dev")
    if after.dev == "minimal" and after.shm_bytes > before.shm_bytes:
        found.append(f"may fill /dev/shm up to {show_bytes(after.shm_bytes)}")
    known = [device.path for device, _ in before.allow]
    found += [
        f"has the device {device.path}" for device, _ in after.allow if not any(covers(path, device.path) for path in known)
    ]
    return tuple(found)
