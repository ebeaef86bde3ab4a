"""What the section says, typed: its fields, a device with its mode, and the nodes that every box may have. Pure."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace

from sandboxer.abi.ebpf import DeviceAccess
from sandboxer.controls import parse
from sandboxer.controls.paths import covers
from sandboxer.controls.room import Scope
from sandboxer.model.node import Mapping, Node, Scalar
from sandboxer.model.place import Place, built_in
from sandboxer.model.section import Field, Merge, Section

NUMBERS = {
    "/dev/null": (1, 3),
    "/dev/zero": (1, 5),
    "/dev/full": (1, 7),
    "/dev/random": (1, 8),
    "/dev/urandom": (1, 9),
    "/dev/tty": (5, 0),
}
"""Source: Documentation/admin-guide/devices.txt."""
NODES = tuple(NUMBERS)
LINKS = (
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/ptmx", "pts/ptmx"),
)
SCALE = ("none", "minimal")
DEFAULT_SHM_BYTES = 64 * 1024 * 1024
READ, WRITE = DeviceAccess.READ, DeviceAccess.WRITE
MODES = {"r": READ, "w": WRITE, "rw": READ | WRITE}
OURS = built_in("devices.dev")


@dataclass(frozen=True, slots=True)
class Device:
    """One more device of the host, or a directory of them. access: what the job may do with it."""

    path: str
    optional: bool = False
    access: DeviceAccess = READ | WRITE

    @property
    def mode(self) -> str:
        """The access as a profile says it."""
        return "r" * bool(self.access & READ) + "w" * bool(self.access & WRITE)

    def __str__(self) -> str:
        return self.path + ("?" if self.optional else "") + ("" if self.mode == "rw" else f" ({self.mode})")


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole section. `allow` holds each further device with the place where it was said."""

    dev: str = "none"
    dev_place: Place = OURS
    shm_bytes: int = DEFAULT_SHM_BYTES
    allow: tuple[tuple[Device, Place], ...] = ()


def read_device(node: Node) -> Device:
    """`/dev/PATH`, `/dev/PATH?` or `{path, optional, mode}`."""
    optional = False
    access = READ | WRITE
    if isinstance(node, Mapping):
        found = parse.record(node, ("path",), ("optional", "mode"), "a device")
        optional = "optional" in found and parse.boolean(found["optional"])
        access = MODES[parse.name_in(MODES, "mode of a device")(found["mode"])] if "mode" in found else access
        node = found["path"]
    value = parse.filled_text(node)
    if isinstance(node, Scalar) and node.written.endswith("?"):
        optional = True
        node = replace(node, text=value[:-1], value=value[:-1], template=node.template[:-1])
    path = parse.absolute_path(node)
    if not path.startswith("/dev/"):
        parse.fail(node, f"{path} is not below /dev", attempt="filesystem.read or filesystem.write, for files")
    return Device(path, optional, access)


def meet_devices(one: Hashable, other: Hashable) -> Hashable | None:
    """What two grants of devices have in common: the deeper one, if one covers the other, with what both may do."""
    if not isinstance(one, Device) or not isinstance(other, Device):
        return None
    inner, outer = (other, one) if covers(one.path, other.path) else (one, other)
    access = one.access & other.access
    if not covers(outer.path, inner.path) or not access:
        return None
    return Device(inner.path, one.optional or other.optional, access)


_ENTRY: dict[str, object] = {
    "type": "dict",
    "schema": {
        "path": {"type": "string", "required": True},
        "optional": {"type": "boolean"},
        "mode": {"type": "string", "allowed": list(MODES)},
    },
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
        "further devices of the host; a ? at the end marks one that may be missing; `mode` is r, w or rw (the default)",
        default="[]",
        meet=meet_devices,
    ),
)


def _both(one: Device, other: Device) -> Device:
    """One device that two files grant: with what either allows, and missing only where both can do without."""
    return Device(one.path, one.optional and other.optional, one.access | other.access)


def understand(section: Section, scope: Scope) -> Settings:
    """The typed settings. Strict where nothing was said: no device at all."""
    dev, shm = section.one("dev"), section.one("shm_size")
    allow: dict[str, tuple[Device, Place]] = {}
    for item in section.said.get("allow", ()):
        if isinstance(item.value, Device):
            known, place = allow.get(item.value.path, (item.value, item.place))
            allow[item.value.path] = (_both(known, item.value), place)
    return Settings(
        dev=str(dev.value) if dev else "none",
        dev_place=dev.place if dev else OURS,
        shm_bytes=shm.value if shm and isinstance(shm.value, int) else DEFAULT_SHM_BYTES,
        allow=tuple(allow.values()),
    )
