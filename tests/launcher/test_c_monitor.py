"""outside/monitor.c, record.c and main.c: how a box ends, and who may end it."""

from __future__ import annotations

import errno
import os
import random
import signal
import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandboxer.launcher.record import RECORD_BYTES, Outcome, read_record
from sandboxer.model import op as ops
from sandboxer.model.op import U32, U64, Op, Text
from tests.launcher.plans import LAUNCHER, NEWNS, NEWPID, boxed, boxed_end, launch, plan, shell
from tests.launcher.test_c_init import children, eventually, is_gone, state

WALL_TIMEOUT, CANCELLED, SUPERVISOR_LOST = Outcome.WALL_TIMEOUT, Outcome.CANCELLED, Outcome.SUPERVISOR_LOST
SETUP_FAILED = Outcome.SETUP_FAILED
INIT: list[Op] = [ops.BecomeInit()]
SLEEP = shell("echo ready; sleep 1000")
STUBBORN = shell("trap '' TERM INT HUP; echo ready; while :; do sleep 0.02; done")


def clock(limit_ms: int, grace_ms: int = 0, number: int = signal.SIGTERM) -> Op:
    return ops.ArmWallClock(U64(limit_ms), U64(grace_ms), U32(number))


@dataclass
class Supervised:
    """A launcher with a control pipe and a result pipe, as Python starts it."""

    process: subprocess.Popen[str]
    control: int
    result: int

    def read_ready(self) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def record(self) -> dict[str, int]:
        data = b""
        while len(data) < RECORD_BYTES and (piece := os.read(self.result, RECORD_BYTES)):
            data += piece
        self.process.wait(20)
        return read_record(data)


@contextmanager
def supervised(parts: bytes) -> Iterator[Supervised]:
    plan_fd = os.memfd_create("plan")
    os.write(plan_fd, parts)
    control_read, control = os.pipe()
    result, result_write = os.pipe()
    argv = [str(LAUNCHER), "--plan-fd", str(plan_fd), "--control-fd", str(control_read), "--result-fd", str(result_write)]
    fds = (plan_fd, control_read, result_write)
    with subprocess.Popen(argv, stdout=-1, stderr=-1, text=True, pass_fds=fds, process_group=0) as process:
        for fd in fds:
            os.close(fd)
        try:
            yield Supervised(process, control, result)
        finally:
            process.kill()
            os.close(result)
            with_suppressed_close(control)


def with_suppressed_close(fd: int) -> None:
    try:
        os.close(fd)
    except OSError:
        pass


def box(argv: Sequence[str], *, before: Sequence[Op] = (), inside: Sequence[Op] = INIT, after: Sequence[Op] = ()) -> bytes:
    return plan([*before, ops.Start(U64(NEWPID))], inside, argv, after=after).bytes()


def test_wall_clock_ends_the_box_with_its_signal() -> None:
    ended = launch(plan([clock(150, 5000), ops.Start(U64(NEWPID))], INIT, SLEEP))
    assert (ended.status, ended.record["outcome"], ended.record["signal"]) == (124, WALL_TIMEOUT, signal.SIGTERM)
    assert ended.out == "ready\n"
    assert 150e6 <= ended.record["end_ns"] - ended.record["exec_ns"] < 3e9


def test_wall_clock_sends_the_signal_that_it_is_told() -> None:
    script = shell("trap 'echo bye; exit 3' USR1; while :; do sleep 0.01; done")
    ended = launch(plan([clock(150, 5000, signal.SIGUSR1), ops.Start(U64(NEWPID))], INIT, script))
    assert (ended.out, ended.status, ended.record["exit_code"]) == ("bye\n", 124, 3)


@pytest.mark.parametrize("inside", [INIT, []])
def test_wall_clock_kills_after_the_grace(inside: list[Op]) -> None:
    ended = launch(plan([clock(100, 200), ops.Start(U64(NEWPID))], inside, STUBBORN))
    assert (ended.status, ended.record["outcome"], ended.record["signal"]) == (124, WALL_TIMEOUT, signal.SIGKILL)
    assert ended.record["gone_ns"] - ended.record["exec_ns"] >= 300e6


def test_wall_clock_without_grace_kills_at_once() -> None:
    script = shell("trap 'echo term' TERM; echo ready; sleep 1000 & wait")
    ended = launch(plan([clock(100), ops.Start(U64(NEWPID))], INIT, script))
    assert (ended.out, ended.status, ended.record["signal"]) == ("ready\n", 124, signal.SIGKILL)


def test_wall_clock_leaves_a_short_command_alone() -> None:
    ended = launch(plan([clock(20000), ops.Start(U64(NEWPID))], INIT, shell("exit 7")))
    assert (ended.status, ended.record["outcome"]) == (7, 1)


def test_wall_clock_bounds_the_set_up_too(tmp_path: Path) -> None:
    """A child that waits for an outside that is held up by its helper."""
    helper = tmp_path / "helper"
    helper.write_text("#!/bin/sh\nexec sleep 1000\n")
    helper.chmod(0o755)
    before = [clock(100, 5000), ops.Start(U64(NEWPID)), ops.AwaitInside(), ops.RunMapHelper(Text(str(helper)), ops.TextList(()))]
    ended = launch(plan([*before], [ops.AwaitOutside(), *INIT], SLEEP))
    assert (ended.out, ended.status, ended.record["outcome"], ended.record["exec_ns"]) == ("", 124, WALL_TIMEOUT, 0)


@pytest.mark.parametrize(("limit", "grace", "number"), [(0, 0, 15), (1 << 63, 0, 15), (5, 1 << 63, 15), (5, 5, 0), (5, 5, 65)])
def test_wall_clock_that_makes_no_sense_is_refused(limit: int, grace: int, number: int) -> None:
    ended = launch(plan([clock(limit, grace, number), ops.Start(U64(NEWPID))], INIT, SLEEP))
    assert (ended.out, ended.record["fail_op"], ended.record["fail_errno"]) == ("", 8, errno.EINVAL)


def test_cancel_kills_the_box() -> None:
    with supervised(box(STUBBORN)) as one:
        one.read_ready()
        os.write(one.control, b"k")
        record = one.record()
        assert (record["outcome"], one.process.returncode) == (CANCELLED, 137)


def test_other_bytes_on_the_control_pipe_do_nothing() -> None:
    with supervised(box(shell("echo ready; sleep 0.2; exit 4"))) as one:
        one.read_ready()
        os.write(one.control, b"xyz")
        assert one.record()["exit_code"] == 4


def test_paused_box_outlives_its_wall_clock_until_it_is_begun() -> None:
    with supervised(plan([clock(150, 5000), ops.Start(U64(NEWPID))], INIT, shell("sleep 1000")).bytes()) as one:
        os.write(one.control, b"p")
        time.sleep(0.4)
        assert one.process.poll() is None
        os.write(one.control, b"g")
        record = one.record()
        assert (record["outcome"], record["signal"]) == (WALL_TIMEOUT, signal.SIGTERM)
        assert 150e6 <= record["end_ns"] - record["exec_ns"] < 390e6 + 3e9


def test_clock_that_is_begun_anew_gives_the_whole_time_again() -> None:
    with supervised(plan([clock(500), ops.Start(U64(NEWPID))], INIT, shell("echo ready; sleep 0.8; exit 4")).bytes()) as one:
        one.read_ready()
        time.sleep(0.4)
        os.write(one.control, b"g")
        record = one.record()
        assert (record["outcome"], record["exit_code"]) == (1, 4)
        assert record["end_ns"] - record["exec_ns"] < 800e6


def test_box_that_is_begun_ahead_of_its_command_has_its_time_from_there() -> None:
    with supervised(plan([clock(300), ops.Start(U64(NEWPID))], INIT, SLEEP).bytes()) as one:
        os.write(one.control, b"pg")
        assert one.record()["outcome"] == WALL_TIMEOUT


def test_pause_saves_no_box_that_is_ending() -> None:
    with supervised(plan([clock(100, 300), ops.Start(U64(NEWPID))], INIT, STUBBORN).bytes()) as one:
        one.read_ready()
        time.sleep(0.25)
        os.write(one.control, b"p")
        record = one.record()
        assert (record["outcome"], record["signal"]) == (WALL_TIMEOUT, signal.SIGKILL)


def test_supervisor_that_is_lost_takes_the_box_along(tmp_path: Path) -> None:
    (tmp_path / "lease").mkdir()
    after = [ops.RemoveDirectory(Text(str(tmp_path / "lease")))]
    with supervised(box(STUBBORN, after=after)) as one:
        one.read_ready()
        os.close(one.control)
        record = one.record()
        assert (record["outcome"], one.process.returncode) == (SUPERVISOR_LOST, 137)
        assert not (tmp_path / "lease").exists()


def test_supervisor_that_is_lost_during_set_up_is_noticed(tmp_path: Path) -> None:
    inside = [ops.AwaitOutside(), *INIT]
    (tmp_path / "helper").write_text("#!/bin/sh\necho ready\nexec sleep 1000\n")
    (tmp_path / "helper").chmod(0o755)
    helper = ops.RunMapHelper(Text(str(tmp_path / "helper")), ops.TextList(()))
    with supervised(plan([ops.Start(U64(NEWPID)), ops.AwaitInside(), helper], inside, SLEEP).bytes()) as one:
        one.read_ready()
        os.close(one.control)
        assert one.record()["outcome"] == SUPERVISOR_LOST


def test_signals_that_would_kill_the_monitor_go_to_the_command(tmp_path: Path) -> None:
    (tmp_path / "lease").mkdir()
    with supervised(box(SLEEP, after=[ops.RemoveDirectory(Text(str(tmp_path / "lease")))])) as one:
        one.read_ready()
        one.process.send_signal(signal.SIGHUP)
        record = one.record()
        assert (record["outcome"], record["signal"], (tmp_path / "lease").exists()) == (2, signal.SIGHUP, False)


def test_supervised_monitor_does_not_stop_with_the_box_and_keeps_the_clock() -> None:
    sleep = shell("echo ready; exec sleep 1000")
    with supervised(plan([clock(400), ops.Start(U64(NEWPID))], INIT, sleep).bytes()) as one:
        one.read_ready()
        (init,) = children(one.process.pid)
        (command,) = children(init)
        one.process.send_signal(signal.SIGTSTP)
        assert eventually(lambda: state(command) == "T")
        assert state(one.process.pid) == "S"
        assert one.record()["outcome"] == WALL_TIMEOUT


def test_stop_that_is_taken_back_at_once_leaves_nothing_stopped() -> None:
    with supervised(box(shell("echo ready; sleep 0.3; exit 3"))) as one:
        one.read_ready()
        for _ in range(200):
            one.process.send_signal(signal.SIGTSTP)
            one.process.send_signal(signal.SIGCONT)
        assert one.record()["exit_code"] == 3


def test_result_pipe_without_reader_does_not_stop_the_after_list(tmp_path: Path) -> None:
    (tmp_path / "lease").mkdir()
    result, result_write = os.pipe()
    os.close(result)
    (tmp_path / "plan").write_bytes(box(shell("exit 5"), after=[ops.RemoveDirectory(Text(str(tmp_path / "lease")))]))
    argv = [str(LAUNCHER), "--plan", str(tmp_path / "plan"), "--result-fd", str(result_write)]
    done = subprocess.run(argv, pass_fds=(result_write,), check=False)
    os.close(result_write)
    assert (done.returncode, (tmp_path / "lease").exists()) == (5, False)


def test_after_list_runs_when_the_set_up_failed(tmp_path: Path) -> None:
    (tmp_path / "lease").mkdir()
    after = [ops.RemoveDirectory(Text(str(tmp_path / "lease")))]
    for inside in ([ops.SetWorkingDirectory(Text("/nope"))], []):
        before: list[Op] = [] if inside else [ops.OpenDirectory(U32(1), Text("/nope"))]
        ended = launch(plan([*before, ops.Start(U64(0))], inside, after=after))
        assert (ended.status, (tmp_path / "lease").exists()) == (125, False)
        (tmp_path / "lease").mkdir()


def test_subreaper_leaves_no_orphan() -> None:
    """Without a pid namespace: what daemonised itself is found and killed all the same."""
    daemon = "trap '' TERM; (sleep 1000 & echo $!; sleep 1000 & echo $!) & sleep 0.2; sleep 1000"
    script = f'setsid sh -c "{daemon.replace("$", chr(92) + "$")}" & sleep 0.4; exit 6'
    ended = launch(plan([ops.BecomeSubreaper(), ops.Start(U64(0))], [], shell(script)))
    assert (ended.status, len(ended.out.split())) == (6, 2)
    assert all(is_gone(int(pid)) for pid in ended.out.split())


def test_subreaper_reaps_while_the_command_runs() -> None:
    script = "for i in 1 2 3; do (sh -c 'exit 1' &); done; sleep 0.3; ps -o stat= --ppid $PPID | grep -c Z; true"
    ended = launch(plan([ops.BecomeSubreaper(), ops.Start(U64(0))], [], shell(script)))
    assert ended.out == "0\n"


def test_subreaper_ends_a_fork_chain() -> None:
    """Each process forks its successor and exits: there is always one that was not there a moment ago."""
    chain = (
        "import os, time\nend = time.monotonic() + 20\n"
        "if os.fork() == 0:\n  os.setsid()\n  while time.monotonic() < end:\n    if os.fork(): os._exit(0)\n"
        "else: time.sleep(0.2)\n"
    )
    begin = time.monotonic()
    ended = launch(plan([ops.BecomeSubreaper(), ops.Start(U64(0))], [], ("/usr/bin/python3", "-I", "-S", "-c", chain)))
    assert (ended.status, time.monotonic() - begin < 15) == (0, True)


def test_wall_clock_reaches_the_subreapers_orphans() -> None:
    script = "setsid sleep 1000 & echo $!; sleep 1000"
    ended = launch(plan([clock(200), ops.BecomeSubreaper(), ops.Start(U64(0))], [], shell(script)))
    assert (ended.status, is_gone(int(ended.out))) == (124, True)


def test_record_times_are_in_order() -> None:
    record = launch(plan([ops.Start(U64(NEWPID))], INIT, shell("sleep 0.1"))).record
    names = ("begin_ns", "start_ns", "exec_ns", "end_ns", "gone_ns", "done_ns")
    times = [record[name] for name in names]
    assert times == sorted(times)
    assert record["end_ns"] - record["exec_ns"] >= 90e6


def test_record_says_core_dumped() -> None:
    limit = ops.SetRlimit(U32(4), U64(0), U64(0))
    record = launch(plan([ops.Start(U64(NEWPID))], [limit, *INIT], shell("kill -QUIT $$"))).record
    assert (record["signal"], record["core_dumped"]) == (signal.SIGQUIT, 0)


def test_nothing_is_left_when_monitor_or_pid_one_is_killed_at_any_moment(tmp_path: Path) -> None:
    """SIGKILL at random moments, before and after execve: no process, no mount, no file."""
    before, inside = boxed()
    marker = f"sandboxer-test-{os.getpid()}"
    argv = ("/bin/sh", "-c", "setsid sleep 1000 & sleep 1000", marker)
    (tmp_path / "plan").write_bytes(plan(before, [*inside, *boxed_end()], argv).bytes())
    mounts = Path("/proc/self/mountinfo").read_text()
    chance = random.Random(1)
    for turn in range(200):
        process = subprocess.Popen([str(LAUNCHER), "--plan", str(tmp_path / "plan")])
        time.sleep(chance.random() * 0.004)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        victim = int(children[0]) if turn % 2 and children else process.pid
        os.kill(victim, signal.SIGKILL)
        process.wait(20)
        assert eventually(lambda pids=children: all(is_gone(int(pid)) for pid in pids))  # type: ignore[misc]
    assert eventually(lambda: str(tmp_path) not in "".join(command_lines()))
    assert Path("/proc/self/mountinfo").read_text() == mounts


def command_lines() -> Iterator[str]:
    for pid in os.listdir("/proc"):
        if pid.isdigit() and int(pid) != os.getpid():
            try:
                yield Path(f"/proc/{pid}/cmdline").read_text()
            except OSError:
                continue


# ── main.c ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def call(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(LAUNCHER), *words], capture_output=True, text=True, check=False)


def test_version_and_ops_are_printed() -> None:
    rows = call("--ops").stdout.splitlines()
    assert call("--version").stdout.startswith("sandboxer-launch ")
    assert [int(row.split()[0]) for row in rows] == [kind.TAG for kind in ops.OPS]
    assert rows[0] == "1 make_idmap uss B"


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--plan",),
        ("--plan-fd", "x"),
        ("--plan-fd", "-1"),
        ("--plan-fd", "2"),
        ("--plan-fd", "99999999999999999999"),
        ("--plan", "/x", "--plan-fd", "3"),
        ("--bogus", "1"),
        ("plan",),
        ("--control-fd", "3"),
    ],
)
def test_wrong_usage_is_status_2(words: tuple[str, ...]) -> None:
    done = call(*words)
    assert (done.returncode, done.stdout, done.stderr.startswith("usage:")) == (2, "", True)


def test_plan_file_that_is_missing_is_refused() -> None:
    done = call("--plan", "/nonexistent")
    assert (done.returncode, done.stderr) == (125, "sandboxer-launch: plan 0 (header): errno 2\n")


@pytest.mark.parametrize("path", ["/dev/zero", "/proc/version", "/tmp"])
def test_plan_that_is_not_a_plain_file_is_refused(path: str) -> None:
    assert call("--plan", path).returncode == 125


def test_descriptor_that_is_not_open_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plan").write_bytes(box(shell("echo ran")))
    for option in ("--control-fd", "--result-fd"):
        done = call("--plan", str(tmp_path / "plan"), option, "77")
        assert (done.returncode, done.stdout) == (125, "")
    assert call("--plan-fd", "77").returncode == 125


def test_record_is_written_once_and_whole() -> None:
    with supervised(box(shell("exit 0"))) as one:
        data = b""
        while piece := os.read(one.result, 4096):
            data += piece
        assert len(data) == RECORD_BYTES
        assert struct.unpack_from("<Q", data)[0] == 0x3152584F42534E53


def test_command_holds_no_descriptor_of_the_launcher() -> None:
    with supervised(box(("/bin/ls", "/proc/self/fd"), before=[], inside=INIT)) as one:
        assert one.process.stdout is not None
        assert one.process.stdout.read().split() == ["0", "1", "2", "3"]


def test_start_with_a_mount_namespace_leaves_the_hosts_mounts_alone() -> None:
    mounts = Path("/proc/self/mountinfo").read_text()
    assert launch(plan([ops.Start(U64(NEWNS | NEWPID))], [ops.MakePrivate(), ops.MakeStage(Text("/tmp")), *INIT])).status == 0
    assert Path("/proc/self/mountinfo").read_text() == mounts
