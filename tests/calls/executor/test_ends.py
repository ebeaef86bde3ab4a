"""How programs with an executor end: with their work done, or interrupted; and that nothing of their boxes is left."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live.leaks import adopt_orphans, descendants, read_traces, wait_until_gone

PROGRAM = Path(__file__).with_name("program.py")


@pytest.fixture
def program(open_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """In a directory of its own. Nothing may be left when the test is over."""
    place = open_directory / "ends"
    place.mkdir(exist_ok=True)
    path = Path(shutil.copy(PROGRAM, place))
    adopt_orphans()
    before = read_traces()
    yield path
    assert wait_until_gone(before) == []


@contextlib.contextmanager
def start(program: Path, end: str) -> Iterator[tuple[subprocess.Popen[str], Callable[[], str]]]:
    """The process, and what reads a line of its output."""
    command = [sys.executable, str(program), end]
    process = subprocess.Popen(command, cwd=program.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline
    finally:
        process.kill()
        process.communicate()


def read_all(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What it says until it ends; where its threads are, if it does not."""
    try:
        return process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGUSR1)
        time.sleep(1)
        process.kill()
        pytest.fail(f"it has not ended: {process.communicate()[1]}")


@pytest.mark.parametrize(("end", "status", "output"), [("end_without_shutdown", 0, "7\n7\n7\n"), ("end_by_exit", 3, "7\n")])
def test_end_of_the_interpreter_waits_for_what_was_submitted(program: Path, end: str, status: int, output: str) -> None:
    with start(program, end) as (process, _):
        assert process.communicate(timeout=60) == (output, "")
        assert process.returncode == status


def test_nothing_is_taken_once_the_interpreter_ends(program: Path) -> None:
    with start(program, "submit_after_the_end") as (process, _):
        line = "cannot schedule new futures after interpreter shutdown\n"
        assert process.communicate(timeout=60) == (line * 2, "")


@pytest.mark.parametrize("end", ["wait_in_block", "wait_at_end_of_block", "wait_outside_of_block", "wait_at_end"])
def test_interrupt_ends_all_of_it(program: Path, end: str) -> None:
    with start(program, end) as (process, read_line):
        assert read_line() == "running\n"
        process.send_signal(signal.SIGINT)
        output, errors = read_all(process)
        assert (output, "KeyboardInterrupt" in errors) == ("", True)
        assert process.returncode == (0 if end == "wait_at_end" else -signal.SIGINT)


def test_death_of_the_program_ends_all_of_it(program: Path) -> None:
    with start(program, "wait_in_block") as (process, read_line):
        assert read_line() == "running\n"
        process.kill()


def test_executors_that_were_forgotten_have_no_boxes(program: Path) -> None:
    with start(program, "forget") as (process, read_line):
        assert [read_line() for _ in range(4)] == ["[7, 7, 7]\n"] * 3 + ["forgotten\n"]
        end = time.monotonic() + 60
        while descendants(process.pid):
            assert time.monotonic() < end
            time.sleep(0.005)
