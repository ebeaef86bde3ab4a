"""The steps of a plan in words: numbers by the names that the kernel gives them, and slots by what lies in them.

`Op.say()` tells one op by its numbers; a Teller goes through a plan and remembers what was taken into which slot.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntFlag

from sandboxer.abi.capabilities import CAPABILITIES, Securebits
from sandboxer.abi.landlock import Kind, RestrictFlag, names_of
from sandboxer.abi.mount import MountAttr
from sandboxer.abi.namespaces import CloneFlag
from sandboxer.abi.rlimits import Rlimit
from sandboxer.abi.signals import Signal
from sandboxer.model.op import (
    NO_SLOT,
    Attach,
    LoadFilter,
    LoadWatchedFilter,
    MakeIdmap,
    MountOverlay,
    Op,
    OpenDirectory,
    OpenTree,
    SetRlimit,
)
from sandboxer.units import UNLIMITED, show_bytes, show_duration_ms

BYTE_LIMITS = frozenset(
    int(member)
    for member in (
        Rlimit.FSIZE, Rlimit.DATA, Rlimit.STACK, Rlimit.CORE, Rlimit.RSS, Rlimit.MEMLOCK, Rlimit.AS, Rlimit.MSGQUEUE,
    )
)  # fmt: skip
FILTER_BYTES = 8  # sizeof(struct sock_filter)
_CAPABILITY_NAMES = {int(number): name for name, number in CAPABILITIES.items()}
_SIGNAL_NAMES = {int(member): name for name, member in Signal.__members__.items()}
_LIMIT_NAMES = {int(member): f"RLIMIT_{name}" for name, member in Rlimit.__members__.items()}


def flag_names(kind: type[IntFlag], prefix: str = "") -> Callable[[int], str]:
    """A function that names the flags of a number, without a prefix of theirs; bits without a name stay a number."""

    def name(value: int) -> str:
        known = [member for member in kind if value & member and member.bit_count() == 1]
        rest = value & ~sum(known)
        words = [str(member.name).lower().removeprefix(prefix) for member in known]
        return " ".join(words + ([f"{rest:#x}"] if rest else [])) or "none"

    return name


def capability_names(mask: int) -> str:
    """The names of a capability set."""
    if not mask:
        return "none"
    return " ".join(_CAPABILITY_NAMES.get(bit, str(bit)) for bit in range(mask.bit_length()) if mask >> bit & 1)


def _signal_name(number: int) -> str:
    return _SIGNAL_NAMES.get(number, str(number))


def _rights(kind: Kind) -> Callable[[int], str]:
    return lambda mask: " ".join(names_of(mask, kind)) or "none"


def _octal(mode: int) -> str:
    return f"{mode:04o}"


def _items(items: tuple[object, ...]) -> str:
    return ", ".join(map(str, items)) or "none"


Say = Callable[..., str]
NAMED: dict[str, dict[str, Say]] = {
    "Start": {"clone_flags": flag_names(CloneFlag, "new")},
    "StartByClone": {"clone_flags": flag_names(CloneFlag, "new")},
    "Unshare": {"flags": flag_names(CloneFlag, "new")},
    "BarNamespaces": {"flags": flag_names(CloneFlag, "new")},
    "LimitOutput": {"limit": show_bytes},
    "ArmCpuClock": {
        "limit_us": lambda us: show_duration_ms(us // 1000),
        "idle_ms": show_duration_ms,
        "idle_signal": _signal_name,
    },
    "ArmWallClock": {"limit_ms": show_duration_ms, "grace_ms": show_duration_ms, "signal": _signal_name},
    "SetParentDeathSignal": {"signal": _signal_name},
    "CloseFds": {"keep": _items},
    "OpenTree": {"attributes": flag_names(MountAttr)},
    "MountFilesystem": {"attributes": flag_names(MountAttr), "options": _items},
    "MountOverlay": {"attributes": flag_names(MountAttr), "options": _items},
    "BindInside": {"attributes": flag_names(MountAttr)},
    "SetMountAttributes": {"attributes": flag_names(MountAttr)},
    "MakeRoot": {"mode": _octal},
    "MakeDirectory": {"mode": _octal},
    "MakeFile": {"mode": _octal},
    "SetUmask": {"mask": _octal},
    "SetScheduling": {"policy": lambda number: {0: "normal", 3: "batch", 5: "idle"}.get(number, str(number))},
    "DropBounding": {"keep": capability_names},
    "SetSecurebits": {"bits": flag_names(Securebits)},
    "SetCapabilities": {"effective": capability_names, "permitted": capability_names, "inheritable": capability_names},
    "SetAmbient": {"mask": capability_names},
    "LandlockCreate": {
        "filesystem": _rights(Kind.FILESYSTEM),
        "network": _rights(Kind.NETWORK),
        "scoped": _rights(Kind.SCOPE),
        "readable": _rights(Kind.FILESYSTEM),
        "writable": _rights(Kind.FILESYSTEM),
    },
    "LandlockPath": {"rights": _rights(Kind.FILESYSTEM)},
    "LandlockPort": {"rights": _rights(Kind.NETWORK)},
    "LandlockRestrict": {"flags": flag_names(RestrictFlag)},
}
WORDS = {
    "Start": "start the child in new namespaces ({clone_flags})",
    "StartByClone": "start the child in new namespaces, without clone3 ({clone_flags})",
    "Unshare": "enter new namespaces ({flags})",
    "BarNamespaces": "let no more namespaces be made ({flags})",
    "ArmCpuClock": "end the box after {limit_us} of CPU time, or {idle_ms} without any ({idle_signal}; 0s: never)",
    "ArmWallClock": "end the box after {limit_ms} ({signal}, then SIGKILL {grace_ms} later)",
    "SetParentDeathSignal": "die when the monitor dies ({signal})",
    "OpenTree": "take {path} from the host ({attributes})",
    "CloseFds": "close every descriptor above 2 except: {keep}",
    "MakeRoot": "make an empty root (mode {mode})",
    "MakeDirectory": "make the directory {path} (mode {mode})",
    "MakeFile": "make the file {path} (mode {mode})",
    "MountFilesystem": "mount {kind} on {path} ({attributes}; {options})",
    "BindInside": "cover {path} with {source} ({attributes})",
    "SetMountAttributes": "set {attributes} on {path}",
    "SetUmask": "set the umask to {mask}",
    "DropBounding": "keep of the bounding set: {keep}",
    "SetSecurebits": "set securebits {bits}",
    "SetCapabilities": "hold capabilities: {permitted} (inheritable: {inheritable})",
    "SetAmbient": "pass capabilities on to the command: {mask}",
    "LandlockCreate": "refuse in Landlock: {filesystem}; network {network}; scoped {scoped}; streams: {readable}, {writable}",
    "LandlockPath": "but in {path}: {rights}",
    "LandlockPort": "but on port {port}: {rights}",
    "LandlockRestrict": "enter this Landlock domain ({flags})",
}


class Teller:
    """Tells the steps of one plan, in their order."""

    def __init__(self) -> None:
        self._slots: dict[int, str] = {}

    def say(self, op: Op) -> str:
        """One step in words. Ops that fill a slot must be told ahead of those that use it."""
        kind = type(op).__name__
        match op:
            case OpenTree(slot=slot, path=path) | OpenDirectory(slot=slot, path=path):
                self._slots[slot] = path
            case MakeIdmap(slot=slot):
                self._slots[slot] = f"mapping {slot}"
            case Attach(slot=slot, path=path):
                source = self._slots.get(slot, f"slot {slot}")
                return f"show it at {path}" if source == path else f"show {source} at {path}"
            case MountOverlay(path=path, upper_slot=upper_slot):
                above = "memory" if upper_slot == NO_SLOT else self._slots.get(upper_slot, f"slot {upper_slot}")
                return f"show {path} as an overlay; what the job changes goes to {above}"
            case SetRlimit():
                return _say_limit(op)
            case LoadFilter(flags=flags, program=program):
                return f"load a system call filter ({len(program) // FILTER_BYTES} instructions, flags {flags:#x})"
            case LoadWatchedFilter(flags=flags, program=program):
                return f"load a watched system call filter ({len(program) // FILTER_BYTES} instructions, flags {flags:#x})"
        words = WORDS.get(kind)
        return op.say() if words is None else words.format_map(_Named(op, NAMED.get(kind, {})))


class _Named(dict[str, str]):
    """The fields of an op by name, each as a person reads it."""

    def __init__(self, op: Op, says: dict[str, Say]) -> None:
        self._op = op
        self._says = says

    def __missing__(self, name: str) -> str:
        value = getattr(self._op, name)
        say = self._says.get(name)
        return say(value) if say else str(value)


def _say_limit(op: SetRlimit) -> str:
    name = _LIMIT_NAMES.get(op.resource, f"resource {op.resource}")
    show = show_bytes if op.resource in BYTE_LIMITS else _show_count
    hard = "" if op.hard == op.soft else f" (hard {show(op.hard)})"
    return f"limit {name} to {show(op.soft)}{hard}"


def _show_count(count: int) -> str:
    return "unlimited" if count == UNLIMITED else str(count)
