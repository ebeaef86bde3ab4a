"""Every box that lives here and that the caller may see: its launcher, its processes, and what they use at this moment.

A box is found by its monitor, a process of the launcher's program that no other such process has started; its processes are those
below the monitor. Numbers are sums over them, and of the box's control group where it has one. proc_pid_stat(5), cgroups(7).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sandboxer.kernel.groups import V2, parse_groups
from sandboxer.kernel.proc import Mount, find_text, parse_mountinfo

PROGRAM = "sandboxer-launch"
COMM = PROGRAM[:15]  # TASK_COMM_LEN. Source: include/linux/sched.h
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Process:
    """One line of /proc/PID/stat: times in seconds, started_s since the boot, waited_s of children that it has waited for."""

    pid: int
    parent: int
    comm: str
    cpu_s: float
    started_s: float
    rss_bytes: int
    waited_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Box:
    """A box at one moment. memory_bytes: of its control group; None: it has none, and rss_bytes is the sum over its processes.

    front: the command line of whoever started the launcher; command: that of the box's first process besides its init.
    """

    monitor: int
    uid: int
    processes: int
    cpu_s: float
    rss_bytes: int
    memory_bytes: int | None
    age_s: float
    front: tuple[str, ...]
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Moment:
    """What one box uses now. cpu_us: of its processes, and of those that they have waited for; the launcher's is in it.

    memory_bytes: as in `Box`.
    """

    processes: int
    cpu_us: int
    rss_bytes: int
    memory_bytes: int | None


def look_at(monitor: int) -> Moment | None:
    """One box, by its monitor; None: it is gone. Only its own processes are looked at, however many others there are."""
    found = [process for pid in _below(monitor) for process in _read(pid)]
    jobs = [process for process in found if process.comm != COMM]
    if not found:
        return None
    mounts = parse_mountinfo(find_text("/proc/self/mountinfo") or "")
    cpu_us = round(1_000_000 * sum(process.cpu_s + process.waited_s for process in found))
    return Moment(len(jobs), cpu_us, sum(process.rss_bytes for process in jobs), _group_memory(found[0].pid, mounts))


def _below(monitor: int) -> list[int]:
    """Every process below one, by the children that each thread of it has. proc_pid_children(5)."""
    found: list[int] = []
    todo = [monitor]
    while todo:
        pid = todo.pop()
        try:
            threads = os.listdir(f"/proc/{pid}/task")
        except OSError:
            continue
        children = [int(word) for thread in threads for word in (find_text(f"/proc/{pid}/task/{thread}/children") or "").split()]
        found += children
        todo += children
    return found


def find_boxes() -> tuple[Box, ...]:
    """All of them, the oldest first. What ends while we look is left out."""
    processes = {process.pid: process for entry in os.listdir("/proc") if entry.isdigit() for process in _read(int(entry))}
    below: dict[int, list[Process]] = {}
    for process in processes.values():
        below.setdefault(process.parent, []).append(process)
    mounts = parse_mountinfo(find_text("/proc/self/mountinfo") or "")
    monitors = [one for one in processes.values() if one.comm == COMM and _comm(processes, one.parent) != COMM]
    boxes = [_box(one, _descendants(one.pid, below), mounts) for one in monitors]
    return tuple(sorted(boxes, key=lambda box: (-box.age_s, box.monitor)))


def _comm(processes: Mapping[int, Process], pid: int) -> str:
    return processes[pid].comm if pid in processes else ""


def _read(pid: int) -> Iterable[Process]:
    text = find_text(f"/proc/{pid}/stat") or ""
    head, _, rest = text.rpartition(")")
    words = rest.split()
    if len(words) < 22:
        return
    cpu_s = (int(words[11]) + int(words[12])) / _TICKS
    waited_s = (int(words[13]) + int(words[14])) / _TICKS
    yield Process(pid, int(words[1]), head.partition("(")[2], cpu_s, int(words[19]) / _TICKS, int(words[21]) * _PAGE, waited_s)


def _descendants(pid: int, below: Mapping[int, list[Process]]) -> list[Process]:
    found: list[Process] = []
    todo = list(below.get(pid, ()))
    while todo:
        process = todo.pop(0)
        found.append(process)
        todo += below.get(process.pid, ())
    return found


def _box(monitor: Process, inside: list[Process], mounts: tuple[Mount, ...]) -> Box:
    jobs = [process for process in inside if process.comm != COMM]
    uptime = float((find_text("/proc/uptime") or "0").split()[0])
    return Box(
        monitor=monitor.pid,
        uid=_owner(monitor.pid),
        processes=len(jobs),
        cpu_s=sum(process.cpu_s for process in inside),
        rss_bytes=sum(process.rss_bytes for process in jobs),
        memory_bytes=_group_memory(inside[0].pid, mounts) if inside else None,
        age_s=max(0.0, uptime - monitor.started_s),
        front=_words(monitor.parent),
        command=_words(jobs[0].pid) if jobs else (),
    )


def _owner(pid: int) -> int:
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return -1


def _words(pid: int) -> tuple[str, ...]:
    return tuple((find_text(f"/proc/{pid}/cmdline") or "").split("\0")[:-1])


def _group_memory(pid: int, mounts: tuple[Mount, ...]) -> int | None:
    """What the box's own group holds; a group that is not the box's says nothing about it."""
    for controllers, path in parse_groups(find_text(f"/proc/{pid}/cgroup") or ""):
        is_v2 = controllers == (V2,)
        if "/sandboxer/" not in path or not (is_v2 or "memory" in controllers):
            continue
        for mount in mounts:
            is_its = mount.filesystem == "cgroup2" if is_v2 else mount.filesystem == "cgroup" and "memory" in mount.super_options
            text = find_text(f"{mount.point}/{path}/{'memory.current' if is_v2 else 'memory.usage_in_bytes'}") if is_its else None
            if text is not None:
                return int(text)
    return None
