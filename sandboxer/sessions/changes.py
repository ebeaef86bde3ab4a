"""What a session has changed of a directory: its upper layer met with the directory as it is now."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

from sandboxer.errors import Problem, UnsupportedError
from sandboxer.kernel.files.beneath import CHUNK_BYTES, open_directory, open_file
from sandboxer.kernel.files.trees import readable, seen
from sandboxer.model.outcome.escape import escape_name
from sandboxer.sessions.layers import check_plain, is_opaque, is_whiteout
from sandboxer.sessions.view import find

MAX_DEPTH = 200
"""Each has two descriptors open."""
MAX_CHANGES = 1_000_000
OWN_DIRECTORY = 0o700
"""What its owner may do with a directory that is committed, whatever the job thinks of that."""


class Action(Enum):
    """What became of it."""

    ADDED = "added"
    MODIFIED = "modified"
    REMOVED = "removed"


class Kind(Enum):
    """What it is now; of what was removed, what it was."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    FIFO = "fifo"
    SOCKET = "socket"
    DEVICE = "device"


_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.LINK,
    stat.S_IFIFO: Kind.FIFO,
    stat.S_IFSOCK: Kind.SOCKET,
}


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is not as it was. path: relative, and as the job named it: `str` of it is for people.

    size_bytes: of a file. mode: its permissions. target: where a link leads, as the job wrote it.
    """

    action: Action
    path: str
    kind: Kind
    size_bytes: int = 0
    mode: int = 0
    target: str = ""

    def __str__(self) -> str:
        return f"{self.action.value} {self.kind.value} {escape_name(os.fsencode(self.path))}"


def find_changes(upper: int, lower: int | None, prefix: str) -> Iterator[Change]:
    """All changes, each directory ahead of what is in it. lower: None: there is nothing below, and everything is added.

    prefix: of the attributes of the overlay.

    Raises: UnsupportedError for what cannot be told; OSError.
    """
    for count, change in enumerate(_Walk(prefix).walk(upper, lower, (), is_top=True)):
        if count >= MAX_CHANGES:
            raise UnsupportedError(Problem(f"there are more than {MAX_CHANGES} changes"))
        yield change


@dataclass(frozen=True, slots=True)
class _Walk:
    """Through both layers side by side."""

    prefix: str

    def walk(self, upper: int, lower: int | None, above: tuple[bytes, ...], *, is_top: bool = False) -> Iterator[Change]:
        if len(above) > MAX_DEPTH:
            raise UnsupportedError(Problem(f"what has changed is deeper than {MAX_DEPTH} directories"))
        names = _names(upper)
        if lower is not None and not is_top and is_opaque(upper, self.prefix):
            for name in _names(lower):
                was = find(lower, name)
                if name not in names and was is not None:
                    yield _change(Action.REMOVED, above, name, was)
        for name in sorted(names):
            found = find(upper, name)
            was = find(lower, name) if lower is not None else None
            if found is None:
                continue
            if is_whiteout(found):
                if was is not None:
                    yield _change(Action.REMOVED, above, name, was)
            elif was is None:
                yield from self.added(upper, above, name, found)
            elif stat.S_IFMT(was.st_mode) != stat.S_IFMT(found.st_mode):
                yield _change(Action.REMOVED, above, name, was)
                yield from self.added(upper, above, name, found)
            elif lower is not None:
                yield from self.both(upper, lower, above, name, found, was)

    def added(self, upper: int, above: tuple[bytes, ...], name: bytes, found: os.stat_result) -> Iterator[Change]:
        yield _change(Action.ADDED, above, name, found, upper)
        if stat.S_ISDIR(found.st_mode):
            with seen(upper, name) as below:
                yield from self.walk(below, None, (*above, name))

    def both(
        self, upper: int, lower: int, above: tuple[bytes, ...], name: bytes, found: os.stat_result, was: os.stat_result
    ) -> Iterator[Change]:
        """What is of one kind in both layers."""
        always = OWN_DIRECTORY if stat.S_ISDIR(found.st_mode) else 0
        is_same_mode = (found.st_mode | always) & 0o777 == (was.st_mode | always) & 0o777
        if stat.S_ISDIR(found.st_mode):
            with seen(upper, name) as inner, _opened(open_directory(lower, name)) as below:
                check_plain(inner, self.prefix)
                if not is_same_mode:
                    yield _change(Action.MODIFIED, above, name, found)
                yield from self.walk(inner, below, (*above, name))
            return
        if stat.S_ISREG(found.st_mode):
            is_same = is_same_mode and found.st_size == was.st_size and self.is_same_content(upper, lower, name)
        elif stat.S_ISLNK(found.st_mode):
            is_same = os.readlink(name, dir_fd=upper) == os.readlink(name, dir_fd=lower)
        else:
            is_same = False
        if not is_same:
            yield _change(Action.MODIFIED, above, name, found, upper)

    def is_same_content(self, upper: int, lower: int, name: bytes) -> bool:
        with readable(upper, name) as ours:
            check_plain(ours, self.prefix)
            try:
                theirs = open_file(lower, name)[0]
            except OSError:
                return False
            with _opened(theirs):
                while True:
                    piece = os.read(ours, CHUNK_BYTES)
                    if piece != os.read(theirs, CHUNK_BYTES):
                        return False
                    if not piece:
                        return True


def _names(directory: int) -> set[bytes]:
    with os.scandir(directory) as entries:
        return {os.fsencode(entry.name) for entry in entries}


def _change(action: Action, above: tuple[bytes, ...], name: bytes, found: os.stat_result, directory: int | None = None) -> Change:
    kind = _KINDS.get(stat.S_IFMT(found.st_mode), Kind.DEVICE)
    target = os.fsdecode(os.readlink(name, dir_fd=directory)) if kind is Kind.LINK and directory is not None else ""
    size = found.st_size if kind is Kind.FILE else 0
    return Change(action, os.fsdecode(b"/".join((*above, name))), kind, size, stat.S_IMODE(found.st_mode), target)


@contextmanager
def _opened(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)
