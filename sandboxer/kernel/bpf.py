"""Reads back which seccomp filters a process has, instruction by instruction, as the kernel keeps them.

The answer to "what did that box really load". It stops the process for a moment, as a tracer, and asks for privilege over the
whole machine: CAP_SYS_ADMIN in the first user namespace. Cold path only.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

# include/uapi/linux/ptrace.h
PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_SECCOMP_GET_FILTER = 17, 0x4206, 0x4207, 0x420C
INSTRUCTION_BYTES = 8  # struct sock_filter
_WALL = 0x40000000  # linux/wait.h, __WALL: also threads

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)


def read_filters(pid: int) -> tuple[bytes, ...]:
    """The filters of a process (its main thread) in the order of loading, each an array of struct sock_filter.

    Raises: PermissionError without CAP_SYS_ADMIN and the right to trace it, or if this process is under a filter itself;
    ProcessLookupError if it is not there or ends meanwhile; OSError(EIO) if the kernel lacks CONFIG_CHECKPOINT_RESTORE.
    Source: ptrace(2), PTRACE_SECCOMP_GET_FILTER; kernel/seccomp.c, seccomp_get_filter and get_nth_filter.
    """
    with _stopped(pid):
        filters: list[bytes] = []
        while (found := _read_filter(pid, len(filters))) is not None:
            filters.append(found)
        return tuple(filters)


def _read_filter(pid: int, number: int) -> bytes | None:
    """The filter with this number, counted from the oldest; None past the newest."""
    try:
        count = _ptrace(PTRACE_SECCOMP_GET_FILTER, pid, number, None)
        program = ctypes.create_string_buffer(count * INSTRUCTION_BYTES)
        _ptrace(PTRACE_SECCOMP_GET_FILTER, pid, number, ctypes.addressof(program))
    except OSError as error:
        # EINVAL: it is in no filter mode at all.
        if error.errno == errno.ENOENT or (error.errno == errno.EINVAL and number == 0):
            return None
        raise
    return program.raw


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    """Stop a process without sending it a signal, and let it go on afterwards."""
    _ptrace(PTRACE_SEIZE, pid, 0, None)
    try:
        _ptrace(PTRACE_INTERRUPT, pid, 0, None)
        _, status = os.waitpid(pid, _WALL)
        if not os.WIFSTOPPED(status):
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
        yield
    finally:
        try:
            _ptrace(PTRACE_DETACH, pid, 0, None)
        except ProcessLookupError:
            pass  # it has ended, or was killed while it stood


def _ptrace(request: int, pid: int, address: int, data: int | None) -> int:
    result = _libc.ptrace(request, pid, address, data)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(result)
