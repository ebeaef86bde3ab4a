"""What texts of the system say: status, mountinfo, sysctls, the cgroup layout, subuid. Parsers take text; readers do the I/O."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sandboxer.model.host import IdRange

ID_LIMIT = 2**32 - 1  # the last id stands for "no change" in setresuid(2)
NAMESPACE_FILES = {
    "mount": "mnt",
    "pid": "pid",
    "net": "net",
    "ipc": "ipc",
    "uts": "uts",
    "user": "user",
    "cgroup": "cgroup",
    "time": "time",
}
"""The names of namespaces below /proc/PID/ns. namespaces(7)."""
NAMESPACE_NAMES = {file: kind for kind, file in NAMESPACE_FILES.items()}
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of mountinfo. `point` is unescaped; `root` is the part of the file system that shows there. proc(5)."""

    mount_id: int
    parent_id: int
    root: str
    point: str
    options: tuple[str, ...]
    filesystem: str
    source: str
    super_options: tuple[str, ...]


def find_text(path: str) -> str | None:
    """The text of a small file, or None where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            return stream.read()
    except OSError:
        return None


def find_number(path: str) -> int | None:
    """The number in a sysctl file, or None where there is none."""
    text = find_text(path)
    try:
        return int(text) if text else None
    except ValueError:
        return None


def parse_status(text: str) -> dict[str, str]:
    """/proc/PID/status as field -> value."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {key: value.strip() for key, _, value in pairs}


def parse_mountinfo(text: str) -> tuple[Mount, ...]:
    """/proc/PID/mountinfo, line by line; lines that are not in its form are left out. proc_pid_mountinfo(5)."""
    mounts = []
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        words, tail = left.split(), right.split(" ")
        if len(words) < 6 or len(tail) < 3:
            continue
        mounts.append(
            Mount(
                mount_id=int(words[0]),
                parent_id=int(words[1]),
                root=unescape(words[3]),
                point=unescape(words[4]),
                options=tuple(words[5].split(",")),
                filesystem=tail[0],
                source=unescape(tail[1]),
                super_options=tuple(tail[2].split(",")),
            )
        )
    return tuple(mounts)


def unescape(text: str) -> str:
    r"""Space, tab, newline and backslash as mountinfo writes them (`\040`), turned back; other bytes stay as they are."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)


class MountTable:
    """Which file system a path is on: the longest mount point above it, and of equal ones the last (it covers the others)."""

    def __init__(self, mounts: Iterable[Mount]) -> None:
        self._by_point: Mapping[str, Mount] = {mount.point: mount for mount in mounts}

    def find(self, path: str) -> Mount | None:
        """The mount that shows at an absolute, normalised path; None when the root is not in the table (a chroot)."""
        point = path
        while True:
            found = self._by_point.get(point)
            if found is not None:
                return found
            if point == "/":
                return None
            point = point.rpartition("/")[0] or "/"

    def filesystem_of(self, path: str) -> str:
        """The type of the file system at a path; empty where it is unknown."""
        found = self.find(path)
        return found.filesystem if found else ""


def cgroup_layout(mounts: Iterable[Mount]) -> str:
    """`v2`, `v1`, `hybrid` (v1 controllers beside a v2 tree) or `none`."""
    kinds = {mount.filesystem for mount in mounts}
    match "cgroup2" in kinds, "cgroup" in kinds:
        case True, True:
            return "hybrid"
        case True, False:
            return "v2"
        case False, True:
            return "v1"
        case _:
            return "none"


def own_cgroup(text: str) -> str:
    """The path of the process's v2 group out of /proc/self/cgroup; empty where there is none. cgroups(7)."""
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        if number == "0" and rest.startswith(":"):
            return rest[1:]
    return ""


def is_chrooted(mounts: Iterable[Mount]) -> bool:
    """Whether `/` is no mount point: the kernel refuses user namespaces to a chrooted process (fs/namespace.c)."""
    return all(mount.point != "/" for mount in mounts)


def parse_kernel_version(release: str) -> tuple[int, int]:
    """Major and minor out of a release such as `6.12.9-amd64`; (0, 0) when there is none."""
    match = re.match(r"(\d+)\.(\d+)", release)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def parse_subids(text: str, user: str, user_id: int) -> tuple[IdRange, ...]:
    """The ranges of a user, by name or by number, in the file's order; malformed lines are left out. subuid(5)."""
    ranges = []
    for line in text.splitlines():
        fields = line.strip().split(":")
        if len(fields) != 3 or fields[0] not in (user, str(user_id)):
            continue
        start, count = (int(field) if field.isascii() and field.isdigit() else 0 for field in fields[1:])
        if start and count and start + count <= ID_LIMIT:
            ranges.append(IdRange(start, count))
    return tuple(ranges)


def own_namespace(kind: str) -> str:
    """Which namespace this process is in, `net:[4026531840]`; empty where the kernel has none of the kind."""
    try:
        return os.readlink(f"/proc/self/ns/{NAMESPACE_FILES[kind]}")
    except OSError:
        return ""
