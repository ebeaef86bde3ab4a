"""The steps of /dev: nodes of the host bound one by one, and behind them a control group's wall, where root starts the box. Pure.

The wall is the device program of cgroup v2, or v1's list of devices where there is no v2 tree.

An ordinary user cannot make device nodes, so the nodes are the host's. The directory itself lies in the box's root and is sealed
with it; a tmpfs of its own would only cost a mount more. A node is mounted read-only, which keeps its mode and owner as they are:
reading from a device and writing to it are no matter of its mount. Device nodes need no further mount flags than NOSUID and
NOEXEC: everywhere else the box has NODEV.
"""

from __future__ import annotations

from collections.abc import Iterable

from sandboxer.abi.ebpf import DeviceAccess
from sandboxer.abi.mount import MountAttr
from sandboxer.controls.devices.program import Rule, assemble, v1_lines
from sandboxer.controls.devices.settings import LINKS, NODES, NUMBERS, READ, WRITE, Settings
from sandboxer.controls.paths import covers, fact_of, follow, parts
from sandboxer.controls.room import Lack, Lowered, Scene, Shown, Use, Want
from sandboxer.controls.said import comma
from sandboxer.errors import Problem, ProfileError
from sandboxer.model.host import Host, PathFact, PathKind
from sandboxer.model.op import (
    NO_SLOT,
    U32,
    U64,
    AllowDevices,
    Attach,
    Blob,
    MakeDirectory,
    MakeFile,
    MakeSymlink,
    MountFilesystem,
    Op,
    OpenTree,
    ShowSpace,
    Text,
    TextList,
    WriteGroup,
)  # fmt: skip
from sandboxer.model.place import Place
from sandboxer.model.plan import Step
from sandboxer.model.policy import Trait
from sandboxer.model.report import Line, Status
from sandboxer.model.stage import Stage

NAME = "devices"
V1 = "devices"
"""The v1 controller. Source: Documentation/admin-guide/cgroup-v1/devices.rst."""
FIRST_SLOT = 192  # the slots below are for the section filesystem
_SLOTS = 64
LEAST_ABI = 2  # of Landlock, where it stands alone; the first one breaks what usual programs do
_TERMINALS = 128  # kernel.pty.max counts those of the whole machine: no box may take them all
_DIRECTORY = MountAttr.NOSUID | MountAttr.NOEXEC
_NODE = _DIRECTORY | MountAttr.RDONLY
_PTMX = Rule(False, 5, 5, 2, READ | WRITE)
_PTS = Rule(False, 136, 143, None, READ | WRITE)  # Unix98 pseudo-terminals. Source: Documentation/admin-guide/devices.txt


def _use(path: str, access: DeviceAccess, place: Place, *, is_directory: bool) -> Shown:
    """A device, or a directory of them, and what may be done with it."""
    use = Use.CONTROL | (Use.READ if access & READ else Use(0)) | (Use.CHANGE if access & WRITE else Use(0))
    return Shown(path, use | (Use.LIST if is_directory else Use(0)), is_directory, place)


class _Lowering:
    """The steps of /dev while they are written down."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.shown: list[Shown] = []
        self.sources = 0

    def add(self, op: Op, place: Place, stage: Stage = Stage.MOUNTS) -> None:
        """Add one op."""
        self.steps.append(Step(op, stage, NAME, place))

    def bind(self, path: str, place: Place, *, is_directory: bool = False, access: DeviceAccess = READ | WRITE) -> None:
        """Show a device of the host, or a directory of them."""
        if self.sources == _SLOTS:
            raise ProfileError(Problem(f"more than {_SLOTS} devices cannot be given", where=place, attempt="a directory of them"))
        slot = U32(FIRST_SLOT + self.sources)
        self.sources += 1
        self.add(
            OpenTree(slot, Text(path), U64(_DIRECTORY if is_directory else _NODE), U32(int(is_directory)), NO_SLOT),
            place,
            Stage.SOURCES,
        )
        point = MakeDirectory(Text(path), U32(0o755)) if is_directory else MakeFile(Text(path), U32(0o444), Blob(b""))
        self.add(point, place)
        self.add(Attach(slot, Text(path)), place)
        self.shown.append(_use(path, access, place, is_directory=is_directory))

    def wall(self, rules: tuple[Rule, ...], host: Host, place: Place) -> Want:
        """What stands behind the mounts, on a control group of the box's own."""
        if not host.device_program_problem:
            self.add(AllowDevices(Blob(assemble(rules))), place, Stage.PREPARE)
            return Want(0, place=place)
        tree = host.hierarchy_of(V1)
        assert tree is not None, "has_wall"
        for file, text in [("devices.deny", "a"), *(("devices.allow", text) for text in v1_lines(rules))]:
            self.add(WriteGroup(U32(tree.group), Text(file), Text(text)), place, Stage.PREPARE)
        return Want(tree.group, V1, place)

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
                self.bind(path, place)
        for path, target in LINKS:
            self.add(MakeSymlink(Text(path), Text(target)), place)
        self.add(MakeDirectory(Text("/dev/pts"), U32(0o755)), place)
        self.add(
            MountFilesystem(
                Text("devpts"),
                Text("/dev/pts"),
                U64(_DIRECTORY),
                TextList(("newinstance", "ptmxmode=0666", "mode=620", f"max={_TERMINALS}")),
            ),
            place,
        )
        self.add(MakeDirectory(Text("/dev/shm"), U32(0o755)), place)
        uid, gid = (scene.outside_uid, scene.outside_gid) if host.is_privileged else (scene.inside_uid, scene.inside_gid)
        size_bytes = min(said.shm_bytes, scene.disk_bytes)
        inodes = max(size_bytes // 4096, 1024)
        # In a user namespace that is joined, only that namespace knows the job's ids; whoever mounts is the owner then.
        is_known = host.is_privileged or Trait.NEW_USER_NAMESPACE in scene.traits
        owner = (f"uid={uid}", f"gid={gid}") if is_known else ()
        options = TextList((f"size={size_bytes}", f"nr_inodes={inodes}", "mode=1777", *owner))
        self.add(MountFilesystem(Text("tmpfs"), Text("/dev/shm"), U64(_DIRECTORY | MountAttr.NODEV), options), place)
        files = Use.LIST | Use.READ | Use.CHANGE
        self.shown.append(Shown("/dev/pts", files | Use.CONTROL, place=place, is_own=True))
        self.steps.append(Step(ShowSpace(Text("/dev/shm")), Stage.SEAL, NAME, place))
        self.shown.append(Shown("/dev/shm", files | Use.MAKE | Use.CONNECT, place=place, is_own=True))


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
        elif fact.kind is PathKind.DIRECTORY and device.mode != "rw":
            problems.append(
                Problem(
                    f"{device.path} is a directory, and has no mode {device.mode}",
                    where=place,
                    why="the numbers of the devices in it are not known ahead, so nothing could tell reading from writing",
                    attempt="name the devices in it",
                )
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


def has_wall(said: Settings, host: Host) -> bool:
    """Whether a group's wall stands behind the mounts: the profile names devices, root starts the box, every number is known.

    Without further devices there is nothing for it to hold: the box has no node but those of a minimal /dev, all of them may be
    read and written, and nothing inside can make another. It would cost every start a group and a load of its own.
    """
    directories = any(
        fact_of(host, follow(host, device.path, place).path).kind is PathKind.DIRECTORY for device, place in said.allow
    )
    has_group = not host.device_program_problem or host.hierarchy_of(V1) is not None
    return bool(said.allow) and host.is_privileged and has_group and not directories


def rules_of(said: Settings, host: Host) -> tuple[Rule, ...]:
    """What the box may open, by number."""
    rules: dict[Rule, None] = {}
    if said.dev == "minimal":
        rules = {Rule(False, major, major, minor, READ | WRITE): None for major, minor in NUMBERS.values()}
        rules |= {_PTMX: None, _PTS: None}
    for device, place in said.allow:
        fact = fact_of(host, follow(host, device.path, place).path)
        if fact.kind is PathKind.DEVICE:
            major, minor = fact.number
            rules[Rule(fact.is_block, major, major, minor, device.access)] = None
    return _joined(rules)


def _joined(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Rules about the same devices as one: a device that may be read, and may be written elsewhere, may be both."""
    found: dict[tuple[bool, int, int, int | None], Rule] = {}
    for rule in rules:
        which = (rule.is_block, rule.first, rule.last, rule.minor)
        access = rule.access | found[which].access if which in found else rule.access
        found[which] = Rule(*which, access)
    return tuple(found.values())


def lower_devices(said: Settings, scene: Scene) -> Lowered:
    """The ops for this host. Raises ProfileError for devices that are missing or none."""
    wanted, lines = _wanted(said, scene.host)
    lowering = _Lowering()
    if said.dev == "minimal":
        lowering.minimal(said, scene.host, scene)
    links: dict[str, tuple[str, Place]] = {}
    for device, place in said.allow:
        links.update((link, (target, place)) for link, target in follow(scene.host, device.path, place).links)
    modes: dict[str, DeviceAccess] = {}
    for device, place in said.allow:
        path = follow(scene.host, device.path, place).path
        modes[path] = modes.get(path, DeviceAccess.NONE) | device.access
    for path, (fact, place) in sorted(wanted.items(), key=lambda item: parts(item[0])):
        lowering.bind(path, place, is_directory=fact.kind is PathKind.DIRECTORY, access=modes[path])
    for link, (target, place) in links.items():
        if link.startswith("/dev/") and not any(covers(path, link) for path in wanted) and link not in dict(LINKS):
            lowering.add(MakeSymlink(Text(link), Text(target)), place)
    what = "the box has no devices"
    if lowering.steps or lines:
        what = f"/dev is {said.dev}; further devices of the host: {comma([str(device) for device, _ in said.allow])}"
    is_walled = has_wall(said, scene.host) and Trait.JOINED_MOUNT_NAMESPACE not in scene.traits
    groups = (lowering.wall(rules_of(said, scene.host), scene.host, said.dev_place),) if is_walled else ()
    wall = "program" if not scene.host.device_program_problem else "list"
    walls = f"; a device {wall} refuses every other one, whatever leads to it" if is_walled else "; its mounts alone hold that"
    line = Line(NAME, Status.ENFORCED, what + walls, place=said.dev_place)
    return Lowered(tuple(lowering.steps), (line, *lines), shown=tuple(lowering.shown), groups=groups)


def lower_in_place(said: Settings, scene: Scene) -> Lowered:
    """The devices that may be opened. The caller's terminal is not among them: a box has none of the caller's either.

    Raises: as `lower_devices`.
    """
    if scene.host.landlock_abi < LEAST_ABI:
        why, attempt = scene.host.landlock_problem, scene.host.landlock_mend
        lost = "every device that the caller may open can be opened"
        return Lowered(lacks=(Lack("devices cannot be confined without a box", why, attempt, lost, said.dev_place),))
    wanted, lines = _wanted(said, scene.host)
    nodes = [path for path in NODES if path != "/dev/tty" and fact_of(scene.host, path).kind is PathKind.DEVICE]
    found = dict.fromkeys(nodes, (READ | WRITE, said.dev_place, False)) if said.dev == "minimal" else {}
    for device, place in said.allow:
        path = follow(scene.host, device.path, place).path
        if path in wanted:
            is_directory = wanted[path][0].kind is PathKind.DIRECTORY
            found[path] = (found.get(path, (DeviceAccess.NONE,))[0] | device.access, place, is_directory)
    shown = [_use(path, access, place, is_directory=is_directory) for path, (access, place, is_directory) in found.items()]
    what = f"devices that can be opened: {comma(list(found))}"
    return Lowered(lines=(Line(NAME, Status.ENFORCED, what, place=said.dev_place), *lines), shown=tuple(shown))
