"""Files below a directory that somebody else may write to: every name is looked up beneath it, and no link is followed.

The directory is a descriptor, and so is every step on the way; a path is never looked up twice. openat2(2), RESOLVE_BENEATH.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Iterable

from sandboxer.kernel import calls

RESOLVE_NO_XDEV, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH = 1, 2, 4, 8  # include/uapi/linux/openat2.h
_RULES = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV
_TRIES = 64  # EAGAIN: somebody renamed something above while the kernel looked
CHUNK_BYTES = 1 << 20

_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class OpenHow(ctypes.Structure):
    """struct open_how, include/uapi/linux/openat2.h."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_beneath(directory: int, name: bytes, flags: int, mode: int = 0) -> int:
    """A descriptor of something below a directory, close-on-exec. Raises: OSError; ELOOP for a link, EXDEV for a way out."""
    how = OpenHow(flags | os.O_CLOEXEC, mode, _RULES)
    for _ in range(_TRIES):
        try:
            return calls.call(calls.OPENAT2, directory, name, ctypes.byref(how), ctypes.sizeof(how))
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EINTR):
                raise
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def open_directory(directory: int, name: bytes) -> int:
    """A directory below another, to be listed. Raises: OSError."""
    return open_beneath(directory, name, os.O_RDONLY | os.O_DIRECTORY)


def open_file(directory: int, name: bytes) -> tuple[int, os.stat_result]:
    """A regular file below a directory, to be read, and what it is. It is never waited for. Raises: OSError, NotAFileError.

    What it is is asked of a descriptor that opens nothing, and the very same is opened then: the mere open of a FIFO wakes
    whoever waits there, and that of a device does whatever its driver does.
    """
    place = open_beneath(directory, name, os.O_PATH | os.O_NOFOLLOW)
    try:
        check_file(os.fstat(place))
        descriptor = os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    finally:
        os.close(place)
    return descriptor, os.fstat(descriptor)


class NotAFileError(ValueError):
    """It is something else than a regular file; the text says what."""


def check_file(found: os.stat_result) -> None:
    """Raises: NotAFileError."""
    if not stat.S_ISREG(found.st_mode):
        raise NotAFileError(kind_of(found.st_mode))


def kind_of(mode: int) -> str:
    """What a file is that is no regular one, for people."""
    return next((words for test, words in _KINDS if test(mode)), "no regular file")


def read_whole(descriptor: int, most: int) -> bytes | None:
    """All that is in a file, or None where that is more than `most` bytes. Raises: OSError."""
    data = bytearray()
    while piece := os.read(descriptor, min(CHUNK_BYTES, most + 1 - len(data))):
        data += piece
        if len(data) > most:
            return None
    return bytes(data)


def open_parent(directory: int, names: Iterable[bytes], owner: tuple[int, int], mode: int = 0o755) -> int:
    """The directory at the end of these names, with what is missing on the way made for its owner. Raises: OSError."""
    current = os.dup(directory)
    try:
        for name in names:
            deeper = _enter(current, name, owner, mode)
            os.close(current)
            current = deeper
    except BaseException:
        os.close(current)
        raise
    return current


def _enter(directory: int, name: bytes, owner: tuple[int, int], mode: int) -> int:
    try:
        os.mkdir(name, 0o700, dir_fd=directory)
    except FileExistsError:
        return open_directory(directory, name)
    made = open_directory(directory, name)
    give(made, owner, mode)
    return made


def give(descriptor: int, owner: tuple[int, int], mode: int) -> None:
    """Make something that was just made somebody's, with exactly this mode. Raises: OSError."""
    found = os.fstat(descriptor)
    if (found.st_uid, found.st_gid) != owner:
        os.fchown(descriptor, *owner)
    os.fchmod(descriptor, mode)
