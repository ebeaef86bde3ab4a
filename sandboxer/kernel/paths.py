"""Facts about host paths, for lowering: what each one is, who owns it, on which file system, and where its links lead.

It looks and never opens; a path that cannot be seen is a fact too.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable

from sandboxer.kernel.proc import MountTable, find_text, parse_mountinfo
from sandboxer.model.host import PathFact, PathKind

MAX_LINKS = 40  # include/linux/namei.h, MAXSYMLINKS
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
_KINDS = (
    (stat.S_ISDIR, PathKind.DIRECTORY),
    (stat.S_ISREG, PathKind.FILE),
    (stat.S_ISLNK, PathKind.SYMLINK),
    (stat.S_ISCHR, PathKind.DEVICE),
    (stat.S_ISBLK, PathKind.DEVICE),
    (stat.S_ISSOCK, PathKind.SOCKET),
)


def find_facts(paths: Iterable[str], *, mounts: MountTable | None = None) -> dict[str, PathFact]:
    """The facts of absolute, normalised paths, of every directory above them, and of all that their links lead to.

    Each path is there under the text that was asked for, and under its real name when links stand on the way: for `/bin/sh` on
    a merged /usr that is `/bin` (a link), `/bin/sh`, `/usr`, `/usr/bin`, `/usr/bin/sh` (a link) and `/usr/bin/dash`. Loops end
    after 40 links, as in the kernel.
    """
    search = _Search(mounts or MountTable(parse_mountinfo(find_text("/proc/self/mountinfo") or "")))
    for path in sorted(paths):
        search.follow(path)
    return search.facts


class _Search:
    """One walk over several paths that asks the kernel about each name once."""

    def __init__(self, mounts: MountTable) -> None:
        self.facts: dict[str, PathFact] = {}
        self._mounts = mounts

    def follow(self, path: str) -> None:
        """Record the path as it is written, then walk it name by name through every link."""
        self._look(path)
        current, rest = "/", _names(path)
        self._look(current)
        links = 0
        while rest:
            name = rest.pop(0)
            if name == "..":
                current = os.path.dirname(current)
                continue
            candidate = f"{current.rstrip('/')}/{name}"
            fact = self._look(candidate)
            if fact.kind is PathKind.SYMLINK:
                links += 1
                if links > MAX_LINKS:
                    return
                rest = _names(fact.target) + rest
                current = "/" if fact.target.startswith("/") else current
            elif fact.kind in (PathKind.MISSING, PathKind.UNREADABLE):
                return
            else:
                current = candidate

    def _look(self, path: str) -> PathFact:
        known = self.facts.get(path)
        if known is None:
            known = self.facts[path] = self._ask(path)
        return known

    def _ask(self, path: str) -> PathFact:
        try:
            seen = os.lstat(path)
            target = os.readlink(path) if stat.S_ISLNK(seen.st_mode) else ""
        except OSError as error:
            kind = PathKind.MISSING if error.errno in _ABSENT else PathKind.UNREADABLE
            return PathFact(kind, filesystem="")
        except ValueError:  # a NUL in the name: no such file can be
            return PathFact(PathKind.MISSING, filesystem="")
        return PathFact(
            kind=next((kind for test, kind in _KINDS if test(seen.st_mode)), PathKind.OTHER),
            uid=seen.st_uid,
            gid=seen.st_gid,
            mode=stat.S_IMODE(seen.st_mode),
            target=target,
            filesystem=self._mounts.filesystem_of(path),
            number=(os.major(seen.st_rdev), os.minor(seen.st_rdev)),
            is_block=stat.S_ISBLK(seen.st_mode),
        )


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name and name != "."]


def find_inode(path: bytes) -> int:
    """The number of the inode that a path names, without following a final link; 0 where there is none."""
    try:
        return os.lstat(path).st_ino
    except (OSError, ValueError):
        return 0
