"""outside/pty.c and op_open_terminal: the box's own terminal."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandboxer.model import op as ops
from sandboxer.model.op import U32, U64, Op, Text, TextList
from tests.launcher.plans import ATTR_NOEXEC, ATTR_NOSUID, LAUNCHER, boxed, launch, plan, run_boxed, shell

DEVICES: list[Op] = [
    ops.MakeDirectory(Text("/dev/pts"), U32(0o755)),
    ops.MountFilesystem(
        Text("devpts"), Text("/dev/pts"), U64(ATTR_NOSUID | ATTR_NOEXEC), TextList(("newinstance", "ptmxmode=0666", "mode=0620"))
    ),
]


class Outer:
    """A terminal as a person has it: the test is the person."""

    def __init__(self, master: int, slave: int, process: subprocess.Popen[bytes]) -> None:
        self.master = master
        self.slave = slave
        self.process = process
        self.seen = b""

    def write(self, data: bytes) -> None:
        os.write(self.master, data)

    def read_until(self, word: bytes) -> bytes:
        deadline = time.monotonic() + 20
        while word not in self.seen:
            assert time.monotonic() < deadline, self.seen
            self.seen += os.read(self.master, 4096)
        before, _, self.seen = self.seen.partition(word)
        return before

    def read_rest(self) -> bytes:
        os.set_blocking(self.master, False)
        with contextlib.suppress(BlockingIOError, OSError):
            while piece := os.read(self.master, 4096):
                self.seen += piece
        return self.seen


def set_size(fd: int, rows: int, columns: int) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@contextmanager
def terminal(script: str, tmp_path: Path, *, stdin: int | None = None) -> Iterator[Outer]:
    """A launcher with a terminal, in a session of its own."""
    before, inside = boxed()
    end: list[Op] = [ops.PivotRoot(), ops.SetWorkingDirectory(Text("/")), ops.BecomeInit(), ops.OpenTerminal()]
    parts = plan(before, [*inside, *DEVICES, *end], shell(script))
    parts.flags = 1
    (tmp_path / "plan").write_bytes(parts.bytes())
    master, slave = pty.openpty()
    set_size(slave, 33, 99)
    front = ["setsid", "--ctty", "--wait", str(LAUNCHER), "--plan", str(tmp_path / "plan")]
    if stdin is not None:
        front = [str(LAUNCHER), "--plan", str(tmp_path / "plan")]
    process = subprocess.Popen(front, stdin=slave if stdin is None else stdin, stdout=slave, stderr=slave)
    try:
        yield Outer(master, slave, process)
    finally:
        process.kill()
        process.wait()
        os.close(master)
        os.close(slave)


def test_command_has_a_terminal_of_its_own(tmp_path: Path) -> None:
    with terminal("tty; test -t 0 && test -t 1 && test -t 2 && echo all; echo done", tmp_path) as outer:
        assert outer.read_until(b"done").split() == [b"/dev/pts/0", b"all"]
        assert outer.process.wait(20) == 0


def test_command_controls_its_terminal(tmp_path: Path) -> None:
    with terminal("echo via-tty > /dev/pts/0; ps -o tty=,sid=,pid=,tpgid= -p $$; echo done", tmp_path) as outer:
        tty, session, pid, group = outer.read_until(b"done").split()[1:]
        assert (tty, session, group) == (b"pts/0", pid, pid)


def test_without_a_terminal_there_is_none() -> None:
    assert run_boxed([], shell("test -t 0 || test -t 1 || echo none")).out == "none\n"


def test_keys_reach_the_command_and_its_answers_come_back(tmp_path: Path) -> None:
    with terminal("stty -echo; echo ready; read line; echo got $line; read line; echo got $line", tmp_path) as outer:
        outer.read_until(b"ready\r\n")
        outer.write(b"hello\r")
        outer.read_until(b"got hello\r\n")
        outer.write(b"\xc3\xbc\n")
        outer.read_until(b"got \xc3\xbc\r\n")
        assert outer.process.wait(20) == 0


def test_interrupt_key_reaches_the_foreground_of_the_box_only(tmp_path: Path) -> None:
    with terminal("trap 'echo int; exit 3' INT; echo ready; while :; do sleep 0.05; done", tmp_path) as outer:
        outer.read_until(b"ready")
        outer.write(b"\x03")
        outer.read_until(b"int")
        assert outer.process.wait(20) == 3


def test_size_is_that_of_the_outer_terminal_and_follows_it(tmp_path: Path) -> None:
    with terminal("stty size; trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.02; done", tmp_path) as outer:
        assert outer.read_until(b"ready").split() == [b"33", b"99"]
        set_size(outer.master, 44, 111)
        outer.read_until(b"44 111")
        assert outer.process.wait(20) == 0


def settings_of_a_new_terminal() -> list[object]:
    """What a terminal has that nobody has changed: the outer one may be raw before a test can look at it."""
    master, slave = os.openpty()
    found: list[object] = termios.tcgetattr(slave)
    os.close(master)
    os.close(slave)
    return found


def test_outer_terminal_is_raw_while_the_box_runs_and_restored_after(tmp_path: Path) -> None:
    before = settings_of_a_new_terminal()
    with terminal("echo ready; read line", tmp_path) as outer:
        outer.read_until(b"ready")
        during = termios.tcgetattr(outer.slave)
        assert during[3] & (termios.ICANON | termios.ECHO | termios.ISIG) == 0
        outer.write(b"\r")
        assert outer.process.wait(20) == 0
        assert termios.tcgetattr(outer.slave) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_outer_terminal_is_restored_when_the_command_is_killed(number: int, tmp_path: Path) -> None:
    before = settings_of_a_new_terminal()
    with terminal("echo ready; sleep 1000", tmp_path) as outer:
        outer.read_until(b"ready")
        launcher = int(Path(f"/proc/{outer.process.pid}/task/{outer.process.pid}/children").read_text().split()[0])
        os.kill(launcher, number)
        assert outer.process.wait(20) == 128 + number
        assert termios.tcgetattr(outer.slave) == before


def test_everything_that_was_written_comes_out(tmp_path: Path) -> None:
    with terminal("stty -opost; seq 1 60000; echo end-of-it", tmp_path) as outer:
        lines = outer.read_until(b"end-of-it").split()
        assert lines == [str(number).encode() for number in range(1, 60001)]


def test_output_of_a_command_that_ended_is_not_lost(tmp_path: Path) -> None:
    for _ in range(5):
        with terminal("stty -opost; seq 1 700", tmp_path) as outer:
            assert outer.process.wait(20) == 0
            assert outer.read_rest().split()[-1] == b"700"


def test_slow_reader_does_not_lose_bytes_nor_stop_signals(tmp_path: Path) -> None:
    with terminal("stty -opost; echo ready; while :; do echo xxxxxxxxxxxxxxxxxxxxxxxx; done", tmp_path) as outer:
        outer.read_until(b"ready")
        time.sleep(0.3)
        launcher = int(Path(f"/proc/{outer.process.pid}/task/{outer.process.pid}/children").read_text().split()[0])
        os.kill(launcher, signal.SIGTERM)
        deadline = time.monotonic() + 15
        while outer.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert outer.process.returncode == 128 + signal.SIGTERM


def test_end_of_a_piped_input_is_the_end_of_file_key(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    with terminal("stty -echo; echo ready; cat; echo done", tmp_path, stdin=reader) as outer:
        os.close(reader)
        outer.read_until(b"ready")
        os.write(writer, b"line\n")
        outer.read_until(b"line")
        os.close(writer)
        outer.read_until(b"done")
        assert outer.process.wait(20) == 0


def test_more_input_than_fits_is_not_lost(tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(b"".join(b"%d\n" % number for number in range(20000)))
    done = subprocess.run(["cksum", tmp_path / "input"], capture_output=True, check=True)
    script = "stty -echo raw; echo ready; head -c 108890 | cksum"
    with open(tmp_path / "input", "rb") as stream, terminal(script, tmp_path, stdin=stream.fileno()) as outer:
        outer.read_until(b"ready")
        assert int(outer.read_until(b"108890").split()[0]) == int(done.stdout.split()[0])


def test_input_that_is_pushed_into_the_terminal_stays_in_the_box(tmp_path: Path) -> None:
    """TIOCSTI types into the box's own terminal; the person's shell sees nothing of it."""
    typed = 'import fcntl,termios\nfor c in b"echo pwned": fcntl.ioctl(0, termios.TIOCSTI, bytes([c]))'
    push = f"python3 -c '{typed}' 2>&1 | tail -1; echo done"
    with terminal(push, tmp_path) as outer:
        outer.read_until(b"done")
        assert outer.process.wait(20) == 0
        os.set_blocking(outer.slave, False)
        with pytest.raises(BlockingIOError):
            os.read(outer.slave, 100)


def test_command_cannot_reach_the_outer_terminal(tmp_path: Path) -> None:
    with terminal("ls -l /proc/self/fd | grep -c pts/0; ls /dev/pts | tr '\\n' ' '; echo done", tmp_path) as outer:
        words = outer.read_until(b"done").split()
        assert words == [b"2", b"0", b"ptmx"]


def test_slave_that_is_closed_for_a_while_can_be_opened_again(tmp_path: Path) -> None:
    script = "exec 0<&- 1>&- 2>&-; sleep 0.3; echo again > /dev/pts/0; sleep 0.1"
    with terminal(script, tmp_path) as outer:
        outer.read_until(b"again")
        assert outer.process.wait(20) == 0


def test_open_terminal_without_devpts_is_refused(tmp_path: Path) -> None:
    ended = run_boxed([], shell("echo ran"))
    assert ended.status == 0
    before, inside = boxed()
    ended = launch(plan(before, [*inside, ops.PivotRoot(), ops.BecomeInit(), ops.OpenTerminal()], shell("echo ran")))
    assert (ended.out, ended.record["fail_op"], ended.record["fail_errno"]) == ("", 53, 2)
