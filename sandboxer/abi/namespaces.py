"""Namespaces. Source: include/uapi/linux/sched.h, namespaces(7)."""

from __future__ import annotations

from enum import IntFlag, unique


@unique
class CloneFlag(IntFlag):
    """The CLONE_NEW* flags. NEWTIME shares its bit with the exit signal of clone(2): only clone3(2) and unshare(2) take it."""

    NEWTIME = 0x00000080
    NEWNS = 0x00020000
    NEWCGROUP = 0x02000000
    NEWUTS = 0x04000000
    NEWIPC = 0x08000000
    NEWUSER = 0x10000000
    NEWPID = 0x20000000
    NEWNET = 0x40000000


NAMESPACES: dict[str, CloneFlag] = {
    "mount": CloneFlag.NEWNS,
    "pid": CloneFlag.NEWPID,
    "net": CloneFlag.NEWNET,
    "ipc": CloneFlag.NEWIPC,
    "uts": CloneFlag.NEWUTS,
    "user": CloneFlag.NEWUSER,
    "cgroup": CloneFlag.NEWCGROUP,
    "time": CloneFlag.NEWTIME,
}
"""By the name that profiles use."""

NAMESPACE_FILES: dict[str, str] = {
    "mount": "mnt",
    "pid": "pid_for_children",
    "net": "net",
    "ipc": "ipc",
    "uts": "uts",
    "user": "user",
    "cgroup": "cgroup",
    "time": "time_for_children",
}
"""The name of each namespace's file below /proc/PID/ns."""

TIME_CLOCKS: dict[str, int] = {"monotonic": 1, "boottime": 7}
"""The clocks that a time namespace can shift, by number. Source: include/uapi/linux/time.h, time_namespaces(7)."""

MAX_NESTED_USER_NAMESPACES = 32
"""Source: kernel/user_namespace.c, create_user_ns()."""

MAX_HOST_NAME = 64
"""Source: include/uapi/linux/utsname.h, __NEW_UTS_LEN."""

NAMESPACE_LIMITS: dict[str, str] = {kind: f"/proc/sys/user/max_{kind}_namespaces" for kind in NAMESPACES} | {
    "mount": "/proc/sys/user/max_mnt_namespaces",
}
"""How many of each kind a user may make in the user namespace of whoever looks."""
