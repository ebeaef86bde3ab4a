"""What a watch answers, what it keeps, and when it ends. The processes are real, the launcher is not."""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from sandboxer.abi import bpf
from sandboxer.kernel.listener.notices import Listener, Notice
from sandboxer.kernel.listener.waiting import Waiting
from sandboxer.launcher.record import Outcome
from sandboxer.run.watch import Watch, open_watch
from tests.kernel.asking import ASKED, ask, end, send_listener, status_of
from tests.run.records import make_record


@dataclass
class Witness:
    """One who always says the same."""

    verdict: int
    texts: tuple[str, ...] = ("text",)

    def decide(self, arch: int, number: int, arguments: tuple[int, ...]) -> int:
        return self.verdict

    def read(self, notice: Notice, waiting: Waiting) -> tuple[str, ...]:
        return self.texts


@dataclass
class Launch:
    """A launcher that writes its result when it is told to."""

    result_fd: int = -1
    cancelled: list[bool] = field(default_factory=list)

    def cancel(self) -> None:
        self.cancelled.append(True)


@contextmanager
def watched(verdict: int, job: Callable[[], int]) -> Iterator[tuple[Watch, Any, int]]:
    """A watch over a process with a job; the result comes when that has ended."""
    reader, writer = os.pipe()
    with open_watch(Witness(verdict)) as watch:
        pid = send_listener(watch.theirs, job)
        announcer = threading.Thread(target=_announce, args=(pid, writer))
        announcer.start()
        try:
            yield watch, Launch(reader), pid
        finally:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            announcer.join()
            end(pid)
            os.close(reader)


def _announce(pid: int, writer: int) -> None:
    """Say on the result pipe that a process has ended, and leave it to be reaped."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    except ChildProcessError:
        pass  # the test has reaped it already
    os.write(writer, b"x")
    os.close(writer)


def refused(times: int = 1) -> Callable[[], int]:
    return lambda: [-ask(7) for _ in range(times)][-1]


@pytest.mark.parametrize(
    ("verdict", "answer"),
    [
        (bpf.RET_ERRNO | errno.EPERM, errno.EPERM),
        (bpf.RET_ERRNO | errno.ENOSYS, errno.ENOSYS),
        (bpf.RET_ERRNO, 0),
        (bpf.RET_USER_NOTIF, errno.ENOSYS),
        (bpf.RET_ALLOW, errno.EPERM),
        (bpf.RET_LOG, errno.EPERM),
    ],
)
def test_answer_is_the_policys_and_never_a_yes(verdict: int, answer: int) -> None:
    with watched(verdict, refused()) as (watch, launch, pid):
        watch.serve(launch)
        assert status_of(pid) == answer
    (row,) = watch.ledger.refusals
    assert (row.use.number, row.use.texts, row.verdict, row.pid, row.count) == (ASKED, ("text",), verdict, pid, 1)


@pytest.mark.parametrize("verdict", [bpf.RET_KILL_PROCESS, bpf.RET_KILL_THREAD, bpf.RET_TRAP, bpf.RET_TRACE])
def test_whatever_is_no_answer_ends_the_process(verdict: int) -> None:
    with watched(verdict, refused()) as (watch, launch, pid):
        watch.serve(launch)
        assert status_of(pid) == -signal.SIGKILL
    assert (watch.ledger.count, watch.is_command_killed, launch.cancelled) == (1, True, [])


def test_process_that_cannot_be_killed_takes_the_box_along(monkeypatch: pytest.MonkeyPatch) -> None:
    with watched(bpf.RET_KILL_PROCESS, refused()) as (watch, launch, pid):

        def fail(self: Listener, notice: Notice) -> int:
            os.kill(pid, signal.SIGKILL)  # as the monitor does when it is told
            raise PermissionError

        monkeypatch.setattr(Listener, "kill", fail)
        watch.serve(launch)
    assert (launch.cancelled, watch.is_command_killed) == ([True], False)


def test_child_that_is_ended_is_not_the_command() -> None:
    def job() -> int:
        child = os.fork()
        if child == 0:
            os._exit(-ask())
        return -status_of(child)

    with watched(bpf.RET_KILL_PROCESS, job) as (watch, launch, pid):
        watch.serve(launch)
        assert status_of(pid) == signal.SIGKILL
    assert not watch.is_command_killed


def test_every_call_is_counted() -> None:
    with watched(bpf.RET_ERRNO | 1, refused(500)) as (watch, launch, _):
        watch.serve(launch)
    assert watch.ledger.count == 500


def test_socket_that_brings_no_listener_is_no_reason_to_wait() -> None:
    reader, writer = os.pipe()
    with open_watch(Witness(bpf.RET_ERRNO)) as watch:
        os.write(writer, b"x")
        watch.serve(Launch(reader))  # type: ignore[arg-type]
    os.close(reader)
    os.close(writer)
    assert watch.ledger.count == 0


def test_no_descriptor_is_left() -> None:
    before = os.listdir("/proc/self/fd")
    with watched(bpf.RET_ERRNO | 1, refused()) as (watch, launch, _):
        watch.serve(launch)
    with open_watch(Witness(bpf.RET_ERRNO)):
        pass
    assert os.listdir("/proc/self/fd") == before


def test_command_that_was_ended_for_the_filter_ended_as_by_it() -> None:
    killed = make_record(Outcome.SIGNALLED, signal=9)
    with open_watch(Witness(bpf.RET_ERRNO)) as watch:
        assert watch.correct(killed) == killed
        watch.is_command_killed = True
        assert watch.correct(killed) == make_record(Outcome.SIGNALLED, signal=31)
        for other in (
            make_record(exit_code=3),
            make_record(Outcome.WALL_TIMEOUT, signal=9),
            make_record(Outcome.SIGNALLED, signal=15),
        ):
            assert watch.correct(other) == other


def test_listener_ends_with_the_box() -> None:
    """It belongs to the box's Landlock domain, whose end tells how often that has refused."""
    with watched(bpf.RET_ERRNO | 1, refused()) as (watch, launch, _):
        watch.serve(launch)
        assert watch._listener is not None
        assert watch._listener.descriptor == -1
