"""Descriptors over a socket whose other end is a stranger's: none is ever lost in here, and none makes us wait. unix(7)."""

from __future__ import annotations

import array
import os
import socket
import stat
import struct
from collections.abc import Sequence

MOST = 253  # SCM_MAX_FD of include/net/scm.h: more do not fit in one message
ROOM = socket.CMSG_SPACE(MOST * 4)
SO_PASSRIGHTS = 83  # include/uapi/asm-generic/socket.h, since 6.16
NO_LINGER = struct.pack("ii", 0, 0)


def refuse_descriptors(ours: socket.socket) -> None:
    """Have the kernel refuse whoever sends some; older ones know no such thing, and what comes there is closed."""
    try:
        ours.setsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS, 0)
    except OSError:
        pass  # ENOPROTOOPT


def receive(ours: socket.socket, size: int) -> tuple[bytes, list[int], bool]:
    """Data, the descriptors that came with it, and whether all of them are here. Raises: OSError.

    There is room for as many as one message can have, so the kernel keeps none back but for a lack of numbers (EMFILE).
    """
    data, messages, flags, _ = ours.recvmsg(size, ROOM, socket.MSG_CMSG_CLOEXEC)
    found = array.array("i")
    for level, kind, content in messages:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(content[: len(content) - len(content) % found.itemsize])
    return data, found.tolist(), not flags & socket.MSG_CTRUNC


def send(ours: socket.socket, data: memoryview, descriptors: Sequence[int]) -> int:
    """Send data, the first byte of it with these descriptors; how much was sent. Raises: OSError."""
    if not descriptors:
        return ours.send(data)
    return ours.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))])


def close_stranger(descriptor: int) -> None:
    """Close what somebody sent. A socket that lingers would have us wait for as long as he has said."""
    if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        with socket.socket(fileno=descriptor) as theirs:
            try:
                theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
            except OSError:
                pass  # it is none that lingers
        return
    os.close(descriptor)
