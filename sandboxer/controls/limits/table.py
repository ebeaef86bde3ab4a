"""The table of limits: one row each. A new limit is a new row.

RLIMIT_RSS and RLIMIT_LOCKS have no row: the kernel has not enforced them since 2.4. Memory and processes of the whole box are the
work of control groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from sandboxer.abi.rlimits import MAX_OPEN_FILES, Rlimit
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


@dataclass(frozen=True, slots=True)
class Row:
    """One limit. rlimit: the kernel's resource; None where the monitor keeps the limit.

    default: what holds where nobody says anything. least, most: the bounds of what can be said, `unlimited` besides where
    can_be_unlimited says so.
    """

    word: str
    unit: Unit
    rlimit: Rlimit | None
    default: int
    least: int
    most: int
    help: str
    can_be_unlimited: bool = True


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
        "CPU time of one process, in whole seconds; each process of the box has its own count. It gets SIGXCPU, and SIGKILL a "
        "second later.",
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
