"""Reads files back out of a directory that a job had, and believes nothing of what is there.

Only regular files that are named by the caller's globs are opened, beneath the directory, through no link. Each is whole or it is
left out. How many names are looked at, how deep, and how many bytes are taken is bounded.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field

from sandboxer.kernel.files.beneath import NotAFileError, open_directory, open_file, read_whole
from sandboxer.model.outcome.escape import escape_name
from sandboxer.model.outcome.files import Collected, LeftOut
from sandboxer.run.scratch.names import MAX_DEPTH, Globs

MAX_COLLECT_BYTES = 64 << 20
MAX_FILES = 10_000
MAX_ENTRIES = 100_000
MAX_LEFT_OUT = 100

States = tuple[frozenset[int], ...]


@dataclass(slots=True)
class _Collector:
    globs: Globs
    most_bytes: int
    found: dict[str, bytes] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    left_out_more: int = 0
    entries: int = 0
    taken_bytes: int = 0
    end: str = ""

    def walk(self, directory: int, above: tuple[bytes, ...], states: States) -> None:
        """Look at one directory, its files and directories in the order of their names."""
        for name in self.list_names(directory):
            below = self.globs.advance(states, os.fsdecode(name))
            if self.end or not any(below):
                continue
            path = (*above, name)
            if self.globs.is_match(below):
                self.take(directory, path)
            if len(path) <= MAX_DEPTH:
                self.descend(directory, path, below)
            else:
                self.leave_out(path, f"it is deeper than {MAX_DEPTH} directories")

    def list_names(self, directory: int) -> list[bytes]:
        """The names of a directory, as many as may be looked at."""
        names = []
        with os.scandir(directory) as entries:
            for entry in entries:
                self.entries += 1
                if self.entries > MAX_ENTRIES:
                    self.end = f"there are more than {MAX_ENTRIES} names, and the rest was not looked at"
                    break
                names.append(os.fsencode(entry.name))
        return sorted(names)

    def descend(self, directory: int, path: tuple[bytes, ...], states: States) -> None:
        """Go into a directory; whatever else it is is none of ours."""
        try:
            deeper = open_directory(directory, path[-1])
        except NotADirectoryError:
            return
        except OSError as error:
            is_link = error.errno == errno.ELOOP
            if not (is_link and self.globs.is_match(states)):  # that was told when it was not taken
                why = "it is a symbolic link" if is_link else f"it cannot be opened: {os.strerror(error.errno or 0)}"
                self.leave_out(path, why)
            return
        try:
            self.walk(deeper, path, states)
        finally:
            os.close(deeper)

    def take(self, directory: int, path: tuple[bytes, ...]) -> None:
        """Read a file, or say why not. A directory that matches is none: what is in it was not asked for by that."""
        text = b"/".join(path).decode("utf-8", "surrogateescape")
        if not text.isprintable():
            if not _is_directory(directory, path[-1]):
                self.leave_out(path, "its name is not plain text")
            return
        try:
            descriptor, found = open_file(directory, path[-1])
        except NotAFileError as error:
            if str(error) != "a directory":
                self.leave_out(path, f"it is {error}")
            return
        except OSError as error:
            self.leave_out(path, f"it cannot be opened: {os.strerror(error.errno or 0)}")
            return
        try:
            if len(self.found) >= MAX_FILES:
                self.end = f"there are more than {MAX_FILES} files, and the rest was not read"
                return
            left = self.most_bytes - self.taken_bytes
            data = read_whole(descriptor, left) if found.st_size <= left else None
        except OSError as error:
            self.leave_out(path, f"it cannot be read: {os.strerror(error.errno or 0)}")
            return
        finally:
            os.close(descriptor)
        if data is None:
            self.leave_out(path, f"it has {found.st_size} bytes, and {left} of {self.most_bytes} were left to be taken")
            return
        self.taken_bytes += len(data)
        self.found[text] = data

    def leave_out(self, path: tuple[bytes, ...], why: str) -> None:
        """Say of a file that it is not there; of the first so many by name."""
        if len(self.left_out) < MAX_LEFT_OUT:
            self.left_out.append(LeftOut(escape_name(b"/".join(path)), why))
        else:
            self.left_out_more += 1


def _is_directory(directory: int, name: bytes) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
    except OSError:
        return False


def collect(directory: int, globs: Globs, *, most_bytes: int = MAX_COLLECT_BYTES) -> Collected:
    """What of the globs is below a directory. most_bytes: of all files together."""
    collector = _Collector(globs, most_bytes)
    collector.walk(directory, (), globs.begin)
    more = f"{collector.left_out_more} more files were left out" if collector.left_out_more else ""
    truncated = "; ".join(text for text in (collector.end, more) if text)
    return Collected(collector.found, tuple(collector.left_out), truncated)
