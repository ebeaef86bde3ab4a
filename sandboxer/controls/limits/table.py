"""The table of limits: one row each. A new limit is a new row.

A limit is kept by the kernel, for each process (`rlimit`) or for the whole box (`v2`, `v1`: control groups), or by the monitor.
RLIMIT_RSS and RLIMIT_LOCKS have no row: the kernel has not enforced them since 2.4.

Source: Documentation/admin-guide/cgroup-v2.rst; Documentation/admin-guide/cgroup-v1/memory.rst and pids.rst;
Documentation/scheduler/sched-bwc.rst.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from sandboxer.abi.rlimits import MAX_OPEN_FILES, Rlimit
from sandboxer.model.host import Host
from sandboxer.units import UNLIMITED

MAX_SIZE = (1 << 63) - 1
MAX_COUNT = (1 << 31) - 1
MAX_PIDS = 1 << 22  # PID_MAX_LIMIT. Source: include/linux/threads.h
MAX_DURATION_MS = (1 << 53) - 1
SECOND = 1000
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


class Unit(Enum):
    """What a number of a row counts."""

    BYTES = "bytes"
    COUNT = "count"
    DURATION = "milliseconds"
    CPUS = "thousandths of a processor"


Files = tuple[tuple[str, str], ...]
"""What is written: name of the file, text."""


@dataclass(frozen=True, slots=True)
class Knob:
    """How a control group keeps a limit: its controller, and the files with the text for a value on a host."""

    controller: str
    files: Callable[[int, Host], Files]


def _file(name: str) -> Callable[[int, Host], Files]:
    return lambda value, _: ((name, str(value)),)


def _for_disks(name: str, text: str) -> Callable[[int, Host], Files]:
    """A line for each disk: `8:0 rbps=1048576`."""
    return lambda value, host: tuple((name, f"{disk} {text}{value}") for disk in host.disks)


def _for_pages(name: str) -> Callable[[int, Host], Files]:
    """A file for each size of huge pages."""
    return lambda value, host: tuple((name.format(size), str(value)) for size in host.huge_pages)


@dataclass(frozen=True, slots=True)
class Row:
    """One limit. rlimit: the kernel's resource; None where another one keeps the limit.

    v2, v1: how a control group keeps it. is_clock: the monitor keeps it, by what a group counts. lost: what is lost where there
    is no such group; empty: nothing, rlimit holds it too. default: what holds where nobody says anything. least, most: the
    bounds of what can be said, `unlimited` besides where can_be_unlimited says so.
    """

    word: str
    unit: Unit
    rlimit: Rlimit | None
    default: int
    least: int
    most: int
    help: str
    can_be_unlimited: bool = True
    v2: Knob | None = None
    v1: Knob | None = None
    lost: str = ""
    is_clock: bool = False


CPU_PERIOD_US = 100_000
PLAIN_WEIGHT = 100


def _v2_quota(milli_cpus: int, _: Host) -> Files:
    return (("cpu.max", f"{milli_cpus * CPU_PERIOD_US // 1000} {CPU_PERIOD_US}"),)


def _v1_quota(milli_cpus: int, _: Host) -> Files:
    return (("cpu.cfs_period_us", str(CPU_PERIOD_US)), ("cpu.cfs_quota_us", str(milli_cpus * CPU_PERIOD_US // 1000)))


def _v1_shares(weight: int, _: Host) -> Files:
    return (("cpu.shares", str(max(2, weight * 1024 // PLAIN_WEIGHT))),)


def _v2_memory(value: int, _: Host) -> Files:
    return (("memory.max", str(value)), ("memory.oom.group", "1"))


ROWS: tuple[Row, ...] = (
    Row(
        "open_files",
        Unit.COUNT,
        Rlimit.NOFILE,
        1024,
        16,
        MAX_OPEN_FILES,
        "descriptors that one process can have open.",
    ),
    Row(
        "processes",
        Unit.COUNT,
        Rlimit.NPROC,
        512,
        1,
        MAX_PIDS,
        "processes and threads of the box at one time; its init is not counted.",
        v2=Knob("pids", _file("pids.max")),
        v1=Knob("pids", _file("pids.max")),
    ),
    Row(
        "memory",
        Unit.BYTES,
        None,
        UNLIMITED,
        4 * MIB,
        MAX_SIZE,
        "memory of the whole box: what its processes hold, its files in memory, and what the kernel keeps for it. When it is "
        "full, everything in the box is killed; with cgroup v1, the largest process.",
        v2=Knob("memory", _v2_memory),
        v1=Knob("memory", _file("memory.limit_in_bytes")),
        lost="each process alone is held to it, by its private memory (`data`); the box as a whole is not",
    ),
    Row(
        "memory_high",
        Unit.BYTES,
        None,
        UNLIMITED,
        4 * MIB,
        MAX_SIZE,
        "memory of the whole box above which it is slowed down and made to give back; nothing is killed.",
        v2=Knob("memory", _file("memory.high")),
        lost="nothing slows the box down",
    ),
    Row(
        "swap",
        Unit.BYTES,
        None,
        0,
        0,
        MAX_SIZE,
        "swap space of the whole box, besides `memory`; it counts where `memory` is limited.",
        v2=Knob("memory", _file("memory.swap.max")),
        v1=Knob("memory", _file("memory.memsw.limit_in_bytes")),
        lost="the box can be swapped out without a bound",
    ),
    Row(
        "cpus",
        Unit.CPUS,
        None,
        UNLIMITED,
        10,
        1 << 20,
        'how many processors the whole box can keep busy: 2, 150%, "0.5". What wants more waits.',
        v2=Knob("cpu", _v2_quota),
        v1=Knob("cpu", _v1_quota),
        lost="the box can keep every processor busy",
    ),
    Row(
        "cpu_weight",
        Unit.COUNT,
        None,
        PLAIN_WEIGHT,
        1,
        10_000,
        "the box's share where processors are short, beside the 100 of others.",
        can_be_unlimited=False,
        v2=Knob("cpu", _file("cpu.weight")),
        v1=Knob("cpu", _v1_shares),
        lost="the box has the same share of the processors as others",
    ),
    Row(
        "io_read",
        Unit.BYTES,
        None,
        UNLIMITED,
        4 * KIB,
        MAX_SIZE,
        "bytes in a second that the whole box can read from each disk. More than that waits.",
        v2=Knob("io", _for_disks("io.max", "rbps=")),
        v1=Knob("blkio", _for_disks("blkio.throttle.read_bps_device", "")),
        lost="the box can keep every disk busy with reading",
    ),
    Row(
        "io_write",
        Unit.BYTES,
        None,
        UNLIMITED,
        4 * KIB,
        MAX_SIZE,
        "bytes in a second that the whole box can write to each disk; with cgroup v1, past the page cache only. More than that "
        "waits.",
        v2=Knob("io", _for_disks("io.max", "wbps=")),
        v1=Knob("blkio", _for_disks("blkio.throttle.write_bps_device", "")),
        lost="the box can keep every disk busy with writing",
    ),
    Row(
        "io_read_ops",
        Unit.COUNT,
        None,
        UNLIMITED,
        1,
        MAX_COUNT,
        "read operations on each disk in a second, by the whole box. More than that waits.",
        v2=Knob("io", _for_disks("io.max", "riops=")),
        v1=Knob("blkio", _for_disks("blkio.throttle.read_iops_device", "")),
        lost="the box can keep every disk busy with reading",
    ),
    Row(
        "io_write_ops",
        Unit.COUNT,
        None,
        UNLIMITED,
        1,
        MAX_COUNT,
        "write operations on each disk in a second, by the whole box; with cgroup v1, past the page cache only. More than that "
        "waits.",
        v2=Knob("io", _for_disks("io.max", "wiops=")),
        v1=Knob("blkio", _for_disks("blkio.throttle.write_iops_device", "")),
        lost="the box can keep every disk busy with writing",
    ),
    Row(
        "huge_pages",
        Unit.BYTES,
        None,
        UNLIMITED,
        0,
        MAX_SIZE,
        "memory of the whole box in huge pages of each size (hugetlbfs, MAP_HUGETLB); `memory` does not count it.",
        v2=Knob("hugetlb", _for_pages("hugetlb.{}.max")),
        v1=Knob("hugetlb", _for_pages("hugetlb.{}.limit_in_bytes")),
        lost="the box can take all huge pages that the host has set aside",
    ),
    Row(
        "file_size",
        Unit.BYTES,
        Rlimit.FSIZE,
        GIB,
        0,
        MAX_SIZE,
        "the largest file that can be written; a process that goes on gets SIGXFSZ.",
    ),
    Row(
        "core", Unit.BYTES, Rlimit.CORE, 0, 0, MAX_SIZE, "the largest core dump. 0 keeps the host's crash handler out of it too."
    ),
    Row("stack", Unit.BYTES, Rlimit.STACK, 8 * MIB, 128 * KIB, MAX_SIZE, "the largest stack of a process's first thread."),
    Row(
        "address_space",
        Unit.BYTES,
        Rlimit.AS,
        UNLIMITED,
        MIB,
        MAX_SIZE,
        "what one process can map, used or not. Programs that reserve much and use little (Go, Java, node, sanitizers) need "
        "far more of it than of memory.",
    ),
    Row("data", Unit.BYTES, Rlimit.DATA, UNLIMITED, MIB, MAX_SIZE, "private writable memory of one process: heap and the like."),
    Row(
        "locked_memory", Unit.BYTES, Rlimit.MEMLOCK, 64 * KIB, 0, MAX_SIZE, "memory that one process can keep from being swapped."
    ),
    Row(
        "cpu_time",
        Unit.DURATION,
        Rlimit.CPU,
        UNLIMITED,
        SECOND,
        MAX_DURATION_MS,
        "CPU time of the whole box; then the command gets SIGXCPU, and everything SIGKILL after `grace`. Without a control group "
        "each process has a count of its own, in whole seconds.",
        lost="each process has a count of its own",
        is_clock=True,
    ),
    Row(
        "idle",
        Unit.DURATION,
        None,
        UNLIMITED,
        100,
        MAX_DURATION_MS,
        "how long the whole box may use no CPU time at all (less than 1 ms); then the command gets SIGTERM, as for `wall`.",
        lost="a box that waits for ever is not ended",
        is_clock=True,
    ),
    Row("queue_bytes", Unit.BYTES, Rlimit.MSGQUEUE, 64 * KIB, 0, MAX_SIZE, "bytes in POSIX message queues of the box's user."),
    Row(
        "signals_pending",
        Unit.COUNT,
        Rlimit.SIGPENDING,
        1024,
        16,
        MAX_COUNT,
        "queued signals and POSIX timers of the box's user.",
    ),
    Row(
        "nice",
        Unit.COUNT,
        Rlimit.NICE,
        0,
        0,
        40,
        "how far the job can raise its priority again: down to a niceness of 20 less this number.",
        can_be_unlimited=False,
    ),
    Row(
        "realtime_priority",
        Unit.COUNT,
        Rlimit.RTPRIO,
        0,
        0,
        99,
        "the highest real-time priority that the job can take.",
        can_be_unlimited=False,
    ),
    Row(
        "output",
        Unit.BYTES,
        None,
        UNLIMITED,
        0,
        MAX_SIZE,
        "bytes that the command can write to its standard outputs, both together; then the box is killed, and what it wrote "
        "before is whole. The outputs are pipes then, unless it has a terminal of its own.",
    ),
    Row(
        "wall",
        Unit.DURATION,
        None,
        UNLIMITED,
        1,
        MAX_DURATION_MS,
        "how long the box can live, by the clock on the wall; then the command gets SIGTERM.",
    ),
    Row(
        "grace",
        Unit.DURATION,
        None,
        2 * SECOND,
        0,
        3600 * SECOND,
        "how long after that SIGTERM everything in the box is killed. 0: at once, without a SIGTERM.",
        can_be_unlimited=False,
    ),
)

BY_WORD: dict[str, Row] = {row.word: row for row in ROWS}
