"""The mount API, old and new. Source: include/uapi/linux/mount.h, include/uapi/linux/fcntl.h, mount_setattr(2), open_tree(2)."""

from __future__ import annotations

from enum import IntFlag, unique


class MountAttr(IntFlag):
    """MOUNT_ATTR_*. The atime settings are one field of three bits (`ATIME_MASK`); RELATIME is its zero."""

    NONE = 0
    RDONLY = 0x00000001
    NOSUID = 0x00000002
    NODEV = 0x00000004
    NOEXEC = 0x00000008
    NOATIME = 0x00000010
    STRICTATIME = 0x00000020
    ATIME_MASK = 0x00000070
    NODIRATIME = 0x00000080
    IDMAP = 0x00100000
    NOSYMFOLLOW = 0x00200000


@unique
class MountFlag(IntFlag):
    """MS_* of mount(2)."""

    RDONLY = 1
    NOSUID = 2
    NODEV = 4
    NOEXEC = 8
    SYNCHRONOUS = 16
    REMOUNT = 32
    MANDLOCK = 64
    DIRSYNC = 128
    NOSYMFOLLOW = 256
    NOATIME = 1024
    NODIRATIME = 2048
    BIND = 4096
    MOVE = 8192
    REC = 16384
    SILENT = 32768
    POSIXACL = 1 << 16
    UNBINDABLE = 1 << 17
    PRIVATE = 1 << 18
    SLAVE = 1 << 19
    SHARED = 1 << 20
    RELATIME = 1 << 21
    KERNMOUNT = 1 << 22
    I_VERSION = 1 << 23
    STRICTATIME = 1 << 24
    LAZYTIME = 1 << 25


@unique
class UmountFlag(IntFlag):
    """MNT_* and UMOUNT_* of umount2(2). Source: include/linux/fs.h."""

    FORCE = 1
    DETACH = 2
    EXPIRE = 4
    NOFOLLOW = 8


@unique
class OpenTreeFlag(IntFlag):
    """OPEN_TREE_* and the AT_* flags that open_tree(2) takes beside them."""

    CLONE = 1
    CLOEXEC = 0o2000000
    NO_AUTOMOUNT = 0x800
    EMPTY_PATH = 0x1000
    RECURSIVE = 0x8000


@unique
class MoveMountFlag(IntFlag):
    """MOVE_MOUNT_* of move_mount(2)."""

    F_SYMLINKS = 0x00000001
    F_AUTOMOUNTS = 0x00000002
    F_EMPTY_PATH = 0x00000004
    T_SYMLINKS = 0x00000010
    T_AUTOMOUNTS = 0x00000020
    T_EMPTY_PATH = 0x00000040
    SET_GROUP = 0x00000100
    BENEATH = 0x00000200
