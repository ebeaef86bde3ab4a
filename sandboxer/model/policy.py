"""A policy: a profile that was understood, complete and frozen. Only `compile/resolve.py` constructs one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, unique

from sandboxer.model.place import Place
from sandboxer.model.section import Section


class Enforce(Enum):
    """Whether a section that the host cannot give refuses the start or is weakened and reported."""

    REQUIRED = "required"
    BEST_EFFORT = "best_effort"


@unique
class Trait(Enum):
    """Facts that cross rooms, by name. A room states them (`traits`); other rooms may read them (`Scene.traits`)."""

    NEW_MOUNT_NAMESPACE = "has a mount namespace of its own"
    JOINED_MOUNT_NAMESPACE = "is in a mount namespace that was there before"
    NEW_PID_NAMESPACE = "has a pid namespace of its own"
    NEW_NET_NAMESPACE = "has a network namespace of its own"
    NEW_USER_NAMESPACE = "has a user namespace of its own"
    NEW_TIME_NAMESPACE = "has a time namespace of its own"
    NEW_IPC_NAMESPACE = "has an ipc namespace of its own"
    NEW_UTS_NAMESPACE = "has a uts namespace of its own"
    NEW_CGROUP_NAMESPACE = "has a cgroup namespace of its own"
    SHIFTS_CLOCKS = "the clocks of its time namespace are shifted"
    HAS_INIT = "a reaper is pid 1"
    MAPS_RANGE = "more than one id is mapped"
    KEEPS_CAPABILITIES = "the job keeps capabilities"
    WANTS_LOOPBACK = "lo is to be up"
    HOST_NETWORK = "the host's network is shared"
    FRESH_PROC = "/proc is mounted inside"
    SHOWS_GROUPS = "/sys/fs/cgroup is mounted inside"
    OWNS_GROUPS = "the job may make control groups"
    FRESH_DEV = "/dev is made afresh"
    HAS_TERMINAL = "the command gets a pseudo-terminal"
    USES_KEYRINGS = "the job may call the key service of the kernel"
    MAKES_NAMESPACES = "the job may make namespaces"
    HAS_LABEL = "a security module labels the command"
    CAN_GAIN_PRIVILEGES = "no_new_privs is overridden"


@dataclass(frozen=True, slots=True)
class Source:
    """A file that the policy was made from."""

    name: str
    path: str
    kind: str


@dataclass(frozen=True, slots=True)
class Layer:
    """A `restrict:` entry: its name for people, its place, and what it says."""

    name: str
    place: Place
    sections: Mapping[str, Section]


@dataclass(frozen=True, slots=True)
class Override:
    """A statement against a parent, with its reason."""

    path: str
    reason: str
    place: Place
    expires: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """The whole of what a run is allowed.

    said: for each control, what was said and where (after every layer was applied); `show` prints it.
    settings: for each control, its own typed settings (read them through the room: `room.settings(policy)`).
    layers: the `restrict:` layers, for rooms that keep layers apart (seccomp, landlock).
    allowances: what command-line options may widen (`options:` of the profile), as said.
    """

    name: str
    description: str
    sources: tuple[Source, ...]
    said: Mapping[str, Section]
    settings: Mapping[str, object]
    enforce: Mapping[str, Enforce]
    layers: tuple[Layer, ...]
    overrides: tuple[Override, ...]
    traits: frozenset[Trait]
    params: Mapping[str, str]
    allowances: Section
