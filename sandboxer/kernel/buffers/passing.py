"""Descriptors over a socket whose other end is a stranger's: none is lost in here, and none makes us wait. unix(7)."""

from __future__ import annotations

import array
import os
import socket
import threading
from collections.abc import Collection, Iterable, Sequence

MOST = 253  # SCM_MAX_FD of include/net/scm.h: more do not fit in one message
ROOM = socket.CMSG_SPACE(MOST * 4)
MOMENT_S = 0.2
SO_PASSRIGHTS = 83  # include/uapi/asm-generic/socket.h, since 6.16


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


def close_aside(descriptors: Collection[int]) -> None:
    """Close what a stranger sent, in a thread that nobody waits for longer than a moment.

    A close can be made to last: by a socket that lingers, also one that waits in the queue of another one.
    """
    if not descriptors:
        return
    closing = threading.Thread(target=_close, args=(tuple(descriptors),), name="sandboxer-close", daemon=True)
    try:
        closing.start()
    except RuntimeError:  # no thread is left, or the interpreter is about to end
        _close(descriptors)
    else:
        closing.join(MOMENT_S)


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
