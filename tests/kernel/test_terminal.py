"""A terminal is put back as it was; what is none is told apart."""

from __future__ import annotations

import os
import pty
import termios
from collections.abc import Iterator

import pytest

from sandboxer.kernel.terminal import Terminal, find_terminal


@pytest.fixture
def slave() -> Iterator[int]:
    """A terminal that nobody controls."""
    master, descriptor = pty.openpty()
    yield descriptor
    os.close(master)
    os.close(descriptor)


def test_settings_are_put_back(slave: int) -> None:
    before = termios.tcgetattr(slave)
    terminal = Terminal(slave)
    raw = termios.tcgetattr(slave)
    raw[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(slave, termios.TCSANOW, raw)
    assert termios.tcgetattr(slave) != before
    terminal.give_back()
    assert termios.tcgetattr(slave) == before


def test_terminal_that_is_gone_is_no_error() -> None:
    master, descriptor = pty.openpty()
    terminal = Terminal(descriptor)
    os.close(master)
    terminal.give_back()
    os.close(descriptor)


def test_what_is_no_terminal_is_refused() -> None:
    with open("/dev/null") as null, pytest.raises(termios.error):
        Terminal(null.fileno())


def test_terminal_is_found_among_the_standard_streams(slave: int) -> None:
    """In a process of its own, whose output is the terminal and whose input is not."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open("/dev/null", os.O_RDWR), 0)
        os.dup2(0, 2)
        os.dup2(0, 1)
        is_absent = find_terminal() is None
        os.dup2(slave, 1)
        os._exit(0 if is_absent and find_terminal() is not None else 1)
    assert os.waitpid(child, 0)[1] == 0
