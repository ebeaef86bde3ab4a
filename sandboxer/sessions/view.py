"""The files of a session as its commands see them, read and written from outside, while none of them runs."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import ExitStack
from typing import Protocol

from sandboxer.kernel.files.beneath import (
    NotAFileError,
    give,
    kind_of,
    open_beneath,
    open_directory,
    open_file,
    open_parent,
    read_whole,
)
from sandboxer.kernel.files.trees import open_locked, readable, seen
from sandboxer.run.scratch.fill import FILE_MODE
from sandboxer.sessions.layers import is_opaque, is_whiteout, make_opaque
from sandboxer.sessions.state import State

Parts = tuple[bytes, ...]


class View(Protocol):
    """What a session does with the files of its own."""

    def read(self, parts: Parts, most_bytes: int) -> bytes:
        """One file. Raises: OSError, NotAFileError; ValueError where it is longer."""

    def write(self, parts: Parts, data: bytes) -> None:
        """One file, whole or not at all, in place of one that there is. Raises: OSError."""


class Plain:
    """A directory of the session's own."""

    def __init__(self, state: State) -> None:
        self._state = state

    def read(self, parts: Parts, most_bytes: int) -> bytes:
        """As in `View`."""
        top = self._state.open("files")
        try:
            return read_below(top, parts, most_bytes)
        finally:
            os.close(top)

    def write(self, parts: Parts, data: bytes) -> None:
        """As in `View`."""
        top = self._state.open("files")
        try:
            above = open_parent(top, parts[:-1], (os.geteuid(), os.getegid()))
        finally:
            os.close(top)
        try:
            put(above, parts[-1], data, FILE_MODE)
        finally:
            os.close(above)


class Overlaid:
    """A directory of the host with the changes of the session above it."""

    def __init__(self, state: State, shown: str, prefix: str) -> None:
        self._state = state
        self._shown = shown
        self._prefix = prefix

    def read(self, parts: Parts, most_bytes: int) -> bytes:
        """As in `View`."""
        is_ours = False
        with ExitStack() as opened:
            current = self._state.open("upper")
            opened.callback(os.close, current)
            for depth, name in enumerate(parts):
                found = find(current, name)
                if found is None:
                    if is_ours:
                        break
                    return self._read_lower(parts, most_bytes)
                if is_whiteout(found):
                    break
                if depth == len(parts) - 1:
                    return read_below(current, (name,), most_bytes)
                if not stat.S_ISDIR(found.st_mode):
                    raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), os.fsdecode(b"/".join(parts)))
                current = opened.enter_context(seen(current, name))
                is_ours = is_ours or is_opaque(current, self._prefix)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fsdecode(b"/".join(parts)))

    def _read_lower(self, parts: Parts, most_bytes: int) -> bytes:
        lower = os.open(self._shown, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            descriptor, _ = open_file(lower, b"/".join(parts))  # the host's modes are none of ours to change
        finally:
            os.close(lower)
        return read_bounded(descriptor, most_bytes)

    def write(self, parts: Parts, data: bytes) -> None:
        """As in `View`."""
        current = self._state.open("upper")
        lower: int | None = os.open(self._shown, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in parts[:-1]:
                above, below = current, lower
                current, lower = _descend(above, below, name, self._prefix)
                os.close(above)
                if below is not None:
                    os.close(below)
            under = find(lower, parts[-1]) if lower is not None else None
            if under is not None and stat.S_ISDIR(under.st_mode) and find(current, parts[-1]) is None:
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fsdecode(b"/".join(parts)))
            mode = stat.S_IMODE(under.st_mode) & 0o777 if under is not None and stat.S_ISREG(under.st_mode) else FILE_MODE
            put(current, parts[-1], data, mode)
        finally:
            os.close(current)
            if lower is not None:
                os.close(lower)


def _descend(upper: int, lower: int | None, name: bytes, prefix: str) -> tuple[int, int | None]:
    """The same directory one deeper in both layers; in the upper one it is made as overlayfs would make it."""
    found, under = find(upper, name), find(lower, name) if lower is not None else None
    is_there_below = under is not None and stat.S_ISDIR(under.st_mode)
    if found is None or is_whiteout(found):
        if found is None and under is not None and not is_there_below:
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), os.fsdecode(name))
        if found is not None:
            os.unlink(name, dir_fd=upper)
        os.mkdir(name, 0o700, dir_fd=upper)
        made = open_directory(upper, name)
        give(made, (os.geteuid(), os.getegid()), stat.S_IMODE(under.st_mode) & 0o777 if under and is_there_below else 0o755)
        if found is not None and is_there_below:
            make_opaque(made, prefix)
    else:
        made = open_locked(upper, name)
    is_merged = is_there_below and lower is not None and not is_opaque(made, prefix)
    return made, open_directory(lower, name) if is_merged and lower is not None else None


def find(directory: int, name: bytes) -> os.stat_result | None:
    """What a name is, not what it leads to; None: nothing."""
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def read_below(directory: int, parts: Parts, most_bytes: int) -> bytes:
    """One file below a directory. Raises: OSError, NotAFileError; ValueError where it is longer than that."""
    with ExitStack() as opened:
        current = directory
        for name in parts[:-1]:
            current = opened.enter_context(seen(current, name))
        return read_bounded(os.dup(opened.enter_context(readable(current, parts[-1]))), most_bytes)


def read_bounded(descriptor: int, most_bytes: int) -> bytes:
    """All of an open file, which is closed. Raises: OSError; ValueError where it is longer than that."""
    try:
        size = os.fstat(descriptor).st_size
        data = read_whole(descriptor, most_bytes) if size <= most_bytes else None
    finally:
        os.close(descriptor)
    if data is None:
        raise ValueError(f"it has {size} bytes, and at most {most_bytes} are read")
    return data


def put(directory: int, name: bytes, data: bytes, mode: int) -> None:
    """Write a file under another name, and give it its own when it is whole."""
    found = find(directory, name)
    if found is not None and stat.S_ISDIR(found.st_mode):
        raise NotAFileError(kind_of(found.st_mode))
    temporary = b".sandboxer-" + secrets.token_hex(8).encode()
    made = open_beneath(directory, temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(made, left) :]
        os.fchmod(made, mode)
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        os.unlink(temporary, dir_fd=directory)
        raise
    finally:
        os.close(made)
