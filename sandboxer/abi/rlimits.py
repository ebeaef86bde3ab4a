"""Resource limits. Source: include/uapi/asm-generic/resource.h (x86-64 and arm64 use it as it is), getrlimit(2)."""

from __future__ import annotations

from enum import IntEnum, unique


@unique
class Rlimit(IntEnum):
    """The number of each resource."""

    CPU = 0
    FSIZE = 1
    DATA = 2
    STACK = 3
    CORE = 4
    RSS = 5
    NPROC = 6
    NOFILE = 7
    MEMLOCK = 8
    AS = 9
    LOCKS = 10
    SIGPENDING = 11
    MSGQUEUE = 12
    NICE = 13
    RTPRIO = 14
    RTTIME = 15


RLIM_INFINITY = (1 << 64) - 1
"""No limit."""

RLIMITS: dict[str, Rlimit] = {f"RLIMIT_{name}": member for name, member in Rlimit.__members__.items()}
"""By the kernel's name: `RLIMIT_NOFILE`."""

MAX_OPEN_FILES = 1 << 30
"""What fs.nr_open can be raised to at most. Source: fs/file.c, sysctl_nr_open_max, on 64 bits."""
