"""A person at a pseudo-terminal, who types into an interactive shell and reads what is on the screen."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attack.seats import WAIT_S, Seat, children_of, eventually, monitor_of, name_of
from tests.live.leaks import adopt_orphans, descendants, read_traces, wait_until_gone

PROMPT = b"<prompt>"


class Screen:
    """A terminal with a shell in it: what the person types, and what they see."""

    def __init__(self, seat: Seat, master: int, slave: int, shell: subprocess.Popen[bytes]) -> None:
        self.seat = seat
        self.master = master
        self.slave = slave
        self.shell = shell
        self.seen = b""

    def type(self, text: str | bytes) -> None:
        """Press these keys."""
        data = text if isinstance(text, bytes) else text.encode()
        while data:
            data = data[os.write(self.master, data) :]

    def read_until(self, word: bytes | str) -> str:
        """Everything up to a word, which is taken too."""
        wanted = word if isinstance(word, bytes) else word.encode()
        end = time.monotonic() + WAIT_S
        while wanted not in self.seen:
            ready, _, _ = select.select([self.master], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"waiting for {wanted!r}, saw {self.seen!r}"
            self.seen += os.read(self.master, 65536)
        before, _, self.seen = self.seen.partition(wanted)
        return before.decode(errors="replace")

    def enter(self, line: str) -> str:
        """Type a line, and read what comes until the next prompt, without the echo of the line."""
        self.type(line + "\r")
        return self.read_until(PROMPT).partition("\r\n")[2]

    def begin(self, line: str) -> None:
        """Type a line that keeps the terminal busy, and take its echo away."""
        self.type(line + "\r")
        self.read_until("\r\n")

    @property
    def settings(self) -> list[object]:
        """Modes and special characters."""
        return termios.tcgetattr(self.slave)

    @property
    def foreground(self) -> int:
        """The process group that the keys are for."""
        return struct.unpack("i", fcntl.ioctl(self.master, termios.TIOCGPGRP, b"\0" * 4))[0]  # type: ignore[no-any-return]

    def resize(self, rows: int, columns: int) -> None:
        """Pull at the corner of the window."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def waiting(self) -> int:
        """Characters of input that nobody has read."""
        return struct.unpack("i", fcntl.ioctl(self.slave, termios.FIONREAD, b"\0" * 4))[0]  # type: ignore[no-any-return]

    def box(self, argv: str, options: str = "-t", profile: str = "python", *, is_quiet: bool = True) -> str:
        """A command line for the shell; `argv` is quoted by whoever gives it. is_quiet: no notes of ours on the screen."""
        return f"{self.seat.installation.command} exec {'-q ' * is_quiet}-p {profile} {options} -- {argv}"

    def front(self) -> int:
        """The front that the shell has started, when its monitor is there."""
        found = eventually(lambda: [pid for pid in children_of(self.shell.pid) if monitor_of(pid)])
        assert len(found) == 1, [name_of(pid) for pid in descendants(self.shell.pid)]
        return found[0]


@pytest.fixture
def screen(seat: Seat, actor: Path) -> Iterator[Screen]:
    """A shell at a terminal that belongs to the person, as after a login. Nothing is left in the end."""
    adopt_orphans()
    before = read_traces()
    master, slave = pty.openpty()
    os.chown(os.ttyname(slave), seat.person.uid, -1)
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
    environment = {**seat.person.environment(), "PS1": PROMPT.decode(), "HISTFILE": "", "PS2": "", "PROMPT_COMMAND": ""}
    words = ["setsid", "--ctty", *seat.person.prefix, "bash", "--noprofile", "--norc", "--noediting", "-i"]
    shell = subprocess.Popen(words, cwd=seat.place, env=environment, stdin=slave, stdout=slave, stderr=slave)
    made = Screen(seat, master, slave, shell)
    try:
        made.read_until(PROMPT)
        yield made
    finally:
        shell.kill()
        shell.wait()
        os.close(master)
        os.close(slave)
    assert wait_until_gone(before, next_start=lambda: seat.run(["true"])) == []


@contextlib.contextmanager
def given_back(screen: Screen) -> Iterator[None]:
    """Afterwards the terminal is as it was, the keys are the shell's again, and it answers."""
    settings, foreground = screen.settings, screen.foreground
    yield
    assert screen.settings == settings
    assert screen.foreground == foreground
    assert screen.enter("echo alive-$((40 + 2))").startswith("alive-42\r\n")
