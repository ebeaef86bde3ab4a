"""A /proc of the box's own: what of it is covered and what is read-only. Lists as in runc, crun and Docker today."""

from __future__ import annotations

from sandboxer.abi.mount import MountAttr
from sandboxer.controls.filesystem.settings import Placed, Settings
from sandboxer.controls.paths import covers, fact_of
from sandboxer.controls.room import Shown, Use
from sandboxer.model.host import Host, PathKind
from sandboxer.model.op import U32, U64, BindInside, MakeDirectory, MountFilesystem, Op, Text, TextList
from sandboxer.model.place import Place, built_in

MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kallsyms",
    "/proc/kcore",
    "/proc/key-users",
    "/proc/keys",
    "/proc/kpagecgroup",
    "/proc/kpagecount",
    "/proc/kpageflags",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/slabinfo",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/vmallocinfo",
)
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
QUIET = MountAttr.NOSUID | MountAttr.NODEV | MountAttr.NOEXEC
SEALED = QUIET | MountAttr.RDONLY

_MASKS_PLACE = built_in("the masks of /proc")


def mentions(settings: Settings) -> frozenset[str]:
    """The paths below /proc that lowering asks about."""
    if settings.proc.value != "fresh":
        return frozenset()
    return frozenset((*MASKED, *READ_ONLY, *(item.value for item in settings.proc_mask + settings.proc_read_only)))


def masks(settings: Settings, host: Host) -> tuple[tuple[str, bool, Place], ...]:
    """What is covered: (path, whether it is a directory, place); only what the job could open, and the outermost of it."""
    if settings.proc.value != "fresh":
        return ()
    said = dict.fromkeys(MASKED, _MASKS_PLACE) | {item.value: item.place for item in settings.proc_mask}
    there = [path for path in sorted(said) if _is_open_to_others(path, host, 0o4)]
    outer = [path for path in there if not any(covers(other, path) and other != path for other in there)]
    return tuple((path, fact_of(host, path).kind is PathKind.DIRECTORY, said[path]) for path in outer)


def _is_open_to_others(path: str, host: Host, bits: int) -> bool:
    """Whether the job, which is never the host's root, could open it; a mount for each file that it could not costs 14 us."""
    fact = fact_of(host, path)
    if fact.kind is PathKind.MISSING:
        return False
    is_roots = fact.kind is PathKind.FILE and (fact.uid, fact.gid) == (0, 0)
    return not is_roots or bool(fact.mode & (bits | bits << 3))


def _read_only(settings: Settings, host: Host) -> tuple[Placed[str], ...]:
    """What stays read-only: what the job could change otherwise, and what is not covered."""
    covered = [path for path, _, _ in masks(settings, host)]
    said = [Placed(path, _MASKS_PLACE) for path in READ_ONLY] + list(settings.proc_read_only)
    there = (item for item in said if _is_open_to_others(item.value, host, 0o2))
    return tuple(item for item in there if not any(covers(path, item.value) for path in covered))


def find_held(settings: Settings, host: Host) -> tuple[Shown, ...]:
    """What of /proc is hidden or read-only."""
    if settings.proc.value != "fresh":
        return ()
    hidden = [Shown(path, Use(0), is_directory, place) for path, is_directory, place in masks(settings, host)]
    read_only = [
        Shown(item.value, Use.LIST | Use.READ, fact_of(host, item.value).kind is PathKind.DIRECTORY, item.place)
        for item in _read_only(settings, host)
    ]
    return (*hidden, *read_only)


def lower_proc(settings: Settings, host: Host, *, hidden_file: str, hidden_directory: str) -> tuple[tuple[Op, Place], ...]:
    """Mount the box's own /proc and cover what says too much; hidden_file and hidden_directory are what covers it."""
    if settings.proc.value == "none":
        return ()
    options = TextList(("subset=pid",) if settings.proc.value == "processes" else ())
    place = settings.proc.place
    found: list[tuple[Op, Place]] = [
        (MakeDirectory(Text("/proc"), U32(0o555)), place),
        (MountFilesystem(Text("proc"), Text("/proc"), U64(QUIET), options), place),
    ]
    if settings.proc.value == "processes":
        return tuple(found)
    for item in _read_only(settings, host):
        found.append((BindInside(Text(item.value), Text(item.value), U64(SEALED), U32(1)), item.place))
    for path, is_directory, where in masks(settings, host):
        source = hidden_directory if is_directory else hidden_file
        found.append((BindInside(Text(source), Text(path), U64(SEALED), U32(0)), where))
    return tuple(found)
