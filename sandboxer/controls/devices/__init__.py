"""What the box has of devices: a /dev made afresh, further nodes by name and mode, terminals and shared memory of its own."""

from __future__ import annotations

from sandboxer.controls.devices.lower import FIRST_SLOT, has_wall, lower_devices, lower_in_place
from sandboxer.controls.devices.settings import (
    FIELDS,
    NODES,
    SCALE,
    WRITE,
    Device,
    Settings,
    meet_devices,
    understand,
)  # fmt: skip
from sandboxer.controls.paths import covers, fact_of, follow
from sandboxer.controls.room import Lack, Lowered, Scene
from sandboxer.controls.said import comma, own
from sandboxer.model.host import Host, PathFact, PathKind
from sandboxer.model.place import Place
from sandboxer.model.policy import Policy, Trait
from sandboxer.units import show_bytes

NAME = "devices"
TITLE = "what the box has of devices"
STACKED = False

__all__ = [
    "FIELDS", "FIRST_SLOT", "NAME", "NODES", "STACKED", "TITLE", "Device", "Settings", "explain", "in_place", "lower",
    "meet_devices", "mentions", "need", "settings", "traits", "understand", "widens",
]  # fmt: skip


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
        if fact.kind is PathKind.DEVICE:
            lacks += [*_closed(device, fact, host, place), *_too_open(device, fact, host, place, is_walled=has_wall(said, host))]
    return tuple(lacks)


def _closed(device: Device, fact: PathFact, host: Host, place: Place) -> list[Lack]:
    """A node that the job of root, who is neither its owner nor in its group, could not open as the profile says."""
    wanted = device.access.value  # READ and WRITE are the bits of others in a mode, the other way round
    bits = (0o4 if wanted & 2 else 0) | (0o2 if wanted & 4 else 0)
    if not host.is_privileged or fact.mode & bits == bits:
        return []
    why = f"its mode is {fact.mode & 0o777:o}, and the job is neither its owner nor in its group"
    attempt = f"chmod o+{device.mode} {device.path}, or run as an ordinary user who may open it"
    return [Lack(f"the job could not open {device.path}", why, attempt, f"{device.path} is there and cannot be opened", place)]


def _too_open(device: Device, fact: PathFact, host: Host, place: Place, *, is_walled: bool) -> list[Lack]:
    """A node that the job could use in more ways than said: neither the device program nor the node's own mode forbids it."""
    if device.mode == "rw" or is_walled:
        return []
    other, bits = ("read", 0o444) if device.access is WRITE else ("written", 0o222)
    mine = bits & (0o007 if host.is_privileged else 0o077 | (0o700 if fact.uid == host.uid else 0))
    if not fact.mode & mine:
        return []
    why = f"a mount does not tell reading a device from writing to it, and there is no device program: {_why_no_wall(host)}"
    attempt = "a start by root on a host with cgroup v2, or mode: rw"
    return [
        Lack(f"{device.path} cannot be limited to mode {device.mode}", why, attempt, f"{device.path} can be {other} too", place)
    ]


def _why_no_wall(host: Host) -> str:
    if not host.is_privileged:
        return "only root may attach one"
    if host.device_program_problem and host.hierarchy_of("devices") is None:
        return host.device_program_problem
    return "a directory of devices is granted, whose numbers are not known ahead"


def lower(settings: object, scene: Scene) -> Lowered:
    """The ops for this host. Pure. Raises ProfileError for devices that are missing or none."""
    return lower_devices(own(Settings, settings), scene)


def in_place(settings: object, scene: Scene) -> Lowered:
    """The same devices of the host, as far as Landlock holds them; no terminals and no shared memory of its own."""
    return lower_in_place(own(Settings, settings), scene)


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
    for device, _ in after.allow:
        over = [known for known, _ in before.allow if covers(known.path, device.path)]
        if not over:
            found.append(f"has the device {device}")
        elif all(device.access & ~known.access for known in over):
            found.append(f"may use {device.path} in mode {device.mode}")
    return tuple(found)
