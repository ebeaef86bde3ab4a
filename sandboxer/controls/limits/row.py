"""What a row of the table of limits is, and how its value is written to the files of a control group.

Source: Documentation/admin-guide/cgroup-v2.rst; Documentation/admin-guide/cgroup-v1/memory.rst, pids.rst and cpusets.rst;
Documentation/scheduler/sched-bwc.rst; Documentation/block/bfq-iosched.rst.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from sandboxer.abi.rlimits import Rlimit
from sandboxer.model.host import Host
from sandboxer.model.section import Merge
from sandboxer.units import UNLIMITED, show_cpu_list


class Unit(Enum):
    """What a number of a row counts."""

    BYTES = "bytes"
    COUNT = "count"
    DURATION = "milliseconds"
    CPUS = "thousandths of a processor"
    PROCESSORS = "a bit for each processor"
    WORD = "place in `words`"


Files = tuple[tuple[str, str], ...]
"""What is written: name of the file, text."""


@dataclass(frozen=True, slots=True)
class Knob:
    """How a control group keeps a limit: its controller, and the files with the text for a value on a host."""

    controller: str
    files: Callable[[int, Host], Files]


def file(name: str) -> Callable[[int, Host], Files]:
    return lambda value, _: ((name, str(value)),)


def for_disks(name: str, text: str) -> Callable[[int, Host], Files]:
    """A line for each disk: `8:0 rbps=1048576`."""
    return lambda value, host: tuple((name, f"{disk} {text}{value}") for disk in host.disks)


RESERVED = (5, 7)
"""From this kernel on a group counts reserved huge pages too: who maps them has them, touched or not.
Source: Documentation/admin-guide/cgroup-v1/hugetlb.rst."""


def for_pages(name: str) -> Callable[[int, Host], Files]:
    """Files for each size of huge pages: how much may be used, and how much may be set aside for that."""

    def files(value: int, host: Host) -> Files:
        names = (name, f"rsvd.{name}") if host.kernel >= RESERVED else (name,)
        return tuple((f"hugetlb.{size}.{one}", str(value)) for size in host.huge_pages for one in names)

    return files


SAMPLES = tuple(Host(disks=("8:0",), huge_pages=("SIZE",), io_weights=kind) for kind in ("cost", "bfq"))
"""Hosts that have everything that a file of a group can be about."""


@dataclass(frozen=True, slots=True)
class Row:
    """One limit. rlimit: the kernel's resource; None where another one keeps the limit.

    v2, v1: how a control group keeps it. is_clock: the monitor keeps it, by what a group counts. lost: what is lost where there
    is no such group; empty: nothing, rlimit holds it too. default: what holds where nobody says anything. least, most: the
    bounds of what can be said, `unlimited` besides where can_be_unlimited says so. plain: the value that asks for nothing.
    merge: which of two values is the stricter. words: of a row that counts in words, from lax to strict. nothing: why a host with
    the controller keeps it for nothing, and what to try. keeper: who keeps it, where it is neither a group nor an rlimit.
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
    plain: int = UNLIMITED
    merge: Merge = Merge.LEAST
    words: tuple[str, ...] = ()
    keeper: str = "the monitor"
    nothing: tuple[str, str] = ("this host shows none of what it is about", "a host with /sys mounted, or leave it out")

    @property
    def keepers(self) -> tuple[str, ...]:
        """Who keeps the limit, in the kernel's own names: `memory.max (v2)`, `RLIMIT_DATA`, `the monitor`."""
        found = []
        for knob, version in ((self.v2, "v2"), (self.v1, "v1")):
            names = dict.fromkeys(file for host in SAMPLES for file, _ in (knob.files(1, host) if knob else ()))
            found += [f"{', '.join(names)} ({version})"] if names else []
        found += [f"RLIMIT_{self.rlimit.name}"] if self.rlimit is not None else []
        return tuple(found) or (self.keeper,)

    def is_laxer(self, value: int, old: int) -> bool:
        """Whether the value allows something that the old one does not."""
        match self.merge:
            case Merge.MOST:
                return value < old
            case Merge.COMMON:
                return bool(value & ~old)
            case Merge.CHOICE:
                return False
            case _:
                return value > old


CPU_PERIOD_US = 100_000
PLAIN_WEIGHT = 100
MAX_BFQ_WEIGHT = 1000  # BFQ_MAX_WEIGHT. Source: block/bfq-iosched.h


def v2_quota(milli_cpus: int, _: Host) -> Files:
    return (("cpu.max", f"{milli_cpus * CPU_PERIOD_US // 1000} {CPU_PERIOD_US}"),)


def v1_quota(milli_cpus: int, _: Host) -> Files:
    return (("cpu.cfs_period_us", str(CPU_PERIOD_US)), ("cpu.cfs_quota_us", str(milli_cpus * CPU_PERIOD_US // 1000)))


def v1_shares(weight: int, _: Host) -> Files:
    return (("cpu.shares", str(max(2, weight * 1024 // PLAIN_WEIGHT))),)


def processors(value: int, host: Host) -> Files:
    """Those of them that the caller has itself: a list of others would be ignored by v2, and refused by v1."""
    mine = value & host.processors
    return (("cpuset.cpus", show_cpu_list(mine)),) if mine else ()


def v2_io_weight(value: int, host: Host) -> Files:
    match host.io_weights:
        case "cost":
            return (("io.weight", str(value)),)
        case "bfq":
            return (("io.bfq.weight", str(min(value, MAX_BFQ_WEIGHT))),)
        case _:
            return ()


def v1_io_weight(value: int, host: Host) -> Files:
    return (("blkio.bfq.weight", str(min(value, MAX_BFQ_WEIGHT))),) if host.io_weights == "bfq" else ()


def v2_memory(value: int, _: Host) -> Files:
    return (("memory.max", str(value)), ("memory.oom.group", "1"))
