"""Processes under a filter that asks about one call, and the listener that hears of it."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sandboxer.abi import bpf
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.kernel import calls
from sandboxer.kernel.listener.notices import Listener, Notice, make_watch, receive_listener

CALLS = NUMBERS[os.uname().machine]
ASKED = CALLS["acct"]
NEW_LISTENER = 8
libc = ctypes.CDLL(None, use_errno=True)


def ask(*arguments: int) -> int:
    """Make the call that the filter asks about: its result, or minus the errno."""
    words = [ctypes.c_ulong(argument & (1 << 64) - 1) for argument in (*arguments, *(0,) * (6 - len(arguments)))]
    result = libc.syscall(ctypes.c_long(ASKED), *words)
    return -ctypes.get_errno() if result == -1 else int(result)


def load_filter() -> int:
    """A filter that asks about one call, for this process; its listener."""
    rows = [
        (bpf.LD_W_ABS, 0, 0, bpf.DATA_NR),
        (bpf.JMP_JEQ_K, 0, 1, ASKED),
        (bpf.RET_K, 0, 0, bpf.RET_USER_NOTIF),
        (bpf.RET_K, 0, 0, bpf.RET_ALLOW),
    ]
    program = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *row) for row in rows))
    head = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", len(rows), ctypes.addressof(program)))
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    return calls.call(CALLS["seccomp"], 1, NEW_LISTENER, ctypes.byref(head))


def send_listener(watch: socket.socket, job: Callable[[], int]) -> int:
    """Start a process that sends its listener, does the job under the filter, and exits with its result; its pid."""
    pid = os.fork()
    if pid == 0:
        status = 99
        try:
            descriptor = load_filter()
            socket.send_fds(watch, [b"w"], [descriptor])
            os.close(descriptor)
            watch.close()
            status = job()
        finally:
            os._exit(status)
    return pid


def end(pid: int) -> None:
    """Kill and reap a process, if it is there."""
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


def next_notice(listener: Listener) -> Notice:
    poll = select.poll()
    poll.register(listener.descriptor, select.POLLIN)
    assert poll.poll(10_000)
    notice = listener.receive()
    assert notice is not None
    return notice


def status_of(pid: int) -> int:
    """How a process ended: its exit status, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@contextmanager
def asking(job: Callable[[], int]) -> Iterator[tuple[Listener, int]]:
    """A process that does the job under the filter and exits with its result; the listener, and the pid."""
    ours, theirs = make_watch()
    pid = send_listener(theirs, job)
    theirs.close()
    found = receive_listener(ours)
    ours.close()
    assert found is not None
    listener, sender = found
    assert sender == pid
    try:
        yield listener, pid
    finally:
        listener.close()
        end(pid)
