"""The verbs that every room of controls/ has, as a protocol, and the values that pass through them.

A room is a module. It never imports another room: what it must know of others it reads from `Scene.traits` and `Scene.host`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntFlag, unique
from typing import Protocol

from sandboxer.model.host import BOX_ID, Host
from sandboxer.model.place import Place
from sandboxer.model.plan import Step
from sandboxer.model.policy import Enforce, Layer, Trait
from sandboxer.model.report import Line
from sandboxer.model.section import Field, Section
from sandboxer.units import UNLIMITED


@dataclass(frozen=True, slots=True)
class Scope:
    """What a room may read while it understands its section: the caller's directories, for relative paths.

    groups: what `policies/syscalls/<name>.yaml` says about seccomp (with what it includes), by <name>, for `@name`; may be lazy.
    layers: the `restrict:` layers, for rooms that keep layers apart and understand them together with their own section.
    """

    cwd: str
    home: str
    arch: str = "x86_64"
    groups: Mapping[str, Section] = field(default_factory=dict)
    layers: tuple[Layer, ...] = ()


@unique
class Use(IntFlag):
    """What may be done at a path of the box, and below it.

    LIST: read directories. CHANGE: write and cut files that are there. MAKE: make, remove, rename and link names. CONTROL: speak
    to the driver of a device. CONNECT: speak to whoever listens on a socket.
    """

    LIST = 1
    READ = 2
    EXECUTE = 4
    CHANGE = 8
    MAKE = 16
    CONTROL = 32
    CONNECT = 64


@dataclass(frozen=True, slots=True)
class Shown:
    """A path of the box, without a symbolic link in it, and what the room that shows it lets the box do there.

    is_own: a file system of the box's own, or over one of the host's; else what is seen there is the host's.
    """

    path: str
    use: Use
    is_directory: bool = True
    place: Place | None = None
    is_own: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    """What a room may read while it lowers: the host, the facts that cross rooms, and the layers kept apart.

    Ids: `inside_uid` and `inside_gid` are the job's in its user namespace, `outside_uid` and `outside_gid` the host's ids that
    they stand for; `user_name` is the job's name for the first. `host_name` is what the box calls itself.
    `capabilities` are those that the job can hold, as bits. `shown` is what the rooms show that were lowered before, and `held`
    the paths below it where less may be done than at the path above: what is hidden or stays read-only.
    disk_bytes: how large a file system of the box's own can be. is_watched: somebody outside wants to hear of what is refused.
    becomes_command: without a box, the process is to execute a command; else it goes on as it is. has_monitor: it is a child of
    the launcher then, who waits for it and ends what it leaves; else it is the calling process itself.
    """

    host: Host
    traits: frozenset[Trait]
    layers: tuple[Layer, ...] = ()
    enforce: Enforce = Enforce.REQUIRED
    inside_uid: int = 1000
    inside_gid: int = 1000
    outside_uid: int = BOX_ID
    outside_gid: int = BOX_ID
    user_name: str = "sandbox"
    host_name: str = "sandbox"
    capabilities: int = 0
    shown: tuple[Shown, ...] = ()
    held: tuple[Shown, ...] = ()
    disk_bytes: int = UNLIMITED
    is_watched: bool = False
    becomes_command: bool = False
    has_monitor: bool = False


@dataclass(frozen=True, slots=True)
class Lack:
    """Something that the host cannot give. `lost` says what is lost if the section is best_effort.

    attempt: what helps; of what cannot be kept without a box, what helps beside a box, and may be empty.
    """

    what: str
    why: str
    attempt: str
    lost: str
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Want:
    """A control group that the room's ops work on (`Hierarchy.group`), with a controller; empty: none is needed."""

    group: int
    controller: str = ""
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Lowered:
    """A room's part of the plan: ops with their stages, what they enforce, what they show, and the groups that they work on.

    held: below what is shown, the paths where less may be done.
    lacks: of a plan without a box, what cannot be kept so; elsewhere `need` says that.
    """

    steps: tuple[Step, ...] = ()
    lines: tuple[Line, ...] = ()
    passed: tuple[str, ...] = ()
    set: tuple[tuple[str, str], ...] = ()
    shown: tuple[Shown, ...] = ()
    held: tuple[Shown, ...] = ()
    groups: tuple[Want, ...] = ()
    lacks: tuple[Lack, ...] = ()


class Room(Protocol):
    """One thing that a profile can say. Settings are the room's own frozen type, `object` for everybody else.

    NAME: the section's key. TITLE: one line for people. FIELDS: its rows.
    STACKED: layers stay apart as further walls (seccomp, landlock); otherwise they are folded in by `narrowed`.
    """

    NAME: str
    TITLE: str
    FIELDS: tuple[Field, ...]
    STACKED: bool

    def understand(self, section: Section, scope: Scope) -> object:
        """The typed settings. Strict where nothing was said. Raises ProfileError."""

    def traits(self, settings: object) -> frozenset[Trait]:
        """The facts that other rooms may read."""

    def mentions(self, settings: object) -> frozenset[str]:
        """Host paths whose facts lowering will read (`Host.path`); absolute, normalised."""

    def need(self, settings: object, host: Host) -> tuple[Lack, ...]:
        """What this host cannot give."""

    def lower(self, settings: object, scene: Scene) -> Lowered:
        """The ops for this host. Pure. Raises ProfileError or HostError only for what `need` cannot say."""

    def in_place(self, settings: object, scene: Scene) -> Lowered:
        """The ops that keep the section in a process without a box (`Scene.has_monitor`), and what cannot be kept so. Pure.

        Raises: as `lower`.
        """

    def explain(self, settings: object) -> tuple[str, ...]:
        """What the section means, in sentences."""

    def widens(self, old: object, new: object) -> tuple[str, ...]:
        """What `new` allows that `old` does not, in sentences; empty where it only narrows."""
