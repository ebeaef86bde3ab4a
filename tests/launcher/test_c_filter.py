"""inside/filter.c: the system call filters, and the listener of the one that is watched."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from sandboxer.kernel.listener.notices import Listener, Notice, make_watch, receive_listener
from sandboxer.launcher.record import Outcome
from sandboxer.model import op as ops
from sandboxer.model.op import U32, U64, Blob, Op, U32List
from tests.launcher.plans import NEWNS, NEWPID, ORDINARY, Ended, launch, plan, shell

ALLOW, ERRNO, KILL, USER_NOTIF = 0x7FFF0000, 0x00050000, 0x80000000, 0x7FC00000
NR_EXECVE, NR_SECCOMP, NR_UNAME, NR_SENDMMSG = 59, 317, 63, 307
NOT_EXECUTABLE, SETUP_FAILED, SIGNALLED = Outcome.NOT_EXECUTABLE, Outcome.SETUP_FAILED, Outcome.SIGNALLED
NOFILE = 7


def plain(inside: Sequence[Op], argv: tuple[str, ...], *, flags: int = 0, **options: object) -> Ended:
    return launch(plan([ops.Start(U64(flags))], inside, argv), **options)  # type: ignore[arg-type]


def instruction(code: int, jt: int, jf: int, k: int) -> bytes:
    return struct.pack("<HBBI", code, jt, jf, k)


def filter_for(number: int, verdict: int) -> Blob:
    """A filter with one rule: this syscall gets this verdict, everything else is allowed."""
    return Blob(
        instruction(0x20, 0, 0, 0) + instruction(0x15, 0, 1, number) + instruction(6, 0, 0, verdict) + instruction(6, 0, 0, ALLOW)
    )


def test_load_filter_holds_for_the_command() -> None:
    load = ops.LoadFilter(U32(0), filter_for(NR_UNAME, ERRNO | errno.EPERM))
    assert plain([ops.SetNoNewPrivs(), load], ("/bin/uname",)).status == 1
    assert plain([ops.SetNoNewPrivs()], ("/bin/uname",)).status == 0


def test_load_filter_stacks() -> None:
    loads: list[Op] = [ops.LoadFilter(U32(0), filter_for(number, ERRNO | errno.EPERM)) for number in (NR_UNAME, 62)]
    ended = plain([ops.SetNoNewPrivs(), *loads], ("/bin/grep", "Seccomp_filters", "/proc/self/status"))
    assert ended.out.split() == ["Seccomp_filters:", "2"]


def test_load_filter_without_no_new_privs_needs_privilege() -> None:
    load = ops.LoadFilter(U32(0), filter_for(NR_UNAME, ERRNO))
    assert plain([load], ("/bin/true",), prefix=ORDINARY).record["fail_errno"] == errno.EACCES


@pytest.mark.parametrize("program", [b"", b"1234567", bytes(8 * 4097), bytes(8)])
def test_load_filter_that_is_no_program_is_refused(program: bytes) -> None:
    ended = plain([ops.SetNoNewPrivs(), ops.LoadFilter(U32(0), Blob(program))], ("/bin/true",))
    assert (ended.record["fail_op"], ended.record["fail_errno"]) == (54, errno.EINVAL)


def test_load_filter_with_a_listener_is_refused() -> None:
    ended = plain([ops.SetNoNewPrivs(), ops.LoadFilter(U32(8), filter_for(NR_UNAME, ERRNO))], ("/bin/true",))
    assert ended.record["fail_errno"] == errno.EINVAL


def test_filter_that_denies_execve_is_a_set_up_fault() -> None:
    ended = plain([ops.SetNoNewPrivs(), ops.LoadFilter(U32(0), filter_for(NR_EXECVE, ERRNO | errno.EPERM))], ("/bin/true",))
    assert (ended.status, ended.record["outcome"], ended.record["fail_errno"]) == (126, NOT_EXECUTABLE, errno.EPERM)


def test_filter_that_denies_everything_but_exit_still_reports() -> None:
    """No message is needed: faults are stores in shared memory."""
    deny = Blob(
        instruction(0x20, 0, 0, 0) + instruction(0x15, 0, 1, 231) + instruction(6, 0, 0, ALLOW) + instruction(6, 0, 0, ERRNO | 1)
    )
    ended = plain([ops.SetNoNewPrivs(), ops.LoadFilter(U32(0), deny)], shell("echo ran"))
    assert (ended.out, ended.status, ended.record["outcome"], ended.record["fail_errno"]) == ("", 126, NOT_EXECUTABLE, 1)


def test_filter_that_kills_at_execve_is_a_death_by_sigsys() -> None:
    ended = plain([ops.SetNoNewPrivs(), ops.LoadFilter(U32(0), filter_for(NR_EXECVE, KILL))], shell("echo ran"))
    assert (ended.out, ended.status, ended.record["outcome"], ended.record["signal"]) == ("", 128 + 31, SIGNALLED, 31)


def test_filter_that_kills_the_next_step_names_it() -> None:
    loads: list[Op] = [ops.LoadFilter(U32(0), filter_for(NR_SECCOMP, KILL)), ops.LoadFilter(U32(0), filter_for(NR_UNAME, ERRNO))]
    ended = plain([ops.SetNoNewPrivs(), *loads], shell("echo ran"))
    assert (ended.out, ended.status, ended.record["outcome"]) == ("", 125, SETUP_FAILED)
    assert (ended.record["fail_step"], ended.record["fail_op"], ended.record["fail_errno"]) == (2, 54, errno.EINTR)


WATCHED = ops.LoadWatchedFilter(U32(0), filter_for(NR_UNAME, USER_NOTIF))


class Heard:
    """What came over the socket, and every notice; each is answered EXDEV, which no filter of these tests answers."""

    def __init__(self, watch: socket.socket) -> None:
        self.pid = 0
        self.has_listener = False
        self.notices: list[Notice] = []
        self._watch = watch

    def listen(self) -> None:
        found = receive_listener(self._watch)
        if found is None:
            return
        listener, self.pid = found
        self.has_listener = True
        self._answer(listener)
        listener.close()

    def _answer(self, listener: Listener) -> None:
        poll = select.poll()
        poll.register(listener.descriptor, select.POLLIN)
        while True:
            (_, events) = poll.poll()[0]
            if events & select.POLLHUP:
                return
            notice = listener.receive()
            if notice is not None:
                self.notices.append(notice)
                listener.refuse(notice, errno.EXDEV)


@contextmanager
def listening() -> Iterator[tuple[Heard, int]]:
    """Somebody who listens, and the descriptor for `--watch-fd`."""
    ours, theirs = make_watch()
    heard = Heard(ours)
    thread = threading.Thread(target=heard.listen)
    thread.start()
    number = theirs.fileno()
    yield heard, number
    theirs.close()
    thread.join()
    ours.close()


def watched(inside: Sequence[Op], argv: tuple[str, ...], **options: object) -> tuple[Ended, Heard]:
    with listening() as (heard, number):
        ended = plain(inside, argv, watch_fd=number, **options)
    return ended, heard


def test_watched_filter_asks_its_listener_and_answers_what_that_says() -> None:
    ended, heard = watched([ops.SetNoNewPrivs(), WATCHED], ("/bin/uname",))
    assert (ended.status, [notice.number for notice in heard.notices]) == (1, [NR_UNAME])
    assert os.strerror(errno.EXDEV) in ended.err


def test_watched_filter_asks_nobody_about_other_calls() -> None:
    ended, heard = watched([ops.SetNoNewPrivs(), WATCHED], shell("echo ran"))
    assert (ended.out, heard.has_listener, heard.notices) == ("ran\n", True, [])


@pytest.mark.parametrize(("flags", "more"), [(0, ()), (NEWNS | NEWPID, (ops.BecomeInit(),))], ids=["plain", "with pid 1"])
def test_listener_comes_from_the_process_that_becomes_the_command(flags: int, more: tuple[Op, ...]) -> None:
    ended, heard = watched([ops.SetNoNewPrivs(), *more, WATCHED], ("/bin/readlink", "/proc/self"), flags=flags)
    assert ended.out.strip() == str(heard.pid)  # /proc is the test's, whatever the pid namespace


@pytest.mark.parametrize(("flags", "more"), [(0, ()), (NEWNS | NEWPID, (ops.BecomeInit(),))], ids=["plain", "with pid 1"])
def test_command_has_neither_the_listener_nor_the_socket(flags: int, more: tuple[Op, ...]) -> None:
    inside = [ops.CloseFds(U32List(())), ops.SetNoNewPrivs(), *more, WATCHED]
    ended, heard = watched(inside, ("/bin/ls", "/proc/self/fd"), flags=flags)
    assert (ended.out.split(), heard.has_listener) == (["0", "1", "2", "3"], True)


def test_nothing_but_the_command_keeps_the_listener_alive() -> None:
    """The kernel hangs up on us when the command has ended; pid 1 and the monitor hold no copy that would keep calls waiting."""
    ended, heard = watched([ops.SetNoNewPrivs(), ops.BecomeInit(), WATCHED], shell("uname; exit 3"), flags=NEWNS | NEWPID)
    assert (ended.status, len(heard.notices)) == (3, 1)


def test_plain_filter_after_a_watched_one_is_asked_first() -> None:
    """The kernel takes the strictest answer, and an error number is stricter than a question."""
    later = ops.LoadFilter(U32(0), filter_for(NR_UNAME, ERRNO | errno.EROFS))
    ended, heard = watched([ops.SetNoNewPrivs(), WATCHED, later], ("/bin/uname",))
    assert (os.strerror(errno.EROFS) in ended.err, heard.notices) == (True, [])


def test_watched_filter_that_nobody_wants_to_hear_of_is_refused_ahead_of_loading() -> None:
    ended = plain([ops.SetNoNewPrivs(), WATCHED], shell("echo ran"))
    assert (ended.out, ended.record["fail_op"], ended.record["fail_errno"]) == ("", 61, errno.EBADF)


@pytest.mark.parametrize("number", [1, 999])
def test_watch_fd_that_is_not_open_is_refused(number: int) -> None:
    ended = plain([ops.SetNoNewPrivs(), WATCHED], shell("echo ran"), watch_fd=number)
    assert (ended.out, ended.status) == ("", 2 if number < 3 else 125)


def test_command_cannot_keep_the_watch_fd() -> None:
    with listening() as (_, number):
        ended = plain([ops.CloseFds(U32List((number,))), ops.SetNoNewPrivs(), WATCHED], shell("echo ran"), watch_fd=number)
    assert (ended.out, ended.record["fail_op"], ended.record["fail_errno"]) == ("", 21, errno.EBADF)


def test_socket_without_a_reader_fails_the_set_up() -> None:
    ours, theirs = make_watch()
    ours.close()
    ended = plain([ops.SetNoNewPrivs(), WATCHED], shell("echo ran"), watch_fd=theirs.fileno())
    theirs.close()
    assert (ended.out, ended.record["fail_op"], ended.record["fail_errno"]) == ("", 61, errno.EPIPE)


def test_set_up_that_fails_earlier_sends_no_listener() -> None:
    ended, heard = watched([ops.SetUmask(U32(0o7777)), ops.SetNoNewPrivs(), WATCHED], shell("echo ran"))
    assert (ended.out, heard.has_listener) == ("", False)


@pytest.mark.parametrize("program", [b"", b"1234567", bytes(8 * 4097), bytes(8)])
def test_watched_filter_that_is_no_program_is_refused(program: bytes) -> None:
    ended, heard = watched([ops.SetNoNewPrivs(), ops.LoadWatchedFilter(U32(0), Blob(program))], shell("echo ran"))
    assert (ended.record["fail_op"], ended.record["fail_errno"], heard.has_listener) == (61, errno.EINVAL, False)


def test_second_watched_filter_is_refused() -> None:
    ended, _ = watched([ops.SetNoNewPrivs(), WATCHED, WATCHED], shell("echo ran"))
    assert (ended.out, ended.record["fail_step"], ended.record["fail_errno"]) == ("", 2, errno.EBUSY)


def test_watched_filter_finds_a_number_for_its_listener_under_the_smallest_limit() -> None:
    limit = ops.SetRlimit(U32(NOFILE), U64(4), U64(4))
    ended, heard = watched([ops.SetNoNewPrivs(), limit, WATCHED], shell("ulimit -n"))
    assert (ended.out, heard.has_listener) == ("4\n", True)


def test_watched_filter_waits_killably_where_it_is_told_to() -> None:
    """WAIT_KILLABLE_RECV: an older kernel says EINVAL, so plans hold it from 5.19 on only."""
    load = ops.LoadWatchedFilter(U32(32), filter_for(NR_UNAME, USER_NOTIF))
    ended, heard = watched([ops.SetNoNewPrivs(), load], ("/bin/uname",))
    assert (ended.status, len(heard.notices)) == (1, 1)


def test_watched_filter_as_an_ordinary_user() -> None:
    ended, heard = watched([ops.SetNoNewPrivs(), WATCHED], ("/bin/uname",), prefix=ORDINARY)
    assert (ended.status, len(heard.notices)) == (1, 1)
