"""`make bench`: many boxes at once, and many one after another, with limits of the whole box; and whether anything stays.

500 boxes sleep side by side, and 2,000 short ones go through 8 workers, from a saved plan: what is measured is the launcher
and the kernel. plain exec and bwrap do the same in the same run, and where root runs it, so does an ordinary user. Exit status 1
if a process, a mount, a descriptor or a control group is left, or a box failed. Memory, open files and control groups of the
whole machine are printed from before and after: others use them too, so nothing is judged by them.
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

import prctl

from benchmarks.peers import BIN, LAUNCHER, NOTHING, PEERS, PROFILE, TREE, Ground, find
from benchmarks.start import prepare_ground
from benchmarks.timing import Command, start, time_once

SLEEP = ("/usr/bin/sleep", "1000")
PEERS_HERE = ("plain exec", "bwrap")
OURS, OURS_AS_USER = "sandboxer", "sandboxer, user"
USER_ID = 54321
"""An id that nobody has will do: the kernel knows ids and not names."""
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
    """What there is of ours: processes below this one, mounts, descriptors, and control groups that no launcher lives for."""

    processes: int
    mounts: int
    descriptors: int
    groups: int


def read_traces() -> Traces:
    """Look now."""
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    points = [line.split()[1] for line in mounts if line.split()[2] in ("cgroup", "cgroup2")]
    groups = sum(_count_boxes(point) for point in points)
    return Traces(_count_descendants(), len(mounts), len(os.listdir("/proc/self/fd")), groups)


def _count_descendants() -> int:
    """Living processes below this one; orphans are, because it adopts them."""
    children: dict[str, list[str]] = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            state, parent = Path(f"/proc/{entry}/stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state not in "ZX":
            children.setdefault(parent, []).append(entry)
    count, todo = 0, [str(os.getpid())]
    while todo:
        found = children.get(todo.pop(), [])
        count += len(found)
        todo += found
    return count


def _count_boxes(point: str) -> int:
    """Groups of boxes, named for a launcher that is gone; one that goes away meanwhile is passed over."""
    names = [name for directory, names, _ in os.walk(point) if os.path.basename(directory) == "sandboxer" for name in names]
    return sum("-" in name and not os.path.exists(f"/proc/{name.partition('-')[0]}") for name in names)


@dataclass(frozen=True, slots=True)
class Machine:
    """The whole machine: memory in use, open files, and control groups with those that the kernel has not freed yet."""

    used_mib: int
    files: int
    groups: int


def read_machine() -> Machine:
    """Look now. proc_meminfo(5), proc_sys_fs(5), cgroups(7)."""
    used = meminfo("MemTotal") - meminfo("MemAvailable")
    files = int(Path("/proc/sys/fs/file-nr").read_text().split()[0])
    groups = [line.split()[2] for line in Path("/proc/cgroups").read_text().splitlines()[1:]]
    return Machine(used >> 20, files, sum(map(int, groups)))


def count_named(name: str) -> int:
    """Processes of this name, whoever's."""
    return sum(_name_of(entry) == name for entry in os.listdir("/proc") if entry.isdigit())


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


def meminfo(name: str) -> int:
    """A row of /proc/meminfo in bytes."""
    line = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) << 10


def gather(command: Command, boxes: int) -> Crowd:
    """Start them all, wait until every command sleeps, end them all."""
    others, before, begin = count_named("sleep"), meminfo("MemAvailable"), time.perf_counter()
    running = [start(command) for _ in range(boxes)]
    try:
        while count_named("sleep") < others + boxes:
            if os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                raise SystemExit("a box ended before its time; is there a limit of processes or of memory around this shell?")
            time.sleep(0.01)
        start_ms, used = (time.perf_counter() - begin) * 1000, before - meminfo("MemAvailable")
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


def commands(scratch: Path, *, has_peers: bool) -> dict[str, tuple[Command, Command]]:
    """For each of us and the peers: what sleeps, and what does nothing."""
    found = {OURS: (save_plan(scratch / "sleep.plan", SLEEP), save_plan(scratch / "nothing.plan", NOTHING))}
    ground = prepare_ground(scratch) if has_peers else Ground(scratch, (), ())
    for peer in PEERS if has_peers else ():
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


def measure(given: argparse.Namespace, *, has_peers: bool) -> tuple[dict[str, Crowd], dict[str, Stream]]:
    """Both measures for each."""
    crowds: dict[str, Crowd] = {}
    streams: dict[str, Stream] = {}
    with tempfile.TemporaryDirectory(prefix="sandboxer-load-") as scratch:
        os.chmod(scratch, 0o755)
        for name, (sleeping, nothing) in commands(Path(scratch), has_peers=has_peers).items():
            print(f"{name.strip()} ...", file=sys.stderr)
            crowds[name] = gather(sleeping, given.boxes)
            streams[name] = stream(nothing, given.short, given.workers)
    return crowds, streams


def measure_as_user(given: argparse.Namespace) -> tuple[dict[str, Crowd], dict[str, Stream]]:
    """The same by an ordinary user, who has to be able to reach this tree: this program once more, in its own process."""
    words = ["--boxes", str(given.boxes), "--short", str(given.short), "--workers", str(given.workers), "--alone", "--json"]
    person = ["setpriv", f"--reuid={USER_ID}", f"--regid={USER_ID}", "--clear-groups", "--inh-caps=-all", "--"]
    print("ordinary user:", file=sys.stderr)
    command = [*person, str(BIN / "python"), "-m", "benchmarks.load", *words]
    done = subprocess.run(command, cwd=TREE, env={**os.environ, "HOME": "/nonexistent"}, stdout=subprocess.PIPE, text=True)
    try:
        found = json.loads(done.stdout)["peers"][OURS]
    except ValueError:
        raise SystemExit(f"an ordinary user cannot run this: can everybody reach {TREE}?") from None
    return {OURS_AS_USER: Crowd(**found["at once"])}, {OURS_AS_USER: Stream(**found["one after another"])}


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(prog="load.py", description="Run many sandboxes at once and one after another.")
    parser.add_argument("--boxes", type=int, default=500, help="how many sleep at once (default 500)")
    parser.add_argument("--short", type=int, default=2000, help="how many short ones are run (default 2000)")
    parser.add_argument("--workers", type=int, default=8, help="how many of those at a time (default 8)")
    parser.add_argument("--alone", action="store_true", help="leave out the peers, and the ordinary user beside root")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    given = parser.parse_args()
    prctl.set_child_subreaper(1)
    before, machine = read_traces(), read_machine()
    crowds, streams = measure(given, has_peers=not given.alone)
    if os.geteuid() == 0 and not given.alone:
        for all_found, found in zip((crowds, streams), measure_as_user(given), strict=True):
            all_found.update(found)  # type: ignore[arg-type]
    left, after = left_over(before), read_machine()
    if given.json:
        rows = {name.strip(): {"at once": asdict(crowds[name]), "one after another": asdict(streams[name])} for name in crowds}
        print(json.dumps({"peers": rows, "left": left, "machine": [asdict(machine), asdict(after)]}, indent=2))
    else:
        show(crowds, streams, left)
        show_machine(machine, after)
    return 1 if left or any(found.failures for found in streams.values()) else 0


def show_machine(before: Machine, after: Machine) -> None:
    """The figures of the whole machine."""
    words = {"used_mib": "MiB of memory in use", "files": "open files", "groups": "control groups"}
    pairs = (f"{getattr(before, name)} -> {getattr(after, name)} {text}" for name, text in words.items())
    print(f"this machine, before and after: {', '.join(pairs)}")


def show(crowds: dict[str, Crowd], streams: dict[str, Stream], left: str) -> None:
    """One line for each."""
    boxes, short = (next(iter(found.values())).boxes for found in (crowds, streams))
    print(f"{'':<16}{boxes:>6} at once: start   end  MiB each   {short:>6} short ones: per second  median     p99  failed")
    for name, crowd in crowds.items():
        one = streams[name]
        print(
            f"{name:<16}{crowd.start_ms:>17.0f} ms{crowd.end_ms:>6.0f} ms{crowd.mib:>8.2f}"
            f"{one.per_second:>28.0f}{one.median:>8.1f}{one.p99:>8.1f}{one.failures:>8}"
        )
    print(f"\nleft behind: {left or 'nothing'}")


if __name__ == "__main__":
    sys.exit(main())
