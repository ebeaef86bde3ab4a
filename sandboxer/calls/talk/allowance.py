"""Whether a box can pass memory by descriptors: what its own filters answer to every system call that this takes.

It is read out of the compiled plan, so no box is tried, and none is killed for the trial. Where one of the calls is refused, all
that is large goes over the wire.
"""

from __future__ import annotations

import functools
import os
from fcntl import F_ADD_SEALS

from sandboxer.abi import bpf
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.calls.wire.caps import Caps
from sandboxer.compile.encode import decode_ops
from sandboxer.kernel.buffers.sealed import SEALS
from sandboxer.model.op import LoadFilter, LoadWatchedFilter, Op, SetRlimit, WriteGroup
from sandboxer.verify.simulate import Call, run_stack

POINTER = 0x7F0012345000
FD, OTHER_FD = 60, 5
CALLS: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("getsockname", (FD, POINTER, POINTER)),  # Python asks it of a socket that it is given
    ("recvmsg", (FD, POINTER, 0x40000000)),  # MSG_CMSG_CLOEXEC
    ("sendmsg", (FD, POINTER, 0)),
    ("memfd_create", (POINTER, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)),
    ("write", (OTHER_FD, POINTER, 1 << 20)),
    ("fcntl", (OTHER_FD, F_ADD_SEALS, SEALS)),
    ("fcntl", (OTHER_FD, 1030, 0)),  # F_DUPFD_CLOEXEC, of Python's mmap
    ("mmap", (0, 1 << 20, 3, 2, OTHER_FD, 0)),  # PROT_READ | PROT_WRITE, MAP_PRIVATE
)
MEMORY_FILES = ("memory.max", "memory.limit_in_bytes")
RLIMIT_DATA, RLIMIT_AS = 2, 9  # include/uapi/asm-generic/resource.h
PART = 4
"""What is passed is in the box's memory twice for a moment, so that no more than this part of its limit is."""


@functools.lru_cache(maxsize=32)
def most_passed_bytes(plan: bytes) -> int:
    """How many bytes of an answer a box with this plan may pass; 0: none, nor can anything be passed to it."""
    ops = decode_ops(plan)
    programs = [op.program for op in ops["inside"] if isinstance(op, LoadFilter | LoadWatchedFilter)]
    machine = os.uname().machine
    for name, arguments in CALLS:
        if not run_stack(programs, Call(NUMBERS[machine][name], arguments, bpf.AUDIT_ARCH[machine])).is_allowed:
            return 0
    limits = [limit for stage in ops.values() for op in stage if (limit := _memory_limit(op)) is not None]
    return min(Caps().segment_bytes, *(limit // PART for limit in limits))


def _memory_limit(op: Op) -> int | None:
    if isinstance(op, WriteGroup) and op.file in MEMORY_FILES and op.text.isdigit():
        return int(op.text)
    return op.soft if isinstance(op, SetRlimit) and op.resource in (RLIMIT_DATA, RLIMIT_AS) else None
