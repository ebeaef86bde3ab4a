"""Two categories of SELinux for one box: chosen at random, and its own for as long as it runs.

A pair is held by a socket in the abstract namespace with its name. Nobody connects to it: two sockets cannot have one name, the
kernel frees it when the last process that has the descriptor is gone, however it ends, and there is no directory that everybody
would have to be able to write to. The namespace of names is that of the network: machines in containers choose for themselves.
The warm path passes here, so nothing heavy may be imported.
"""

from __future__ import annotations

import os
from _socket import AF_UNIX, SOCK_STREAM, socket

FIRST, LAST = 100, 999
"""Three digits each, so that a pair fits into a plan that was encoded before. Policies have 1024 categories."""
_TRIES = 1000
_NAME = b"\0sandboxer/categories/"


def take_pair() -> tuple[bytes, int]:
    """A pair as a context has it, `c123,c456`, and the descriptor that holds it. Raises: OSError if none is to be had."""
    held = socket(AF_UNIX, SOCK_STREAM)  # not inherited, until somebody passes it on
    try:
        for _ in range(_TRIES):
            pair = _choose()
            try:
                held.bind(_NAME + pair)
            except OSError as error:
                last = error  # EADDRINUSE: a box has it
                continue
            return pair, held.detach()
    except BaseException:
        held.close()
        raise
    held.close()
    raise last


def _choose() -> bytes:
    count = LAST - FIRST + 1
    while True:
        drawn = int.from_bytes(os.urandom(8), "little")
        one, other = sorted((FIRST + drawn % count, FIRST + drawn // count % count))
        if one != other:
            return b"c%d,c%d" % (one, other)
