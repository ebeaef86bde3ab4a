"""How a run under `exec --explain` ends: while a call waits for its answer, by an interrupt, by the filter."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.live.boxes import Box
from tests.live.needs import needs
from tests.live.refusals import CALLS, counts_of, raw


@contextmanager
def waiting_call(box: Box, *options: str, after: str = "") -> Iterator[tuple[subprocess.Popen[bytes], int, Path]]:
    """A run whose supervisor stands still while a call of the job waits for its answer; the run, the job's pid, the report."""
    report = box.person.directory(f"report-{os.urandom(4).hex()}") / "report.json"
    code = f"signal.signal(2, signal.SIG_DFL)\nprint(flush=True)\nos.read(0, 1)\nprint({raw('keyctl', 0, -3, 0, 0, 0)})\n{after}"
    words = box.words(box.python(code), ["--explain", "--quiet", "--report", str(report), *options])
    run = subprocess.Popen(
        words, cwd=box.place, env=box.person.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert run.stdin is not None
        assert run.stdout is not None
        assert run.stdout.readline() == b"\n"
        os.kill(run.pid, signal.SIGSTOP)
        wait_until(lambda: state_of(run.pid) == "T")
        run.stdin.write(b"x")
        run.stdin.flush()
        job = job_of(run.pid)
        wait_until(lambda: is_asking(job))
        yield run, job, report
    finally:
        run.kill()
        run.communicate()


def state_of(pid: int) -> str:
    """The letter of its state; X where it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def job_of(pid: int) -> int:
    """The last of a line of only children: sandboxer, the monitor, pid 1, the command."""
    while children := children_of(pid):
        pid = children[0]
    return pid


def is_asking(pid: int) -> bool:
    """Whether it sleeps in the call that is refused."""
    words = Path(f"/proc/{pid}/syscall").read_text().split()
    return words[0] == str(CALLS["keyctl"])


def wait_until(holds: Any) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def wait_until_gone(pid: int) -> None:
    wait_until(lambda: state_of(pid) in "ZX")


@needs("root")
def test_supervisor_that_dies_takes_the_box_along(box: Box) -> None:
    with box.leaves_nothing(), waiting_call(box) as (run, job, _):
        run.kill()
        wait_until_gone(job)
        assert run.communicate()[0] in (b"", b"ENOSYS\n")  # the kernel's answer where nobody listens, until the monitor kills


@needs("root")
def test_job_that_dies_while_it_waits_is_just_dead(box: Box) -> None:
    with box.leaves_nothing(), waiting_call(box) as (run, job, report):
        os.kill(job, signal.SIGKILL)
        wait_until_gone(job)
        os.kill(run.pid, signal.SIGCONT)
        output, _ = run.communicate()
        assert (output, run.returncode) == (b"", 137)
    data = json.loads(report.read_text())
    assert (data["reason"], data["signal"]) == ("signalled", 9)


@needs("root")
def test_wall_clock_ends_a_call_that_waits(box: Box) -> None:
    with box.leaves_nothing(), waiting_call(box, "--timeout", "2s") as (run, job, report):
        wait_until_gone(job)  # by the monitor, while the supervisor stands still
        os.kill(run.pid, signal.SIGCONT)
        output, _ = run.communicate()
        assert (output, run.returncode) == (b"", 124)
    assert json.loads(report.read_text())["reason"] == "wall_timeout"


@needs("root")
def test_interrupt_reaches_a_job_whose_call_was_answered_late(box: Box) -> None:
    with box.leaves_nothing(), waiting_call(box, after="time.sleep(60)") as (run, _, report):
        os.kill(run.pid, signal.SIGINT)
        os.kill(run.pid, signal.SIGCONT)
        run.communicate()
        assert run.returncode == 130
    assert counts_of(json.loads(report.read_text()), "keyctl") <= 1


@needs("root")
def test_call_that_waits_is_answered_when_the_supervisor_goes_on(box: Box) -> None:
    """The twin of the ends above."""
    with box.leaves_nothing(), waiting_call(box) as (run, _, report):
        os.kill(run.pid, signal.SIGCONT)
        output, _ = run.communicate()
        assert (output, run.returncode) == (b"EPERM\n", 0)
    assert counts_of(json.loads(report.read_text()), "keyctl") == 1


@needs("root")
@pytest.mark.parametrize("options", [(), ("--explain",)], ids=["plain", "explained"])
def test_interrupt_at_the_terminal_ends_the_job_and_tells(box: Box, options: tuple[str, ...]) -> None:
    """Ctrl-C goes to the whole group in front, and what was refused until then is told."""
    code = f"signal.signal(2, signal.SIG_DFL)\n{raw('keyctl', 0, -3, 0, 0, 0)}\nprint(flush=True)\ntime.sleep(60)"
    with box.leaves_nothing():
        run = subprocess.Popen(
            box.words(box.python(code), options),
            cwd=box.place,
            env=box.person.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        assert run.stdout is not None
        run.stdout.readline()
        os.killpg(run.pid, signal.SIGINT)
        _, errors = run.communicate()
    assert (run.returncode, "keyctl(" in errors) == (130, bool(options))


def test_trap_that_ends_the_command_is_told_as_unheard(box: Box) -> None:
    box.profile("seccomp: {deny: [{sched_yield: {}, action: trap}, {getpriority: {}, action: kill_process}]}")
    trapped, killed = (box.run(*box.python(raw(call, 0, 0)), options=["--explain"]) for call in ("sched_yield", "getpriority"))
    assert (trapped.returncode, killed.returncode) == (128 + 31, 128 + 31)
    assert ("is not heard" in trapped.stderr, "is not heard" in killed.stderr) == (True, False)
    assert "getpriority(which=0, who=0) = killed, once" in killed.stderr
