"""Whole trees that a job may have made: removed and copied beneath a directory, however deep, odd or locked they are."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fcntl import ioctl

from sandboxer.kernel.files.beneath import CHUNK_BYTES, check_file, open_beneath, open_directory

FICLONE = 0x40049409  # include/uapi/linux/fs.h
_NO_REFLINK = (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.EPERM)


def empty(directory: int) -> None:
    """Remove everything in a directory. What lies deeper is moved up ahead of that, so no depth is too much for us.

    Raises: OSError; ENOTEMPTY where somebody goes on to make things.
    """
    number = 0
    for _ in range(1 << 30):
        names = _some(directory)
        if not names:
            return
        before = number
        for name in names:
            if _unlink(directory, name):
                continue
            inner = open_locked(directory, name)
            try:
                while deeper := _some(inner):
                    for one in deeper:
                        if not _unlink(inner, one):
                            os.close(open_locked(inner, one))  # to be moved it must be writable
                            os.rename(one, b".sandboxer-%d-%d" % (os.getpid(), number), src_dir_fd=inner, dst_dir_fd=directory)
                            number += 1
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=directory)
        if number - before > 1 << 24:
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))


def _some(directory: int, most: int = 1000) -> list[bytes]:
    names = []
    with os.scandir(directory) as entries:
        for entry in entries:
            names.append(os.fsencode(entry.name))
            if len(names) >= most:
                break
    return names


def _unlink(directory: int, name: bytes) -> bool:
    """Remove what is no directory; False: it is one."""
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return True
    except (IsADirectoryError, PermissionError):
        if not stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            raise
        return False
    return True


def open_locked(directory: int, name: bytes) -> int:
    """A directory of ours, opened for whatever is to be done there, though its mode says that nobody may. Raises: OSError."""
    try:
        inner = open_directory(directory, name)
    except PermissionError:
        place = open_beneath(directory, name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            os.chmod(f"/proc/self/fd/{place}", 0o700)
        finally:
            os.close(place)
        return open_directory(directory, name)
    mode = stat.S_IMODE(os.fstat(inner).st_mode)
    if mode & 0o700 != 0o700:
        os.fchmod(inner, mode | 0o700)
    return inner


@contextmanager
def seen(directory: int, name: bytes) -> Iterator[int]:
    """A directory of ours, to look into, though its mode may say that nobody may; its mode stays as it is. Raises: OSError."""
    place = open_beneath(directory, name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
    with _lent(place, 0o500, os.O_DIRECTORY) as descriptor:
        yield descriptor


@contextmanager
def readable(directory: int, name: bytes) -> Iterator[int]:
    """The same of a regular file. Raises: OSError, NotAFileError."""
    place = open_beneath(directory, name, os.O_PATH | os.O_NOFOLLOW)
    try:
        check_file(os.fstat(place))
    except BaseException:
        os.close(place)
        raise
    with _lent(place, 0o400, os.O_NONBLOCK | os.O_NOCTTY) as descriptor:
        yield descriptor


@contextmanager
def _lent(place: int, needed: int, flags: int) -> Iterator[int]:
    """What a descriptor names, opened, with these permissions for as long as that takes. The descriptor is closed."""
    path = f"/proc/self/fd/{place}"
    found = os.fstat(place)
    mode = stat.S_IMODE(found.st_mode)
    is_locked = mode & needed != needed and found.st_uid == os.geteuid() != 0
    try:
        if is_locked:
            os.chmod(path, mode | needed)
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
        try:
            yield descriptor
        finally:
            os.close(descriptor)
    finally:
        if is_locked:
            os.chmod(path, mode)
        os.close(place)


def copy_tree(source: int, target: int, *, keep: Callable[[int, int], None]) -> None:
    """Copy everything in a directory: files by reflink where that can be, whiteouts, FIFOs and links as what they are.

    keep: copies what else a directory has, from one descriptor to another. Sockets are left out: nobody listens there any more.
    Deeper than descriptors reach it raises. Raises: OSError.
    """
    keep(source, target)
    with os.scandir(source) as entries:
        names = sorted(os.fsencode(entry.name) for entry in entries)
    for name in names:
        found = os.stat(name, dir_fd=source, follow_symlinks=False)
        mode = stat.S_IMODE(found.st_mode)
        match stat.S_IFMT(found.st_mode):
            case stat.S_IFDIR:
                _copy_directory(source, target, name, mode, keep)
            case stat.S_IFREG:
                copy_file(source, name, target, name, mode)
            case stat.S_IFLNK:
                os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
            case stat.S_IFIFO:
                os.mkfifo(name, mode & 0o777, dir_fd=target)
            case stat.S_IFCHR if found.st_rdev == 0:
                os.mknod(name, stat.S_IFCHR, 0, dir_fd=target)
            case _:
                continue


def _copy_directory(source: int, target: int, name: bytes, mode: int, keep: Callable[[int, int], None]) -> None:
    os.mkdir(name, 0o700, dir_fd=target)
    made = open_directory(target, name)
    try:
        with seen(source, name) as below:
            copy_tree(below, made, keep=keep)
        os.fchmod(made, mode & 0o777)
    finally:
        os.close(made)


def copy_file(source: int, name: bytes, target: int, new_name: bytes, mode: int) -> None:
    """Copy one regular file to a name that there is not yet; no set-id bit goes along. Raises: OSError, NotAFileError."""
    with readable(source, name) as reader:
        writer = open_beneath(target, new_name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            copy_content(reader, writer)
            os.fchmod(writer, mode & 0o777)
        finally:
            os.close(writer)


def copy_content(reader: int, writer: int) -> None:
    """The content of a file into an empty one, by reflink where the file system can. Raises: OSError."""
    try:
        ioctl(writer, FICLONE, reader)
        return
    except OSError as error:
        if error.errno not in _NO_REFLINK:
            raise
    while piece := os.read(reader, CHUNK_BYTES):
        left = memoryview(piece)
        while left:
            left = left[os.write(writer, left) :]
