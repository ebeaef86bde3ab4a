"""`make bench`: many boxes at once, and many one after another, with limits of the whole box; and whether anything stays.

500 boxes sleep side by side, and 2,000 short ones go through 8 workers, from a saved plan: what is measured is the launcher
and the kernel. plain exec and bwrap do the same in the same run. Exit status 1 if a process, a mount or a control group is left.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.peers import BIN, LAUNCHER, NOTHING, PEERS, PROFILE, Ground, find
from benchmarks.start import prepare_ground
from benchmarks.timing import Command, start, time_once

SLEEP = ("/usr/bin/sleep", "1000")
PEERS_HERE = ("plain exec", "bwrap")
SETTLE_S = 30.0


@dataclass(frozen=True, slots=True)
class Crowd:
    """Boxes that live at once. start_ms: until all had begun; end_ms: until all were gone; mib: the machine's memory for each."""

    boxes: int
    start_ms: float
    end_ms: float
    mib: float


@dataclass(frozen=True, slots=True)
class Stream:
    """Boxes one after another, several at a time: how many in a second, and the times of one in ms."""

    boxes: int
    per_second: float
    median: float
    p99: float
    failures: int


@dataclass(frozen=True, slots=True)
class Traces:
    """What there is of boxes on the machine: processes of the launcher, mounts, control groups."""

    processes: int
    mounts: int
    groups: int


def read_traces() -> Traces:
    """Look now."""
    launchers = sum(_name_of(entry) == "sandboxer-launc" for entry in os.listdir("/proc") if entry.isdigit())
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    points = [Path(line.split()[1]) for line in mounts if line.split()[2] in ("cgroup", "cgroup2")]
    return Traces(launchers, len(mounts), sum(len(list(point.glob("**/sandboxer/*-*"))) for point in points))


def _name_of(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def save_plan(path: Path, argv: Sequence[str]) -> Command:
    """A plan with limits of the whole box, where the caller may have groups."""
    words = [str(BIN / "sandboxer"), "compile", "--profile", str(PROFILE.with_name("load.yaml")), "-o", str(path), "--", *argv]
    subprocess.run(words, check=True, cwd="/")
    return Command((str(LAUNCHER), "--plan", str(path)))


def free_bytes() -> int:
    """MemAvailable."""
    line = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable"))
    return int(line.split()[1]) << 10


def gather(command: Command, boxes: int) -> Crowd:
    """Start them all, wait until every command sleeps, end them all."""
    before, begin = free_bytes(), time.perf_counter()
    running = [start(command) for _ in range(boxes)]
    try:
        while sum(_name_of(entry) == "sleep" for entry in os.listdir("/proc") if entry.isdigit()) < boxes:
            if os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                raise SystemExit("a box ended before its time; is there a limit of processes or of memory around this shell?")
            time.sleep(0.01)
        start_ms, used = (time.perf_counter() - begin) * 1000, before - free_bytes()
        begin = time.perf_counter()
    finally:
        for pid in running:
            os.kill(pid, signal.SIGTERM)
        for pid in running:
            os.waitpid(pid, 0)
    return Crowd(boxes, start_ms, (time.perf_counter() - begin) * 1000, used / boxes / (1 << 20))


def stream(command: Command, boxes: int, workers: int) -> Stream:
    """Run that many, `workers` at a time."""
    times: list[float] = []
    failures = [0]
    left = iter(range(boxes))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                if next(left, None) is None:
                    return
            millis, status = time_once(command)
            with lock:
                times.append(millis)
                failures[0] += status != 0

    begin = time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = time.perf_counter() - begin
    return Stream(boxes, boxes / taken, statistics.median(times), sorted(times)[len(times) * 99 // 100], failures[0])


def commands(scratch: Path) -> dict[str, tuple[Command, Command]]:
    """For each of us and the peers: what sleeps, and what does nothing."""
    ground: Ground = prepare_ground(scratch)
    found = {"sandboxer": (save_plan(scratch / "sleep.plan", SLEEP), save_plan(scratch / "nothing.plan", NOTHING))}
    for peer in PEERS:
        if peer.name in PEERS_HERE and (not peer.program or os.path.isabs(find(peer.program))):
            found[peer.name] = (peer.make(ground, SLEEP), peer.make(ground, NOTHING))
    return found


def left_over(before: Traces) -> str:
    """What is there that was not, once everything has had its time to go; empty: nothing."""
    end = time.monotonic() + SETTLE_S
    while True:
        now = read_traces()
        rows = [
            f"{getattr(now, name) - getattr(before, name)} {name}"
            for name in Traces.__slots__
            if getattr(now, name) > getattr(before, name)
        ]
        if not rows or time.monotonic() > end:
            return ", ".join(rows)
        time.sleep(0.1)


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(prog="load.py", description="Run many sandboxes at once and one after another.")
    parser.add_argument("--boxes", type=int, default=500, help="how many sleep at once (default 500)")
    parser.add_argument("--short", type=int, default=2000, help="how many short ones are run (default 2000)")
    parser.add_argument("--workers", type=int, default=8, help="how many of those at a time (default 8)")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sandboxer-load-") as scratch:
        os.chmod(scratch, 0o755)
        before = read_traces()
        crowds: dict[str, Crowd] = {}
        streams: dict[str, Stream] = {}
        for name, (sleeping, nothing) in commands(Path(scratch)).items():
            print(f"{name} ...", file=sys.stderr)
            crowds[name] = gather(sleeping, given.boxes)
            streams[name] = stream(nothing, given.short, given.workers)
        left = left_over(before)
    if given.json:
        rows = {name: {"at once": asdict(crowds[name]), "one after another": asdict(streams[name])} for name in crowds}
        print(json.dumps({"peers": rows, "left": left}, indent=2))
    else:
        show(crowds, streams, left)
    return 1 if left or any(found.failures for found in streams.values()) else 0


def show(crowds: dict[str, Crowd], streams: dict[str, Stream], left: str) -> None:
    """One line for each."""
    boxes, short = (next(iter(found.values())).boxes for found in (crowds, streams))
    print(f"{'':<14}{boxes:>6} at once: start   end  MiB each   {short:>6} short ones: per second  median     p99  failed")
    for name, crowd in crowds.items():
        one = streams[name]
        print(
            f"{name:<14}{crowd.start_ms:>17.0f} ms{crowd.end_ms:>6.0f} ms{crowd.mib:>8.2f}"
            f"{one.per_second:>28.0f}{one.median:>8.1f}{one.p99:>8.1f}{one.failures:>8}"
        )
    print(f"\nleft behind: {left or 'nothing'}")


if __name__ == "__main__":
    sys.exit(main())
