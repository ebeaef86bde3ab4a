"""Limits of the whole box, tripped: each with its reason from the kernel's own count, and a twin that stays below it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live.boxes import Box, enforced
from tests.live.leaks import adopt_orphans, read_traces, wait_until_gone
from tests.live.limit_cases import FORKS, GROWN
from tests.live.needs import needs, this_host
from tests.live.users import Installation, Person


@pytest.fixture
def box(grouped: Box) -> Box:
    """A box of whoever may make groups."""
    return grouped


# ── memory ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@needs("group of memory")
def test_command_that_takes_more_memory_than_the_box_has_is_out_of_memory(box: Box) -> None:
    box.profile("limits: {memory: 64M}")
    done, report = box.told(*box.python(GROWN.format(mib=200)))
    assert (done.returncode, report["reason"], report["signal"]) == (137, "oom", 9)
    assert report["usage"]["oom_kills"] >= 1
    assert "its memory was used up" in done.stderr
    assert 32 << 20 < report["usage"]["memory_peak_bytes"] <= 64 << 20


@needs("group of memory")
def test_command_that_takes_less_memory_is_left_alone(box: Box) -> None:
    box.profile("limits: {memory: 64M}")
    done, report = box.told(*box.python(GROWN.format(mib=20)))
    assert (done.returncode, report["reason"], report["usage"]["oom_kills"]) == (0, "exited", 0)
    assert report["usage"]["memory_peak_bytes"] >= 20 << 20


@needs("group of memory")
def test_memory_is_that_of_all_processes_and_of_files_in_memory(box: Box) -> None:
    """Each alone stays below the limit."""
    box.profile("limits: {memory: 64M, file_size: 1G}")
    many = "for _ in range(4):\n    if os.fork() == 0:\n        grown = bytearray(30 << 20); time.sleep(3); os._exit(0)\n"
    _, report = box.told(*box.python(many + "while True: os.wait()"))
    assert (report["reason"], report["usage"]["oom_kills"] >= 1) == ("oom", True)
    _, report = box.told(
        *box.python("write('/dev/shm/a', 'x' * (30 << 20)); write('/tmp/b', 'x' * (30 << 20)); x = bytearray(20 << 20)")
    )
    assert report["reason"] == "oom"


@needs("group of memory")
def test_failure_that_follows_from_a_process_without_memory_has_that_reason(box: Box) -> None:
    box.profile("limits: {memory: 64M}")
    inner = " ".join(map(_quoted, box.python(GROWN.format(mib=200))))
    _, report = box.told("sh", "-c", f"{inner}; exit 7")
    assert report["reason"] == "oom"
    assert report["exit_code"] in (7, None)  # with v2 the whole box is killed


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


# ── processes ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@needs("group of pids")
def test_command_that_starts_too_many_processes_has_that_reason(box: Box) -> None:
    box.profile("limits: {processes: 10}")
    done, report = box.told(*box.python(FORKS.format(count=20)))
    assert (done.returncode, report["reason"], report["exit_code"]) == (1, "pids_limit", 1)
    assert report["usage"]["pids_refused"] >= 1
    assert "it had all processes that it may have" in done.stderr


@needs("group of pids")
def test_command_that_starts_as_many_processes_as_it_may_is_left_alone(box: Box) -> None:
    box.profile("limits: {processes: 10}")
    done, report = box.told(*box.python(FORKS.format(count=9)))
    assert (done.returncode, report["reason"], report["usage"]["pids_refused"]) == (0, "exited", 0)


@needs("group of pids")
def test_fork_bomb_is_held_and_gone_when_its_time_is_over(box: Box) -> None:
    box.profile("limits: {processes: 50, wall: 2s, grace: 0}")
    bomb = "while True:\n    try:\n        os.fork()\n    except OSError:\n        pass\n"
    done, report = box.told(*box.python(bomb))
    assert (done.returncode, report["reason"]) == (124, "wall_timeout")
    assert report["usage"]["pids_refused"] > 0


# ── processors ────────────────────────────────────────────────────────────────────────────────────────────────────────


@needs("group of cpu")
def test_box_that_wants_more_processor_time_waits(box: Box) -> None:
    """Counted by the kernel and not by a clock: how long a busy machine takes proves nothing."""
    box.profile("limits: {cpus: 20%}")
    spin = "while time.process_time() < 0.3: pass"
    _, report = box.told(*box.python(spin))
    assert report["usage"]["throttled_periods"] >= 2
    assert report["usage"]["throttled_us"] > 0
    box.profile("limits: {cpus: 64}")
    _, report = box.told(*box.python(spin))
    assert (report["reason"], report["usage"]["throttled_periods"]) == ("exited", 0)


# ── disks and huge pages ──────────────────────────────────────────────────────────────────────────────────────────────


def files_of_group(box: Box, controller: str, *names: str) -> dict[str, str]:
    """What stands in files of a living box's group: the value of the kernel, seen from outside."""
    process = subprocess.Popen(
        box.words(["sh", "-c", "echo ready; read line"]),
        cwd=box.place,
        env=box.person.environment(None),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    try:
        (launcher,) = _below(process.pid)
        (child,) = _below(launcher)
        tree = this_host().hierarchy_of(controller)
        assert tree is not None
        lines = [line.split(":", 2) for line in Path(f"/proc/{child}/cgroup").read_text().splitlines()]
        path = next(path for _, found, path in lines if (not found if tree.is_v2 else controller in found.split(",")))
        return {name: (Path(tree.mount + path) / name).read_text() for name in names if (Path(tree.mount + path) / name).exists()}
    finally:
        process.communicate(b"\n")


@needs("group of io")
def test_disks_have_their_limit(box: Box) -> None:
    box.profile("limits: {io_read: 2M, io_write_ops: 50}")
    disks = this_host().disks
    if this_host().hierarchy_of("io"):
        shown = files_of_group(box, "io", "io.max")["io.max"].splitlines()
        assert {line.split()[0] for line in shown} == set(disks)
        assert all("rbps=2097152 wbps=max riops=max wiops=50" in line for line in shown)
    else:
        shown = files_of_group(box, "blkio", "blkio.throttle.read_bps_device")["blkio.throttle.read_bps_device"].splitlines()
        assert shown == [f"{disk} 2097152" for disk in sorted(disks, key=shown_order(shown))]


def shown_order(shown: list[str]) -> Callable[[str], int]:
    """The kernel's order of disks is its own."""
    order = [line.split()[0] for line in shown]
    return lambda disk: order.index(disk) if disk in order else -1


@needs("group of io")
def test_box_that_reads_more_from_a_disk_waits(box: Box) -> None:
    """Eight MiB at two in a second take three seconds at the least, whatever else the machine does."""
    box.write("data", "x" * (8 << 20))
    os.sync()
    read = """
import mmap
file, page = os.open("data", os.O_RDONLY | os.O_DIRECT), mmap.mmap(-1, 1 << 20)
begun, got = time.monotonic(), 0
while chunk := os.readv(file, [page]):
    got += chunk
seen.update(got=got, s=time.monotonic() - begun)
"""
    number = os.stat(box.place).st_dev
    is_on_disk = f"{os.major(number)}:{os.minor(number)}" in this_host().disks  # another file system waits for none of them
    box.profile("filesystem: {read: ['${cwd}']}\nlimits: {io_read: 2M}")
    seen = box.look(read)
    assert (seen["got"], seen["s"] > 3) == (8 << 20, is_on_disk)
    assert (box.told(*box.python(read))[1]["usage"]["io_read_bytes"] or 0) >= (8 << 20) * is_on_disk
    box.profile("filesystem: {read: ['${cwd}']}\nlimits: {io_read: 10G}")
    assert box.look(read)["got"] == 8 << 20


@needs("group of hugetlb")
def test_huge_pages_of_the_box_have_their_limit(box: Box) -> None:
    box.profile("limits: {huge_pages: 2M}")
    shown = files_of_group(box, "hugetlb", "hugetlb.2MB.max", "hugetlb.2MB.limit_in_bytes")
    assert [int(text) for text in shown.values()] == [2 << 20]


# ── clocks ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@needs("group that counts")
@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("while :; do :; done", 128 + signal.SIGXCPU),
        ("(while :; do :; done)& (while :; do :; done)& while :; do :; done", 128 + signal.SIGXCPU),
        ("trap '' XCPU; while :; do :; done", 128 + signal.SIGKILL),
    ],
    ids=["one", "three", "stubborn"],
)
def test_box_that_used_up_its_cpu_time_is_ended(box: Box, code: str, status: int) -> None:
    box.profile("limits: {cpu_time: 1s, grace: 500ms, wall: 60s}")
    done, report = box.told("sh", "-c", code)  # an interpreter might need a second to begin
    assert (report["reason"], done.returncode, report["status"]) == ("cpu_timeout", status, status)
    assert report["usage"]["group_cpu_us"] >= 1_000_000


@needs("group that counts")
def test_box_within_its_cpu_time_is_left_alone(box: Box) -> None:
    box.profile("limits: {cpu_time: 30s}")
    done, report = box.told(*box.python("while time.process_time() < 0.1: pass"))
    assert (done.returncode, report["reason"], report["usage"]["group_cpu_us"] >= 100_000) == (0, "exited", True)


@needs("group that counts")
def test_box_that_does_nothing_is_ended_and_its_output_stays(box: Box) -> None:
    box.profile("limits: {idle: 1s, wall: 60s}")
    done, report = box.told(*box.python("print('partial', flush=True)\ntime.sleep(100)"))
    assert (done.returncode, done.stdout, report["reason"]) == (124, "partial\n", "idle_timeout")
    assert "used no CPU time" in done.stderr


@needs("group that counts")
def test_box_that_does_something_now_and_then_is_not_idle(box: Box) -> None:
    box.profile("limits: {idle: 3s}")
    work = (
        "for _ in range(5):\n    time.sleep(1)\n    end = time.process_time() + 0.05\n    while time.process_time() < end: pass\n"
    )
    assert box.told(*box.python(work))[1]["reason"] == "exited"


# ── who cannot have groups ────────────────────────────────────────────────────────────────────────────────────────────


@needs("root")
def test_limit_without_a_group_is_refused_or_reported(ordinary: Person, installation: Installation) -> None:
    if any(not tree.is_v2 and "memory" in tree.controllers for tree in this_host().hierarchies):
        box = Box(ordinary, installation, ordinary.directory(f"work-{os.urandom(4).hex()}"))
        box.profile("limits: {memory: 64M}")
        assert "memory is not limited for the box as a whole" in box.refusal()
        box.profile("limits: {memory: 64M, enforce: best_effort}")
        done, report = box.told(*box.python(GROWN.format(mib=200)))
        assert "MemoryError" in done.stderr  # what each process alone is held to
        assert report["is_weakened"]
        assert "enforced: data: 64M" in enforced(report, "limits")


# ── nothing stays ─────────────────────────────────────────────────────────────────────────────────────────────────────


@needs("group of pids")
def test_group_of_a_killed_launcher_goes_with_the_next_start(caller: Person, installation: Installation) -> None:
    box = Box(caller, installation, caller.directory(f"work-{os.urandom(4).hex()}"))
    box.profile("limits: {processes: 10}")
    adopt_orphans()
    before = read_traces()
    for _ in range(3):
        process = subprocess.Popen(
            box.words(["sh", "-c", "echo ready; sleep 1000"]),
            cwd=box.place,
            env=box.person.environment(None),
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        for pid in _below(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.kill()
        process.wait()
        process.stdout.close()
    assert wait_until_gone(before, next_start=lambda: box.output("true")) == []


def _below(root: int) -> list[int]:
    """The launcher below the front."""
    return [int(pid) for pid in Path(f"/proc/{root}/task/{root}/children").read_text().split()]


@needs("group of memory")
def test_many_boxes_at_once_are_limited_each_on_its_own(box: Box) -> None:
    box.profile("limits: {memory: 64M}")
    words = box.words(box.python(GROWN.format(mib=40) + "\ntime.sleep(1)"))
    started = [
        subprocess.Popen(words, cwd=box.place, env=box.person.environment(None), stdout=subprocess.DEVNULL) for _ in range(4)
    ]
    assert [process.wait() for process in started] == [0] * 4


@needs("group of memory")
def test_capabilities_of_the_callers_user_do_not_lift_a_limit(box: Box) -> None:
    """The job sees no file of its groups."""
    box.profile("limits: {memory: 64M}")
    seen = box.look("seen.update(sys=os.path.exists('/sys/fs/cgroup'), own=read('/proc/self/cgroup'))")
    assert seen["sys"] is False
    assert all(line.rpartition(":")[2].startswith("/") and "sandboxer" not in line for line in seen["own"].splitlines())
