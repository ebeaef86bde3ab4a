"""Limits of the whole box: what is written to its control groups, and what is read of them when it has ended. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sandboxer.controls.limits.row import Files, Knob, Row, Unit
from sandboxer.controls.limits.table import BY_WORD, ROWS, STOP_SIGNALS
from sandboxer.controls.room import Lack, Want
from sandboxer.model.host import Hierarchy, Host
from sandboxer.model.op import U32, U64, ArmCpuClock, Op, ReadCounter, Text, WriteGroup
from sandboxer.model.place import Place
from sandboxer.units import UNLIMITED

NO_SWAP = (("memory.swappiness", "0"),)
"""What v1 does for a limit of 0: no page of the group is swapped to hold its limit. Source: mm/vmscan.c, get_scan_count."""


@dataclass(frozen=True, slots=True)
class Counter:
    """A number to read: its name in the record, the file, what stands ahead of the number, what to divide by."""

    name: str
    file: str
    key: str = ""
    divisor: int = 1


COUNTERS = ("memory_peak_bytes", "oom_kills", "pids_peak", "pids_refused", "throttled_us", "throttled_periods", "io_read_bytes",
            "io_write_bytes", "group_cpu_us", "group_user_us", "group_system_us", "disk_bytes", "disk_full")  # fmt: skip
"""The places of the counters in the record; launcher/record.py has the same."""

V2_COUNTERS: Mapping[str, tuple[Counter, ...]] = {
    "memory": (Counter("memory_peak_bytes", "memory.peak"), Counter("oom_kills", "memory.events", "oom_kill ")),
    "pids": (Counter("pids_peak", "pids.peak"), Counter("pids_refused", "pids.events", "max ")),
    "cpu": (
        Counter("throttled_us", "cpu.stat", "throttled_usec "),
        Counter("throttled_periods", "cpu.stat", "nr_throttled "),
    ),
    "io": (Counter("io_read_bytes", "io.stat", "rbytes="), Counter("io_write_bytes", "io.stat", "wbytes=")),
}
V1_COUNTERS: Mapping[str, tuple[Counter, ...]] = {
    "memory": (
        Counter("memory_peak_bytes", "memory.max_usage_in_bytes"),
        Counter("oom_kills", "memory.oom_control", "oom_kill "),
    ),
    "pids": (Counter("pids_refused", "pids.events", "max "),),
    "cpu": (
        Counter("throttled_us", "cpu.stat", "throttled_time ", 1000),
        Counter("throttled_periods", "cpu.stat", "nr_throttled "),
    ),
    "blkio": (
        Counter("io_read_bytes", "blkio.throttle.io_service_bytes_recursive", "Read "),
        Counter("io_write_bytes", "blkio.throttle.io_service_bytes_recursive", "Write "),
    ),
}


@dataclass(frozen=True, slots=True)
class Held:
    """A limit that a control group keeps: the row, its value, the tree, and the files."""

    row: Row
    value: int
    tree: Hierarchy
    controller: str
    files: Files
    place: Place | None


V2_CPU = (
    Counter("group_cpu_us", "cpu.stat", "usage_usec "),
    Counter("group_user_us", "cpu.stat", "user_usec "),
    Counter("group_system_us", "cpu.stat", "system_usec "),
)
V1_CPU = (
    Counter("group_cpu_us", "cpuacct.usage", "", 1000),
    Counter("group_user_us", "cpuacct.usage_user", "", 1000),
    Counter("group_system_us", "cpuacct.usage_sys", "", 1000),
)
"""Every group of v2 counts CPU time, with and without a controller. Source: kernel/cgroup/rstat.c, root_cgroup_cputime."""


def is_wanted(row: Row, values: Mapping[str, int]) -> bool:
    """Whether the row says anything: swap does beside a limit of memory only."""
    if row.word == "swap" and values["memory"] == UNLIMITED:
        return False
    return values[row.word] != row.plain


def held(values: Mapping[str, int], places: Mapping[str, Place], host: Host, *, has_init: bool) -> tuple[Held, ...]:
    """Every limit of the whole box that this host can keep."""
    found = []
    for row in ROWS:
        if not is_wanted(row, values) or (row.word == "swap" and not host.has_swap):
            continue
        for knob, is_v2 in _knobs(row):
            tree = host.hierarchy_of(knob.controller)
            if tree is None or tree.is_v2 != is_v2:
                continue
            files = _files(row, knob, values, host, is_v2=is_v2, has_init=has_init)
            if not files:
                continue
            value = values[row.word] & (host.processors if row.unit is Unit.PROCESSORS else UNLIMITED)
            found.append(Held(row, value, tree, knob.controller, files, places.get(row.word)))
    return tuple(found)


def _knobs(row: Row) -> list[tuple[Knob, bool]]:
    """Those that there are, each with whether it is v2's."""
    return [(knob, is_v2) for knob, is_v2 in ((row.v2, True), (row.v1, False)) if knob]


def _files(row: Row, knob: Knob, values: Mapping[str, int], host: Host, *, is_v2: bool, has_init: bool) -> Files:
    value = values[row.word]
    if row.word == "swap" and not is_v2:
        return knob.files(values["memory"] + value, host) if value else NO_SWAP
    if row.word == "processes":
        return knob.files(value + has_init, host)
    return knob.files(value, host)


def lacks(values: Mapping[str, int], places: Mapping[str, Place], host: Host) -> Iterator[Lack]:
    """Limits that were said and that nothing here keeps for the whole box."""
    found = {limit.row.word for limit in held(values, places, host, has_init=True)}
    for row in ROWS:
        if not row.lost or row.word in found or not is_wanted(row, values):
            continue
        if row.is_clock and clock_group(host) is not None:
            continue
        if row.word == "swap" and ("memory" not in found or not host.has_swap):
            continue  # the lack of `memory` says it all; and what there is none of is used by nobody
        yield Lack(f"{row.word} is not limited for the box as a whole", *_why(row, host), row.lost, places.get(row.word))


def _why(row: Row, host: Host) -> tuple[str, str]:
    knob = row.v2 or row.v1
    controller = knob.controller if knob else "cpuacct" if host.cgroup == "v1" else ""
    if row.v2 and row.v1 is None and host.hierarchy_of(controller) is not None:
        return "cgroup v1 has nothing like it", "a host with cgroup v2, or leave it out"
    if any((found := host.hierarchy_of(knob.controller)) and found.is_v2 == is_v2 for knob, is_v2 in _knobs(row)):
        return row.nothing
    named = f" with the controller {controller}" if controller else ""
    why = host.controller_problems.get(controller) or f"this host has no control groups{named}"
    if (row.v1 or row.is_clock) and host.cgroup in ("v1", "hybrid") and not host.is_privileged:
        return why, "start it as root, or on a host with cgroup v2"
    scope = f"systemd-run {'' if host.is_privileged else '--user '}--scope -p Delegate=yes"
    return why, f"start it in a group of your own: {scope} ..."


def clock_group(host: Host) -> tuple[Want, Counter] | None:
    """The group that counts the CPU time of a box, and its counter; None: no group does here."""
    if any(tree.is_v2 for tree in host.hierarchies):
        return Want(0), V2_CPU[0]
    tree = host.hierarchy_of("cpuacct")
    return (Want(tree.group, "cpuacct"), V1_CPU[0]) if tree else None


def cpu_clock(values: Mapping[str, int], places: Mapping[str, Place], host: Host) -> tuple[ArmCpuClock, Want] | None:
    """The clock that counts CPU time, where a limit asks for it and a group counts it."""
    limit_ms, idle_ms = (0 if values[word] == UNLIMITED else values[word] for word in ("cpu_time", "idle"))
    found = clock_group(host)
    if found is None or not (limit_ms or idle_ms):
        return None
    want, counter = found
    op = ArmCpuClock(
        U32(want.group),
        Text(counter.file),
        Text(counter.key),
        U32(counter.divisor),
        U64(limit_ms * 1000),
        U64(idle_ms),
        U64(values["grace"]),
        U32(STOP_SIGNALS[values["stop_signal"]]),
    )
    return op, Want(want.group, want.controller, places.get("cpu_time" if limit_ms else "idle"))


def group_ops(
    limits: tuple[Held, ...], clock: Want | None
) -> tuple[list[tuple[Op, Place | None]], list[tuple[Op, Place | None]], tuple[Want, ...]]:
    """What is written ahead of the start, what is read at the end, and which groups that takes."""
    writes: list[tuple[Op, Place | None]] = []
    wants: dict[tuple[int, str], Want] = {}
    for limit in limits:
        writes += [(WriteGroup(U32(limit.tree.group), Text(file), Text(text)), limit.place) for file, text in limit.files]
        wants.setdefault((limit.tree.group, limit.controller), Want(limit.tree.group, limit.controller, limit.place))
    if clock:
        wants.setdefault((clock.group, clock.controller), clock)
    reads: list[tuple[Op, Place | None]] = []
    for (group, controller), want in wants.items():
        for counter in (V1_COUNTERS if group else V2_COUNTERS).get(controller, ()):
            reads.append((_read(counter, group), want.place))
    counted = clock or next((want for want in wants.values() if want.group == 0), None)
    if counted:
        reads += [(_read(counter, counted.group), counted.place) for counter in (V1_CPU if counted.group else V2_CPU)]
    return writes, reads, tuple(wants.values())


def _read(counter: Counter, group: int) -> ReadCounter:
    place = U32(COUNTERS.index(counter.name))
    return ReadCounter(place, U32(group), Text(counter.file), Text(counter.key), U32(counter.divisor))


def data_stand_in(values: Mapping[str, int], limits: tuple[Held, ...]) -> int:
    """The limit of `data`: where no group keeps `memory`, no process alone may have more of it."""
    is_kept = any(limit.row is BY_WORD["memory"] for limit in limits)
    return values["data"] if is_kept else min(values["data"], values["memory"])
