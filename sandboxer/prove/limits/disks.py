"""How limits of the traffic with disks are tried: by how long it takes, past the page cache, where the box shows a disk.

Only too short a time is held against a limit: the kernel lets nobody through sooner, however fast the disk, and a machine that is
busy makes it longer.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from sandboxer.controls.limits.table import KIB, MIB
from sandboxer.controls.paths import covers
from sandboxer.controls.room import Use
from sandboxer.kernel.groups import find_disk_of, find_large_file
from sandboxer.model.op import OpenTree
from sandboxer.prove.judge import lacking
from sandboxer.prove.limits.each_process import Limit
from sandboxer.prove.limits.whole_box import is_kept_by_group, only_read
from sandboxer.prove.probe import Finding, Probe, Seen, Trial, error_name, steps_of
from sandboxer.prove.script import Script, answer, data, scratch
from sandboxer.prove.subject import Subject

AT_FDCWD = -100
BLOCK = 4 * KIB
READ_WRITE, PRIVATE = 3, 0x22  # PROT_READ | PROT_WRITE; MAP_PRIVATE | MAP_ANONYMOUS
CLOCK_MONOTONIC = 1
MOST_BYTES, MOST_OPS = MIB, 10
SHARE = 0.6
"""Of the time that the limit alone makes it take; the kernel lets the share of a first tenth of a second through at once.
Source: block/blk-throttle.c, tg_within_bps_limit."""
PROGRAMS = ("/usr/bin", "/usr/lib", "/bin", "/lib")


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is asked of a disk: so many calls of so many bytes each, and how long they take at the least."""

    calls: int
    size_bytes: int
    least_ms: int


def bytes_in_a_second(value: int) -> Traffic:
    """Half of what a second allows, at once."""
    size = max(value // 2 // BLOCK, 1) * BLOCK
    return Traffic(1, size, int(1000 * SHARE * size / value))


def calls_in_a_second(value: int) -> Traffic:
    """Half of what a second allows and one more, for the first has to wait for nobody."""
    count = value // 2 + 1
    return Traffic(count, BLOCK, int(1000 * SHARE * (count - 1) / value))


def _shown(subject: Subject, use: Use) -> Iterator[str]:
    """Directories that the box shows where the host has them, for this use."""
    sources = [step.op.path for step in steps_of(subject.plan) if isinstance(step.op, OpenTree)]
    for item in subject.scene.shown:
        if item.is_directory and item.use & use and any(covers(source, item.path) for source in sources):
            yield item.path


def find_readable(subject: Subject, least_bytes: int) -> str:
    """A file of the box that lies on a disk of the host; empty: none is known."""
    shown = list(_shown(subject, Use.READ))
    programs = [path for path in PROGRAMS if any(covers(item, path) for item in shown)]
    for directory in (*programs, *shown):
        found = find_large_file(directory, least_bytes)
        if found and find_disk_of(found) in subject.host.disks:
            return found
    return ""


def find_writable(subject: Subject) -> str:
    """A directory of the box that lies on a disk of the host, where a file can be made; empty: none is known."""
    return next((path for path in _shown(subject, Use.MAKE) if find_disk_of(path) in subject.host.disks), "")


def _tried(subject: Subject, limit: Limit, most: int, traffic: Callable[[int], Traffic], *, is_write: bool) -> Probe:
    tried = min(limit.value, most)
    asked = traffic(tried)
    path = find_writable(subject) if is_write else find_readable(subject, asked.size_bytes)
    if not path or not is_kept_by_group(subject, limit):
        return only_read(subject, limit, f"nothing that the box may {'write' if is_write else 'read'} lies on a disk")
    script = Script(subject)
    flags = os.O_DIRECT | (os.O_TMPFILE | os.O_RDWR if is_write else os.O_RDONLY)
    opened = script.call("openat", AT_FDCWD, data(os.fsencode(path)), flags, 0o600)
    room = script.call("mmap", 0, asked.size_bytes, READ_WRITE, PRIVATE, -1, 0)
    begun = _look_at_clock(script)
    repeated = script.say(f"repeat {asked.calls} 1")
    script.call("pwrite64" if is_write else "pread64", answer(opened), answer(room), asked.size_bytes, 0)
    over = _look_at_clock(script)
    judge = partial(judge_waited, asked, opened, repeated, (begun, over))
    trial = Trial(script.statements, judge, {limit.row.word: tried})
    return limit.probe(subject, (trial,), tried=tried, why_not=lacking(script))


def _look_at_clock(script: Script) -> int:
    script.call("clock_gettime", CLOCK_MONOTONIC, scratch(16))
    return script.say("dump 16")


def judge_waited(asked: Traffic, opened: int, repeated: int, clocks: tuple[int, int], seen: Seen) -> Finding:
    """It was done, and not sooner than the limit lets it."""
    if (seen.first(opened) or 0) < 0:
        return Finding(True, f"read back: past the page cache nothing can be opened here ({error_name(seen.first(opened))})")
    begun, over = (seconds_of(seen.dumps.get(index, b"")) for index in clocks)
    if seen.first(repeated) != asked.calls or begun is None or over is None:
        return Finding(False, f"{error_name(seen.last(repeated))} after {seen.first(repeated)} calls")
    taken_ms = int(1000 * (over - begun))
    what = f"{asked.calls} calls" if asked.calls > 1 else f"{asked.size_bytes // KIB}K"
    return Finding(taken_ms >= asked.least_ms, f"{what} took {taken_ms / 1000:.2f} s")


def seconds_of(timespec: bytes) -> float | None:
    """A struct timespec as seconds; None: it was not read."""
    if len(timespec) != 16:
        return None
    seconds, nanoseconds = struct.unpack("<qq", timespec)
    return float(seconds + nanoseconds / 1e9)


def _row(most: int, traffic: Callable[[int], Traffic], *, is_write: bool) -> Callable[[Subject, Limit], Probe]:
    return lambda subject, limit: _tried(subject, limit, most, traffic, is_write=is_write)


PROBES: dict[str, Callable[[Subject, Limit], Probe]] = {
    "io_read": _row(MOST_BYTES, bytes_in_a_second, is_write=False),
    "io_write": _row(MOST_BYTES, bytes_in_a_second, is_write=True),
    "io_read_ops": _row(MOST_OPS, calls_in_a_second, is_write=False),
    "io_write_ops": _row(MOST_OPS, calls_in_a_second, is_write=True),
}
