"""The listener of a watched filter: what it hears, what it answers, and what it sees of a process that waits."""

from __future__ import annotations

import errno
import os
import select
import signal
import threading

import pytest

from sandboxer.abi import bpf
from sandboxer.kernel.listener.notices import make_watch, receive_listener
from sandboxer.kernel.listener.waiting import Waiting
from tests.kernel.asking import ASKED, ask, asking, next_notice, status_of


def test_notice_has_the_call_as_it_was_made() -> None:
    with asking(lambda: ask(1, -1, 1 << 40)) as (listener, pid):
        notice = next_notice(listener)
        assert (notice.pid, notice.number, notice.arguments[:3]) == (pid, ASKED, (1, (1 << 64) - 1, 1 << 40))
        assert notice.arch == bpf.AUDIT_ARCH[os.uname().machine]


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS, errno.EXDEV, 0])
def test_answer_is_the_errno(number: int) -> None:
    with asking(lambda: -ask()) as (listener, pid):
        assert listener.refuse(next_notice(listener), number)
        assert status_of(pid) == number


def test_listener_that_is_closed_leaves_enosys() -> None:
    with asking(lambda: -ask()) as (listener, pid):
        next_notice(listener)
        listener.close()
        assert status_of(pid) == errno.ENOSYS


def test_caller_that_died_waits_no_more() -> None:
    with asking(lambda: -ask()) as (listener, pid):
        notice = next_notice(listener)
        assert listener.is_waiting(notice)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        with Waiting(listener, notice) as waiting:
            seen = (waiting.read(0x1000, 8), waiting.find_name(), waiting.find_link(1))
        assert (listener.is_waiting(notice), listener.refuse(notice, 1), listener.kill(notice), seen) == (
            False, False, 0, (None, b"", None),
        )  # fmt: skip


def test_caller_that_dies_before_it_is_heard_is_nobody() -> None:
    with asking(lambda: -ask()) as (listener, pid):
        poll = select.poll()
        poll.register(listener.descriptor, select.POLLIN)
        poll.poll(10_000)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert listener.receive() is None


def test_kill_ends_every_thread_of_the_process_and_gives_no_answer() -> None:
    def job() -> int:
        threading.Thread(target=lambda: os._exit(7 if ask() else 8)).start()
        signal.pause()
        return 0

    with asking(job) as (listener, pid):
        notice = next_notice(listener)
        assert notice.pid != pid
        assert listener.kill(notice) == pid
        assert status_of(pid) == -signal.SIGKILL


def test_socket_that_closes_brings_no_listener() -> None:
    ours, theirs = make_watch()
    theirs.close()
    assert receive_listener(ours) is None
    ours.close()


def test_listener_that_is_lost_on_its_way_is_an_error() -> None:
    """As where this process has no descriptor left: the kernel then drops it, and every refused call would answer ENOSYS."""
    ours, theirs = make_watch()
    theirs.send(b"w")
    with pytest.raises(OSError, match="lost"):
        receive_listener(ours)
    theirs.close()
    ours.close()
