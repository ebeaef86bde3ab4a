"""Start the launcher: descriptors, signals, cancelling, and what becomes of the box when its supervisor goes away."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sandboxer.compile.encode import encode_plan
from sandboxer.compile.seal import seal
from sandboxer.kernel.listener.notices import make_watch, receive_listener
from sandboxer.launcher.record import Outcome, read_record
from sandboxer.launcher.spawn import Launch, fill_standard_fds, make_sealed, spawn
from sandboxer.model.op import (
    U32,
    U64,
    BecomeInit,
    Blob,
    CloseFds,
    LoadWatchedFilter,
    NewSession,
    Op,
    SetNoNewPrivs,
    Start,
    U32List,
)
from sandboxer.model.plan import Plan, Recipe, Step
from sandboxer.model.report import Report
from sandboxer.model.stage import Stage
from tests.live.leaks import adopt_orphans, read_traces, wait_until_gone

CLONE_NEWPID = 0x20000000
CLONE_NEWUSER = 0x10000000


def plan_of(script: str, *, kept: tuple[int, ...] = (), argv: tuple[bytes, ...] = (), last: tuple[Op, ...] = ()) -> bytes:
    """A plan that runs a shell script below a reaper in a pid namespace."""

    def step(op: Op) -> Step:
        return Step(op, Stage.HOST, "test")

    flags = CLONE_NEWPID if os.geteuid() == 0 else CLONE_NEWPID | CLONE_NEWUSER
    inside = (step(CloseFds(U32List(kept))), step(NewSession()), step(SetNoNewPrivs()), step(BecomeInit()), *map(step, last))
    data = encode_plan(Plan("test", (step(Start(U64(flags))),), inside, (), Recipe(), Report()))
    return seal(data, [b"/bin/sh"], argv or (b"sh", b"-c", script.encode()), [b"PATH=/usr/bin:/bin"])


def finish(launch: Launch) -> dict[str, int]:
    return read_record(launch.wait()[0])


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """What outlives a launcher that a test killed comes to us, where others would count it."""
    adopt_orphans()
    before = read_traces()
    yield
    assert wait_until_gone(before) == []


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    read_fd, write_fd = os.pipe()
    try:
        yield read_fd, write_fd
    finally:
        for descriptor in (read_fd, write_fd):
            try:
                os.close(descriptor)
            except OSError:
                pass  # the test closed it


def test_spawn_command_gives_its_exit_code() -> None:
    record = finish(spawn(plan_of("exit 7")))
    assert (record["outcome"], record["exit_code"]) == (Outcome.EXITED, 7)


def test_spawn_redirects_standard_output() -> None:
    with pipe() as (read_fd, write_fd):
        launch = spawn(plan_of("echo out; echo err >&2"), stdio=(0, write_fd, write_fd))
        os.close(write_fd)
        finish(launch)
        assert os.read(read_fd, 100) == b"out\nerr\n"


def test_spawn_kept_descriptor_arrives_under_its_number() -> None:
    with pipe() as (read_fd, write_fd):
        finish(spawn(plan_of(f"echo hello > /proc/self/fd/{write_fd}", kept=(write_fd,)), kept=(write_fd,)))
        assert os.read(read_fd, 100) == b"hello\n"


def test_spawn_other_descriptors_do_not_arrive() -> None:
    with pipe() as (read_fd, write_fd):
        os.set_inheritable(write_fd, True)
        launch = spawn(plan_of("ls /proc/self/fd", argv=(b"sh", b"-c", b"echo /proc/self/fd/*")), stdio=(0, write_fd, 2))
        finish(launch)
        numbers = {name.rsplit(b"/", 1)[-1] for name in os.read(read_fd, 1000).split()}
        assert numbers <= {b"0", b"1", b"2", b"3"}  # 3: the shell's own, of the directory that it lists


def test_spawn_kept_descriptor_that_is_closed_is_an_error() -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        spawn(plan_of("true"), kept=(987,))


def test_spawn_crossed_standard_descriptors_are_an_error() -> None:
    with pipe() as (_, write_fd), pytest.raises(OSError, match="is replaced before"):
        spawn(plan_of("true"), stdio=(0, write_fd, 1))


def test_spawn_missing_launcher_is_an_error_and_leaves_no_descriptor() -> None:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(FileNotFoundError):
        spawn(plan_of("true"), launcher="/nonexistent/launcher")
    assert os.listdir("/proc/self/fd") == before


def test_spawn_and_wait_leave_no_descriptor() -> None:
    before = os.listdir("/proc/self/fd")
    finish(spawn(plan_of("true")))
    assert os.listdir("/proc/self/fd") == before


def test_watch_fd_gets_the_listener_of_a_watched_filter() -> None:
    ours, theirs = make_watch()
    allow_all = Blob(struct.pack("<HBBI", 6, 0, 0, 0x7FFF0000))
    launch = spawn(plan_of("exit 3", last=(LoadWatchedFilter(U32(0), allow_all),)), watch_fd=theirs.fileno())
    theirs.close()
    found = receive_listener(ours)
    assert found is not None
    assert finish(launch)["exit_code"] == 3
    found[0].close()
    ours.close()


def test_cancel_kills_the_box() -> None:
    launch = spawn(plan_of("sleep 100"))
    launch.cancel()
    assert finish(launch)["outcome"] == Outcome.CANCELLED


def test_cancel_after_the_end_changes_nothing() -> None:
    with pipe() as (read_fd, write_fd):
        launch = spawn(plan_of("exit 4"), stdio=(0, write_fd, 2))
        os.close(write_fd)
        assert os.read(read_fd, 1) == b""
        os.waitid(os.P_PID, launch.pid, os.WEXITED | os.WNOWAIT)
        launch.cancel()
        assert finish(launch)["exit_code"] == 4


def test_forwarded_signal_reaches_the_command_once() -> None:
    script = "trap 'echo got' USR1; echo ready; i=0; while [ $i -lt 20 ]; do sleep 0.02; i=$((i+1)); done"
    with pipe() as (read_fd, write_fd):
        launch = spawn(plan_of(script), stdio=(0, write_fd, 2))
        os.close(write_fd)
        assert os.read(read_fd, 6) == b"ready\n"
        launch.forward(signal.SIGUSR1)
        record = finish(launch)
        assert (os.read(read_fd, 100), record["outcome"]) == (b"got\n", Outcome.EXITED)


def test_signal_ahead_of_the_start_is_sent_after_it() -> None:
    launch = Launch()
    launch.forward(signal.SIGTERM)
    launch.start(plan_of("sleep 100"), (0, 1, 2), (), launcher=spawn.__globals__["launcher_path"]())
    record = finish(launch)
    assert (record["outcome"], record["signal"]) in ((Outcome.SIGNALLED, signal.SIGTERM), (Outcome.CANCELLED, signal.SIGKILL))


FRONT = """
import sys
sys.path.insert(0, {root!r})
from tests_spawn_plan import plan
from sandboxer.launcher.record import read_record
from sandboxer.launcher.spawn import FORWARDED, spawn
launch = spawn(plan, forwards=FORWARDED)
print("pid", launch.pid, flush=True)
record = read_record(launch.wait()[0])
print("signal", record["signal"], "code", record["exit_code"], flush=True)
"""


@pytest.fixture
def front(tmp_path: object) -> Iterator[subprocess.Popen[str]]:
    """A process that is the front of a box whose command sleeps."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    with open(f"{tmp_path}/tests_spawn_plan.py", "w") as file:
        file.write(f"plan = {plan_of('echo ready; exec sleep 100')!r}\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n" + FRONT.format(root=root)
    process = subprocess.Popen([sys.executable, "-I", "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = sorted((process.stdout.readline(), process.stdout.readline()))
    assert lines[1] == "ready\n"
    process.launcher_pid = int(lines[0].split()[1])  # type: ignore[attr-defined]
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_front_hands_a_signal_on_and_tells_its_end(front: subprocess.Popen[str], number: int) -> None:
    front.send_signal(number)
    assert front.stdout is not None
    assert front.stdout.readline().startswith(f"signal {int(number)} ")


def test_front_that_is_killed_takes_the_box_with_it(front: subprocess.Popen[str]) -> None:
    launcher_pid: int = front.launcher_pid  # type: ignore[attr-defined]
    descriptor = os.pidfd_open(launcher_pid)
    front.kill()
    front.wait()
    import select

    assert select.select([descriptor], [], [], 10)[0]
    os.close(descriptor)


def test_sealed_plan_cannot_be_changed() -> None:
    descriptor = make_sealed(b"plan")
    with pytest.raises(PermissionError):
        os.pwrite(descriptor, b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(descriptor, 0)
    os.close(descriptor)


def test_sealed_plan_holds_all_bytes() -> None:
    descriptor = make_sealed(bytes(1 << 20))
    assert os.fstat(descriptor).st_size == 1 << 20
    os.close(descriptor)


def test_closed_standard_input_is_filled_with_null() -> None:
    child = os.fork()
    if not child:
        os.close(0)
        fill_standard_fds()
        same = os.fstat(0).st_rdev == os.stat("/dev/null").st_rdev
        os._exit(0 if same and os.get_inheritable(0) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_wait_gives_what_a_killed_launcher_left() -> None:
    launch = spawn(plan_of("sleep 100"))
    begun = time.monotonic()
    os.kill(launch.pid, signal.SIGKILL)
    data, status = launch.wait()
    assert (len(data), os.WTERMSIG(status)) == (0, signal.SIGKILL)
    assert time.monotonic() - begun < 5
