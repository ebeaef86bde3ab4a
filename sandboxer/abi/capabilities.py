"""Capabilities and securebits. Source: include/uapi/linux/capability.h, include/uapi/linux/securebits.h, capabilities(7)."""

from __future__ import annotations

from enum import IntEnum, IntFlag, unique


@unique
class Capability(IntEnum):
    """The number of each capability; its bit in a set is `1 << number`."""

    CHOWN = 0
    DAC_OVERRIDE = 1
    DAC_READ_SEARCH = 2
    FOWNER = 3
    FSETID = 4
    KILL = 5
    SETGID = 6
    SETUID = 7
    SETPCAP = 8
    LINUX_IMMUTABLE = 9
    NET_BIND_SERVICE = 10
    NET_BROADCAST = 11
    NET_ADMIN = 12
    NET_RAW = 13
    IPC_LOCK = 14
    IPC_OWNER = 15
    SYS_MODULE = 16
    SYS_RAWIO = 17
    SYS_CHROOT = 18
    SYS_PTRACE = 19
    SYS_PACCT = 20
    SYS_ADMIN = 21
    SYS_BOOT = 22
    SYS_NICE = 23
    SYS_RESOURCE = 24
    SYS_TIME = 25
    SYS_TTY_CONFIG = 26
    MKNOD = 27
    LEASE = 28
    AUDIT_WRITE = 29
    AUDIT_CONTROL = 30
    SETFCAP = 31
    MAC_OVERRIDE = 32
    MAC_ADMIN = 33
    SYSLOG = 34
    WAKE_ALARM = 35
    BLOCK_SUSPEND = 36
    AUDIT_READ = 37
    PERFMON = 38
    BPF = 39
    CHECKPOINT_RESTORE = 40


@unique
class Securebits(IntFlag):
    """How user id 0 and execve act on capabilities. A `_LOCKED` bit makes its neighbour immutable."""

    NOROOT = 1 << 0
    NOROOT_LOCKED = 1 << 1
    NO_SETUID_FIXUP = 1 << 2
    NO_SETUID_FIXUP_LOCKED = 1 << 3
    KEEP_CAPS = 1 << 4
    KEEP_CAPS_LOCKED = 1 << 5
    NO_CAP_AMBIENT_RAISE = 1 << 6
    NO_CAP_AMBIENT_RAISE_LOCKED = 1 << 7


CAPABILITIES: dict[str, Capability] = {name.lower(): member for name, member in Capability.__members__.items()}
"""By the name that profiles use: `chown`, `net_bind_service`."""

SECUREBITS: dict[str, Securebits] = {name.lower(): member for name, member in Securebits.__members__.items()}
"""By the name that profiles use: `noroot`, `noroot_locked`."""
