"""Pretended hosts, and sections out of a few lines of YAML."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from sandboxer.controls import filesystem
from sandboxer.controls.filesystem.settings import Settings
from sandboxer.controls.room import Lowered, Scene, Scope
from sandboxer.model.host import Host, PathFact, PathKind
from sandboxer.model.node import Mapping as MappingNode
from sandboxer.model.node import parse_node
from sandboxer.model.policy import Enforce, Trait
from sandboxer.model.section import Section
from sandboxer.units import UNLIMITED

ROOT_CAPABILITIES = (1 << 41) - 1

TREE: Mapping[str, str] = {
    "/usr": "directory",
    "/usr/bin": "directory",
    "/usr/bin/python3": "file",
    "/usr/lib": "directory",
    "/usr/share": "directory",
    "/usr/share/zoneinfo/UTC": "file",
    "/bin": "-> usr/bin",
    "/lib": "-> usr/lib",
    "/etc": "directory",
    "/etc/hosts": "file",
    "/etc/passwd": "file",
    "/etc/localtime": "-> /usr/share/zoneinfo/UTC",
    "/home": "directory",
    "/home/user": "directory user",
    "/home/user/.ssh": "directory user",
    "/home/user/.netrc": "file user",
    "/home/user/project": "directory user",
    "/home/user/project/.git": "directory user",
    "/home/user/project/data": "directory user",
    "/home/user/project/bin": "directory user",
    "/home/user/project/note": "file user",
    "/home/user/link": "-> project",
    "/srv": "directory",
    "/srv/data": "directory data",
    "/srv/data/inner": "directory data",
    "/srv/data/secret": "file data",
    "/srv/kept": "directory user",
    "/srv/kept/upper": "directory user",
    "/srv/kept/work": "directory user",
    "/srv/moved": "-> kept",
    "/srv/led": "directory user",
    "/srv/led/upper": "-> /home/user",
    "/srv/led/work": "directory user",
    "/loop": "-> loop",
    "/proc/kcore": "file",
    "/proc/keys": "file",
    "/proc/acpi": "directory",
    "/proc/sys": "directory",
    "/proc/sysrq-trigger": "file",
}
OWNERS = {"user": 1000, "data": 33}


def fact(words: str) -> PathFact:
    """`directory`, `file user`, `-> TARGET`."""
    if words.startswith("-> "):
        return PathFact(PathKind.SYMLINK, target=words.removeprefix("-> "))
    kind, *owner = words.split()
    uid = OWNERS[owner[0]] if owner else 0
    return PathFact(PathKind(kind), uid=uid, gid=uid)


@pytest.fixture
def user_host() -> Host:
    """A machine with a merged /usr, and an ordinary user on it."""
    return Host(paths={path: fact(words) for path, words in TREE.items()})


@pytest.fixture
def root_host(user_host: Host) -> Host:
    """The same machine, for root."""
    return Host(uid=0, gid=0, groups=(0,), capabilities=ROOT_CAPABILITIES, home="/root", paths=user_host.paths)


def read_section(text: str) -> Section:
    """The section that these lines of YAML say."""
    node = parse_node(text.encode(), "test.yaml")
    assert isinstance(node, MappingNode)
    rows = {row.name: row for row in filesystem.FIELDS}
    return Section({key.text: rows[key.text].parse(value) for key, value in node.entries})


@pytest.fixture
def section() -> Callable[[str], Section]:
    return read_section


@pytest.fixture
def understood() -> Callable[[str], Settings]:
    """YAML into settings."""
    return lambda text: filesystem.understand(read_section(text), Scope(cwd="/home/user/project", home="/home/user"))


@pytest.fixture
def lowered(understood: Callable[[str], Settings]) -> Callable[..., Lowered]:
    """YAML into ops, for a host. traits: further ones of the box; one that a usual box has is taken away."""

    def lower(
        text: str,
        host: Host,
        *,
        enforce: Enforce = Enforce.REQUIRED,
        traits: frozenset[Trait] = frozenset(),
        disk_bytes: int = UNLIMITED,
    ) -> Lowered:
        outside = (65534, 65534) if host.is_privileged else (host.uid, host.gid)
        usual = frozenset({Trait.NEW_PID_NAMESPACE, Trait.NEW_USER_NAMESPACE})
        scene = Scene(
            host, traits ^ usual, enforce=enforce, outside_uid=outside[0], outside_gid=outside[1], disk_bytes=disk_bytes
        )
        return filesystem.lower(understood(text), scene)

    return lower


@pytest.fixture
def listing(lowered: Callable[..., Lowered]) -> Callable[..., list[str]]:
    """YAML into one line for each op, in the order of the stages, without what every box has."""
    usual = ("MakeStage", "MakeRoot", "PivotRoot", "SetMountAttributes", "SetWorkingDirectory")

    def listed(text: str, host: Host, **scene: object) -> list[str]:
        steps = sorted(lowered(text, host, **scene).steps, key=lambda step: step.stage)
        kept = [step for step in steps if type(step.op).__name__ not in usual]
        return [step.op.say() for step in kept if "/etc/passwd" not in step.op.say() and "/etc/group" not in step.op.say()]

    return listed
