"""Whether a run left anything behind: processes, mounts, descriptors, files."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import prctl


@dataclass(frozen=True, slots=True)
class Traces:
    """What there was at one moment. files: path -> (mode, size, inode). groups: those of boxes of launchers that are gone."""

    processes: frozenset[int]
    mounts: frozenset[str]
    descriptors: frozenset[str]
    files: tuple[tuple[str, int, int, int], ...]
    groups: frozenset[str] = frozenset()

    def leftovers(self, before: Traces) -> list[str]:
        """What is there now and was not before, and what is gone, one line each."""
        lines = [f"process {pid} {command_of(pid)}" for pid in sorted(self.processes - before.processes)]
        lines += [f"mount {mount}" for mount in sorted(self.mounts - before.mounts)]
        lines += [f"lost mount {mount}" for mount in sorted(before.mounts - self.mounts)]
        lines += [f"descriptor {name}" for name in sorted(self.descriptors - before.descriptors)]
        lines += [f"control group {name}" for name in sorted(self.groups - before.groups)]
        lines += [f"file {file[0]}" for file in sorted(set(self.files) - set(before.files))]
        lines += [f"lost file {file[0]}" for file in sorted(set(before.files) - set(self.files))]
        return lines


def adopt_orphans() -> None:
    """Become the parent of every orphan among our descendants, so that `descendants` sees it. PR_SET_CHILD_SUBREAPER(2const)."""
    prctl.set_child_subreaper(1)


def read_traces(directories: Iterable[Path] = ()) -> Traces:
    """Look now. directories: trees that a run must not touch, such as its working directory."""
    return Traces(frozenset(descendants(os.getpid())), _mounts(), _descriptors(), tuple(sorted(_files(directories))), _groups())


def descendants(root: int) -> set[int]:
    """Every living process below one, by the parents that /proc names; zombies do not count."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (found := _parent_of(int(entry))) is not None:
            children.setdefault(found, []).append(int(entry))
    seen: set[int] = set()
    todo = list(children.get(root, ()))
    while todo:
        pid = todo.pop()
        seen.add(pid)
        todo += children.get(pid, ())
    return seen


def wait_until_gone(
    before: Traces, directories: Iterable[Path] = (), limit_s: float = 10.0, next_start: Callable[[], object] | None = None
) -> list[str]:
    """Look until nothing is left or the time is over; the last look's leftovers. Reaps the orphans that we adopted.

    next_start: starts a box, once nothing but groups is left: a launcher removes those of others that were killed.
    """
    places = tuple(directories)
    end = time.monotonic() + limit_s
    while True:
        reap_adopted()
        left = read_traces(places).leftovers(before)
        if not left or time.monotonic() > end:
            return left
        if next_start and all(line.startswith("control group ") for line in left):
            next_start()
            next_start = None
        time.sleep(0.005)


def _groups() -> frozenset[str]:
    """Those of boxes in every hierarchy that is mounted, without those of launchers that live: tests run side by side."""
    found = set()
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, point, kind, *_ = line.split(" ")
        if kind in ("cgroup", "cgroup2"):
            found |= {path for path in _boxes_below(point) if not _has_launcher(os.path.basename(path))}
    return frozenset(found)


def _boxes_below(point: str) -> Iterator[str]:
    """Groups of boxes; those of others may go while we look, which os.walk passes over."""
    for directory, names, _ in os.walk(point):
        if os.path.basename(directory) == "sandboxer":
            yield from (f"{directory}/{name}" for name in names if "-" in name)
            names.clear()


def _has_launcher(name: str) -> bool:
    return os.path.exists(f"/proc/{name.partition('-')[0]}")


def command_of(pid: int) -> str:
    """The command line of a process, for messages."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def _parent_of(pid: int) -> int | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    state, parent = text.rpartition(")")[2].split()[:2]
    return None if state in "ZX" else int(parent)


def reap_adopted() -> None:
    """Collect ended children that nobody waits for; a child of subprocess is left to its owner (it would report status 0)."""
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            words = Path(f"/proc/{entry}/stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if words[0] == "Z" and int(words[1]) == os.getpid() and int(words[2]) != os.getpgrp():
            try:
                os.waitpid(int(entry), os.WNOHANG)
            except ChildProcessError:
                continue


def _mounts() -> frozenset[str]:
    return frozenset(line.split(" ", 1)[1] for line in Path("/proc/self/mountinfo").read_text().splitlines())


def _descriptors() -> frozenset[str]:
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{name} {os.readlink(f'/proc/self/fd/{name}')}")
        except OSError:  # the descriptor of this very listing
            continue
    return frozenset(found)


def _files(directories: Iterable[Path]) -> Iterable[tuple[str, int, int, int]]:
    for directory in directories:
        for path in directory.rglob("*"):
            seen = path.lstat()
            yield str(path), seen.st_mode, 0 if path.is_dir() else seen.st_size, seen.st_ino
