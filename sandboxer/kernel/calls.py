"""The system calls that Python has no name for, through ctypes: to find out what the kernel knows, in a process that can be lost.

Every function returns 0 or a positive result, or raises OSError with the kernel's errno. Cold path only.
"""

from __future__ import annotations

import ctypes
import os
import struct

from sandboxer.abi import ebpf

# From 424 on every architecture uses the same numbers (include/uapi/asm-generic/unistd.h).
PIDFD_SEND_SIGNAL, OPEN_TREE, MOVE_MOUNT, FSOPEN, FSCONFIG, FSMOUNT = 424, 428, 429, 430, 431, 432
PIDFD_OPEN, CLONE3, CLOSE_RANGE, OPENAT2, MOUNT_SETATTR, LANDLOCK_CREATE_RULESET = 434, 435, 436, 437, 442, 444
LANDLOCK_RESTRICT_SELF = 446

BPF = {"x86_64": 321, "aarch64": 280}  # arch/x86/entry/syscalls/syscall_64.tbl, asm-generic/unistd.h

MS_REC, MS_PRIVATE = 16384, 1 << 18  # linux/mount.h
FSCONFIG_CMD_CREATE = 6
FSCONFIG_SET_STRING = 1
FSCONFIG_SET_FLAG = 0
OPEN_TREE_CLONE = 1
AT_FDCWD, AT_EMPTY_PATH = -100, 0x1000
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOUNT_ATTR_IDMAP = 0x00100000
PR_SET_DUMPABLE, PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 4, 1, 38
LANDLOCK_CREATE_RULESET_VERSION = 1

_NOTHING = ctypes.c_void_p(None)
_BAD = ctypes.c_uint(0xFFFFFFFF)

# A call of each that fails for its arguments, before the kernel looks at anything else: only ENOSYS (or an outer filter's
# EPERM, or a kill) says that it is not there. fsopen, fsmount and move_mount ask for privilege first, so EPERM says nothing.
_HARMLESS: tuple[tuple[str, int, tuple[object, ...], bool], ...] = (
    ("pidfd_open", PIDFD_OPEN, (-1, 0), True),
    ("pidfd_send_signal", PIDFD_SEND_SIGNAL, (-1, 0, _NOTHING, _BAD), True),
    ("clone3", CLONE3, (_NOTHING, 0), True),
    ("close_range", CLOSE_RANGE, (1, 0, 0), True),
    ("openat2", OPENAT2, (-1, _NOTHING, _NOTHING, 0), True),
    ("open_tree", OPEN_TREE, (-1, _NOTHING, _BAD), True),
    ("mount_setattr", MOUNT_SETATTR, (-1, _NOTHING, _BAD, _NOTHING, 0), True),
    ("move_mount", MOVE_MOUNT, (-1, _NOTHING, -1, _NOTHING, _BAD), False),
    ("fsopen", FSOPEN, (_NOTHING, _BAD), False),
    ("fsconfig", FSCONFIG, (-1, _BAD, _NOTHING, _NOTHING, 0), True),
    ("fsmount", FSMOUNT, (-1, _BAD, _BAD), False),
)

_ENOSYS, _EPERM = 38, 1

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class MountAttributes(ctypes.Structure):
    """struct mount_attr, linux/mount.h."""

    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def call(number: int, *arguments: object) -> int:
    """syscall(2). Integers become long, `bytes` and None pointers. Raises OSError."""
    converted = [ctypes.c_long(item) if isinstance(item, int) else item for item in arguments]
    result = _libc.syscall(ctypes.c_long(number), *converted)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(result)


def place_of(room: bytearray) -> object:
    """The address of a buffer that the kernel fills, as an argument for `call`."""
    return (ctypes.c_char * len(room)).from_buffer(room)


def find_missing_calls() -> tuple[str, ...]:
    """The calls of the launcher that this kernel, or a filter around us, answers as if they were not there."""
    return tuple(name for name, number, arguments, is_plain in _HARMLESS if _is_missing(number, arguments, is_plain))


def load_device_program() -> None:
    """Load a device program that refuses everything, and let go of it. Raises OSError. bpf(2), BPF_PROG_LOAD."""
    code = ctypes.create_string_buffer(
        struct.pack(ebpf.INSTRUCTION, ebpf.MOVE_IMMEDIATE, 0, 0, 0) + struct.pack(ebpf.INSTRUCTION, ebpf.EXIT, 0, 0, 0)
    )
    license_text = ctypes.create_string_buffer(b"Apache-2.0")
    addresses = (ctypes.addressof(code), ctypes.addressof(license_text))
    attributes = struct.pack(
        "<IIQQIIQII16sII", ebpf.PROGRAM_TYPE_CGROUP_DEVICE, 2, *addresses, *(0,) * 5, b"", 0, ebpf.ATTACH_CGROUP_DEVICE
    )
    os.close(call(BPF[os.uname().machine], ebpf.PROGRAM_LOAD, ctypes.create_string_buffer(attributes), len(attributes)))


def find_landlock_abi() -> tuple[int, int]:
    """The Landlock ABI version, or 0 and the errno: EOPNOTSUPP where it is built in and was not started, ENOSYS where it is not
    built in or a filter hides it. landlock_create_ruleset(2)."""
    try:
        return call(LANDLOCK_CREATE_RULESET, _NOTHING, 0, LANDLOCK_CREATE_RULESET_VERSION), 0
    except OSError as error:
        return 0, error.errno or 0


def make_ruleset(attributes: bytes) -> int:
    """A Landlock ruleset; the descriptor is the caller's. landlock_create_ruleset(2). Raises OSError."""
    return call(LANDLOCK_CREATE_RULESET, attributes, len(attributes), 0)


def enter_ruleset(ruleset: int, flags: int) -> None:
    """Let the calling thread enter a domain, for good. landlock_restrict_self(2). Raises OSError."""
    call(LANDLOCK_RESTRICT_SELF, ruleset, flags)


def forbid_new_privileges() -> None:
    """PR_SET_NO_NEW_PRIVS(2const), of the calling thread. Raises OSError."""
    _checked(_libc.prctl(PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), 0, 0, 0))


def prctl(option: int, *arguments: int) -> None:
    """prctl(2) of the calling thread; what is not given is 0. Raises OSError."""
    padded = (*arguments, 0, 0, 0, 0)[:4]
    _checked(_libc.prctl(ctypes.c_int(option), *(ctypes.c_ulong(item) for item in padded)))


def unshare(flags: int) -> None:
    """Enter new namespaces. unshare(2). Raises OSError."""
    _checked(_libc.unshare(ctypes.c_int(flags)))


def make_private() -> None:
    """Cut all mounts off from the ones they were copied from. mount(2), MS_PRIVATE. Raises OSError."""
    _checked(_libc.mount(None, b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None))


def mount(kind: bytes, target: bytes, data: bytes) -> None:
    """mount(2) of a new filesystem. Raises OSError."""
    _checked(_libc.mount(kind, target, kind, ctypes.c_ulong(0), data))


def make_mount(kind: bytes) -> int:
    """A detached mount of a new instance of a filesystem without options; the descriptor is the caller's. Raises OSError."""
    context = call(FSOPEN, kind, 0)
    try:
        call(FSCONFIG, context, FSCONFIG_CMD_CREATE, _NOTHING, _NOTHING, 0)
        return call(FSMOUNT, context, 0, 0)
    finally:
        os.close(context)


def clone_mount(path: bytes) -> int:
    """A detached copy of the mount at a path. open_tree(2). Raises OSError."""
    return call(OPEN_TREE, AT_FDCWD, path, OPEN_TREE_CLONE | os.O_CLOEXEC)


def idmap_mount(mount_fd: int, namespace_fd: int) -> None:
    """Give a detached mount the id mapping of a user namespace. mount_setattr(2), MOUNT_ATTR_IDMAP. Raises OSError."""
    attributes = MountAttributes(attr_set=MOUNT_ATTR_IDMAP, userns_fd=namespace_fd)
    call(MOUNT_SETATTR, mount_fd, b"", AT_EMPTY_PATH, ctypes.byref(attributes), ctypes.sizeof(attributes))


def set_dumpable(value: int) -> None:
    """PR_SET_DUMPABLE(2const), in a trial child where python-prctl need not be. Raises OSError."""
    _checked(_libc.prctl(PR_SET_DUMPABLE, ctypes.c_ulong(value), 0, 0, 0))


def die_with_parent(signal: int) -> None:
    """PR_SET_PDEATHSIG(2const). Raises OSError."""
    _checked(_libc.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal), 0, 0, 0))


def _checked(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _is_missing(number: int, arguments: tuple[object, ...], is_plain: bool) -> bool:
    try:
        call(number, *arguments)
    except OSError as error:
        return error.errno == _ENOSYS or (is_plain and error.errno == _EPERM)
    return False
