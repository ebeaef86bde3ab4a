"""inside/init.c: pid 1 of the box."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.launcher.probe import probe_path
from sandboxer.model import op as ops
from sandboxer.model.op import U32, U64, Op, Text, U32List
from sandboxer.prove.script import data
from tests.launcher.plans import LAUNCHER, NEWPID, Ended, boxed, launch, opened, plan, run_boxed, run_ordinary, shell

EXITED, SIGNALLED = 1, 2
O_PATH = os.O_PATH | os.O_DIRECTORY


@contextmanager
def running(inside: list[Op], script: str, tmp_path: Path, *, flags: int = NEWPID) -> Iterator[subprocess.Popen[str]]:
    """A launcher whose command has said `ready`."""
    file = tmp_path / "plan"
    file.write_bytes(plan([ops.Start(U64(flags))], inside, shell(script)).bytes())
    with subprocess.Popen([str(LAUNCHER), "--plan", file], stdin=-1, stdout=-1, stderr=-1, text=True, process_group=0) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def eventually(fact: Callable[[], bool]) -> bool:
    """Poll until it holds; a few seconds at most."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if fact():
            return True
        time.sleep(0.005)
    return False


def is_gone(pid: int) -> bool:
    """Dead: gone, or a zombie that waits for the machine's own init."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def with_init(argv: tuple[str, ...]) -> Ended:
    return launch(plan([ops.Start(U64(NEWPID))], [ops.NewSession(), ops.BecomeInit()], argv))


@pytest.mark.parametrize("status", [0, 1, 42, 255])
def test_exit_code_of_the_command_is_reported(status: int) -> None:
    ended = with_init(shell(f"exit {status}"))
    assert (ended.status, ended.record["outcome"], ended.record["exit_code"]) == (status, EXITED, status)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGXCPU])
def test_signal_that_ended_the_command_is_reported(number: int) -> None:
    ended = with_init(shell(f"kill -{int(number)} $$"))
    assert (ended.status, ended.record["outcome"], ended.record["signal"]) == (128 + number, SIGNALLED, number)


def test_command_is_not_pid_one_and_leads_its_own_session() -> None:
    ended = run_boxed([], shell("read -r p c s pp g sid r < /proc/$$/stat; test $p = $sid && echo $$"))
    assert ended.out == "2\n"


def test_pid_one_reaps_orphans() -> None:
    script = "(sh -c 'exit 3' & ) ; sleep 0.2; cat /proc/[0-9]*/stat | cut -d' ' -f2,3 | grep -c Z; true"
    assert run_boxed([], shell(script)).out == "0\n"


def test_box_ends_with_the_command_whatever_is_left() -> None:
    begin = time.monotonic()
    ended = with_init(shell("trap '' TERM HUP; sleep 1000 & setsid sleep 1000 & exit 5"))
    assert (ended.status, time.monotonic() - begin < 10) == (5, True)


def test_pid_one_holds_nothing_of_the_callers() -> None:
    """The job of a root box may look at pid 1, and finds its life line, its signals, and perhaps what tells of the execve."""
    reader, writer = os.pipe()
    before, inside = boxed()
    end: list[Op] = [ops.PivotRoot(), ops.BecomeInit()]
    inside = [ops.CloseFds(U32List((writer,))), *inside[1:]]
    ended = launch(plan(before, [*inside, *end], shell("ls -l /proc/1/fd | sed 's/.*-> //'")), fds=(writer,))
    os.close(reader)
    os.close(writer)
    kinds = sorted(line.split(":")[0].split("[")[0] for line in ended.out.splitlines()[1:])
    assert kinds in (["anon_inode", "pipe"], ["anon_inode", "pipe", "pipe"])


def test_pid_one_has_let_go_before_the_command_begins() -> None:
    """A command that is quicker than pid 1 would find the host's /proc there. sandboxer-probe looks as its first call."""
    looks = [
        f"call {NUMBERS[os.uname().machine]['openat']} -100 {data(f'/proc/1/fd/{fd}/..'.encode())} {O_PATH}"
        for fd in range(3, 20)
    ]
    before, inside = boxed()
    at = next(number for number, op in enumerate(inside) if isinstance(op, ops.MakeStage))  # which may cover where it lies
    shown = [ops.MakeDirectory(Text("/probe"), U32(0o755)), ops.Attach(U32(50), Text("/probe"))]
    inside = [*inside[:at], opened(Path(probe_path()).parent), *inside[at:], *shown, ops.PivotRoot(), ops.BecomeInit()]
    parts = plan(before, inside, (f"/probe/{Path(probe_path()).name}", *looks))
    for _ in range(20):
        ended = launch(parts)
        assert {line.split()[1] for line in ended.out.splitlines()} == {str(-errno.ENOENT)}, ended


def test_pid_one_is_not_dumpable() -> None:
    ended = with_init(shell("echo ready; cat"))
    assert ended.out == "ready\n"
    seen = run_ordinary([], shell("stat -c %u /proc/1/fd /proc/$$/fd"))
    assert seen.out.split() == ["65534", "1000"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2])
def test_signal_to_the_launcher_reaches_the_command(number: int, tmp_path: Path) -> None:
    script = f"trap 'echo got; exit 9' {int(number)}; echo ready; while :; do sleep 0.01; done"
    with running([ops.BecomeInit()], script, tmp_path) as process:
        process.send_signal(number)
        out, _ = process.communicate(timeout=20)
    assert (out, process.returncode) == ("got\n", 9)


def test_signal_without_a_trap_ends_the_command(tmp_path: Path) -> None:
    with running([ops.BecomeInit()], "echo ready; sleep 1000", tmp_path) as process:
        process.terminate()
        assert process.wait(20) == 128 + signal.SIGTERM


def test_signal_from_inside_cannot_kill_pid_one() -> None:
    ended = with_init(shell("kill -9 1; kill -STOP 1; kill -TERM 1 & sleep 0.1; echo alive"))
    assert ended.out in ("alive\n", "")
    assert with_init(shell("kill -9 1; kill -STOP 1; echo alive")).out == "alive\n"


def state(pid: int) -> str:
    """The letter of proc_pid_stat(5); empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def below(pid: int) -> list[int]:
    """Every process below one."""
    found = [pid]
    for above in found:
        found += children(above)
    return found[1:]


def names(pids: list[int]) -> list[str]:
    """Who they are by now: a shell is stopped in the middle of vfork(2) if its child is, and that is another state than T."""
    return sorted(Path(f"/proc/{pid}/comm").read_text().strip() for pid in pids)


FAMILY = "trap '' TSTP; setsid sh -c 'trap \"\" TSTP; sleep 1000' & (sleep 1000 &) ; echo ready; exec sleep 1000"


def test_stop_is_for_every_process_of_the_box_and_so_is_its_end(tmp_path: Path) -> None:
    """Other sessions, orphans, and those that ignore SIGTSTP. The launcher stops too: its caller's shell waits for that."""
    with running([ops.BecomeInit()], FAMILY, tmp_path) as process:
        (init,) = children(process.pid)
        assert eventually(lambda: names(below(init)) == ["sh", "sleep", "sleep", "sleep"])
        process.send_signal(signal.SIGTSTP)
        assert eventually(lambda: {state(pid) for pid in below(init)} == {"T"})
        assert eventually(lambda: state(process.pid) == "T")
        process.send_signal(signal.SIGCONT)
        assert eventually(lambda: "T" not in {state(pid) for pid in (process.pid, *below(init))})
        process.terminate()
        assert process.wait(20) == 128 + signal.SIGTERM


@pytest.mark.parametrize("flags", [0, NEWPID])
def test_stop_without_a_pid_one_of_ours_is_for_the_commands_group(flags: int, tmp_path: Path) -> None:
    with running([ops.NewSession()], "echo ready; sleep 1000", tmp_path, flags=flags) as process:
        (command,) = children(process.pid)
        assert eventually(lambda: names(below(command)) == ["sleep"])
        both = [command, *children(command)]
        process.send_signal(signal.SIGTSTP)
        assert eventually(lambda: {state(pid) for pid in (*both, process.pid)} == {"T"})
        process.send_signal(signal.SIGCONT)
        assert eventually(lambda: "T" not in {state(pid) for pid in (*both, process.pid)})
        os.kill(both[1], signal.SIGKILL)
        assert process.wait(20) == 128 + signal.SIGKILL


def test_hup_that_the_caller_ignores_does_not_reach_the_command(tmp_path: Path) -> None:
    file = tmp_path / "plan"
    script = "trap 'echo hup' HUP; trap 'echo usr; exit 4' USR1; echo ready; while :; do sleep 0.01; done"
    file.write_bytes(plan([ops.Start(U64(NEWPID))], [ops.BecomeInit()], shell(script)).bytes())
    with subprocess.Popen(["nohup", LAUNCHER, "--plan", file], stdin=-1, stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGUSR1)
        assert process.stdout.read() == "usr\n"
    assert process.returncode == 4


def test_box_dies_with_the_monitor(tmp_path: Path) -> None:
    """SIGKILL of the monitor: pid 1 sees the pipe hang up, and its end takes the whole pid namespace along."""
    with running([ops.BecomeInit()], "trap '' TERM HUP; setsid sleep 1000 & echo ready; sleep 1000", tmp_path) as process:
        (init,) = children(process.pid)
        everybody = [init, *children(init)]
        for pid in children(init):
            everybody += children(pid)
        assert len(everybody) >= 3
        process.kill()
        assert eventually(lambda: all(is_gone(pid) for pid in everybody))


def test_box_without_init_dies_with_the_monitor_by_parent_death_signal(tmp_path: Path) -> None:
    inside: list[Op] = [ops.SetParentDeathSignal(U32(9))]
    with running(inside, "echo ready; sleep 1000", tmp_path) as process:
        (init,) = children(process.pid)
        process.kill()
        assert eventually(lambda: is_gone(init))


def test_become_init_needs_a_pid_namespace() -> None:
    ended = launch(plan([ops.Start(U64(0))], [ops.BecomeInit()], shell("echo ran")))
    assert (ended.out, ended.record["fail_op"], ended.record["fail_errno"]) == ("", 52, 22)


def test_usage_is_that_of_the_command_and_its_children() -> None:
    burn = (
        "import os\nfor _ in range(2):\n if os.fork() == 0:\n"
        "  x = bytearray(60 << 20); y = sum(range(6_000_000)); os._exit(0)\n os.wait()"
    )
    record = with_init(("/usr/bin/python3", "-I", "-S", "-c", burn)).record
    assert 60 << 20 <= record["max_rss_bytes"] < 120 << 20
    assert record["user_us"] > 20_000


def test_usage_counts_what_is_killed_at_the_end() -> None:
    burn = "(while :; do :; done) & sleep 2"
    record = with_init(shell(burn)).record
    assert record["user_us"] + record["system_us"] > 50_000


def test_usage_of_a_small_command_does_not_include_set_up() -> None:
    record = run_boxed([], ("/bin/true",)).record
    assert record["user_us"] + record["system_us"] < 50_000
    assert 100 << 10 < record["max_rss_bytes"] < 64 << 20
