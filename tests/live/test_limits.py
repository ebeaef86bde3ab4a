"""Limits as the job meets them: each number, what happens beyond it, and the clock on the wall."""

from __future__ import annotations

import os
import time
from dataclasses import replace

import pytest

from tests.live.boxes import Box, enforced
from tests.live.needs import this_host

ROWS = {
    "open_files": ("NOFILE", 64, 64),
    "processes": ("NPROC", 20, 21),  # the reaper is not counted
    "file_size": ("FSIZE", 1_000_000, 1_000_000),
    "core": ("CORE", 0, 1),  # 1 keeps the crash handler out too
    "stack": ("STACK", 4 << 20, 4 << 20),
    "address_space": ("AS", 1 << 30, 1 << 30),
    "data": ("DATA", 512 << 20, 512 << 20),
    "locked_memory": ("MEMLOCK", 32768, 32768),
    "queue_bytes": ("MSGQUEUE", 16384, 16384),
    "signals_pending": ("SIGPENDING", 32, 32),
    "nice": ("NICE", 0, 0),
    "realtime_priority": ("RTPRIO", 0, 0),
}
NAMES = [name for name, _, _ in ROWS.values()]
NUMBERS = f"seen.update((name, resource.getrlimit(getattr(resource, 'RLIMIT_' + name))) for name in {NAMES})"
SPIN = "while True: pass"
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('ready', flush=True)\ntime.sleep(100)"
OBEDIENT = """
def end(number, frame):
    print("tidied", flush=True)
    sys.exit(3)
signal.signal(signal.SIGTERM, end)
time.sleep(100)
"""


def test_every_limit_is_the_one_of_the_profile(box: Box) -> None:
    box.profile("limits:\n" + "".join(f"  {word}: {value}\n" for word, (_, value, _) in ROWS.items()))
    seen = box.look(NUMBERS)
    # An ordinary user beside root has no group, one who logged in has.
    if box.person.uid == os.geteuid() and this_host().hierarchy_of("pids"):
        seen["NPROC"] = [count - 1 for count in seen["NPROC"]]  # a control group keeps it, and is to be reached first
    assert seen == {name: [kept, kept] for name, _, kept in ROWS.values()}


def test_job_cannot_raise_its_limits_and_can_lower_them(box: Box) -> None:
    box.profile("limits: {open_files: 64}")
    seen = box.look("""
def change(soft, hard):
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    except ValueError as error:
        raise PermissionError(1, str(error))
seen["found"] = [attempt(change, 65, 65), attempt(change, 32, 32), attempt(change, 32, 64)]
""")
    assert seen == {"found": ["EPERM", "ok", "EPERM"]}


def test_too_many_of_a_thing_are_refused_and_fewer_are_not(box: Box) -> None:
    box.profile("limits: {open_files: 32, processes: 10, file_size: 1M, address_space: 512M, locked_memory: 64K}")
    seen = box.look("""
def many(count):
    for _ in range(count):
        files.append(os.open("/dev/null", os.O_RDONLY))
def fork(count):
    for _ in range(count):
        child = os.fork()
        if child == 0:
            time.sleep(100)
        children.append(child)
def reserve(size):
    try:
        len(bytearray(size))
    except MemoryError:
        raise OSError(12, "")
def lock(size):
    area = ctypes.create_string_buffer(size)
    if libc.mlock(area, size):
        raise OSError(ctypes.get_errno(), "")
files, children = [], []
seen["files"] = [attempt(many, 10), attempt(many, 40)]
for file in files:
    os.close(file)
seen["processes"] = [attempt(fork, 5), attempt(fork, 40), len(children)]
for child in children:
    os.kill(child, 9)
    os.waitpid(child, 0)
seen["memory"] = [attempt(reserve, 50 << 20), attempt(reserve, 600 << 20)]
seen["locked"] = [attempt(lock, 8192), attempt(lock, 1 << 20)]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
seen["file"] = [attempt(write, "/tmp/a", "x" * 900_000), attempt(write, "/tmp/b", "x" * 2_000_000)]
""")
    assert seen == {
        "files": ["ok", "EMFILE"],
        "processes": ["ok", "EAGAIN", 9],
        "memory": ["ok", "ENOMEM"],
        "locked": ["ok", "ENOMEM"],
        "file": ["ok", "EFBIG"],
    }


def test_processes_of_other_boxes_and_of_the_host_are_not_counted(box: Box) -> None:
    box.profile("limits: {processes: 6}")
    seen = box.look("seen['found'] = [ended(lambda: None) for _ in range(20)]")
    assert set(seen["found"]) == {0}


def test_file_beyond_its_limit_ends_the_command_with_its_reason(box: Box) -> None:
    box.profile("limits: {file_size: 100K}")
    done, report = box.told(*box.python("signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\nwrite('/tmp/a', 'x' * 200_000)"))
    assert (done.returncode, report["reason"], report["signal"]) == (128 + 25, "file_limit", 25)
    assert "file size limit of 102400 bytes" in done.stderr


@pytest.mark.parametrize("code", [SPIN, f"signal.signal(signal.SIGXCPU, signal.SIG_IGN)\n{SPIN}"], ids=["plain", "ignoring"])
def test_used_up_cpu_time_ends_the_command_with_its_reason(box: Box, code: str) -> None:
    box.profile("limits: {cpu_time: 1s, wall: 60s, enforce: best_effort}")
    done, report = box.told(*box.python(code))
    assert report["reason"] == "cpu_timeout"
    assert done.returncode in (128 + 24, 128 + 9)
    assert 400_000 < report["usage"]["user_us"] + report["usage"]["system_us"] < 20_000_000


def test_wall_clock_ends_the_command_and_its_output_stays(box: Box) -> None:
    box.profile("limits: {wall: 500ms, grace: 20s}")
    with box.leaves_nothing():
        done, report = box.told(*box.python("print('partial', flush=True)\ntime.sleep(100)"))
    assert (done.returncode, done.stdout, report["reason"], report["status"]) == (124, "partial\n", "wall_timeout", 124)
    assert report["exit_code"] is None
    assert report["usage"]["wall_us"] < 19_000_000


def test_command_within_its_time_is_left_alone(box: Box) -> None:
    box.profile("limits: {wall: 60s}")
    assert box.output("echo", "done") == "done\n"


def test_grace_lets_the_command_tidy_up(box: Box) -> None:
    box.profile("limits: {wall: 500ms, grace: 30s}")
    done, report = box.told(*box.python(OBEDIENT))
    assert (done.returncode, done.stdout, report["reason"]) == (124, "tidied\n", "wall_timeout")
    assert report["usage"]["wall_us"] < 29_000_000


def test_command_that_outstays_its_grace_is_killed(box: Box) -> None:
    box.profile("limits: {wall: 500ms, grace: 500ms}")
    with box.leaves_nothing():
        done = box.run(*box.python(STUBBORN))
    assert (done.returncode, done.stdout) == (124, "ready\n")


def test_without_grace_nothing_is_asked_first(box: Box) -> None:
    box.profile("limits: {wall: 500ms, grace: 0}")
    done = box.run(*box.python(OBEDIENT))
    assert (done.returncode, done.stdout) == (124, "")


def test_orphans_do_not_outlive_the_clock_nor_the_command(box: Box) -> None:
    box.profile("limits: {wall: 60s}")
    begun = time.monotonic()
    with box.leaves_nothing():
        done = box.run(
            "sh", "-c", "(trap '' TERM HUP; sleep 1000) >/dev/null 2>&1 & setsid sleep 1000 >/dev/null 2>&1 & echo done"
        )
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert time.monotonic() - begun < 30


def test_hard_limits_of_the_caller_hold_and_are_reported(box: Box) -> None:
    box.profile("limits: {open_files: 512}")
    lowered = replace(box, ahead=("prlimit", "--nofile=100:200", "--"))
    _, report = lowered.told("true", options=["--no-cache"])
    assert any("the caller's own hard limit (the profile allows 512)" in line for line in enforced(report, "limits"))
    seen = lowered.look("seen['files'] = resource.getrlimit(resource.RLIMIT_NOFILE)")
    assert seen == {"files": [200, 200]}
    assert box.look("seen['files'] = resource.getrlimit(resource.RLIMIT_NOFILE)") == {"files": [512, 512]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{open_file: 5}", "did you mean open_files"),
        ("{stack: lots}", "lots"),
        ("{wall: 0}", "wall"),
        ("{open_files: 1}", "open_files"),
    ],
)
def test_limit_that_makes_no_sense_is_refused(box: Box, text: str, message: str) -> None:
    box.profile(f"limits: {text}")
    assert message in box.refusal()
