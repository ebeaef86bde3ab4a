"""Whether all steps of a confinement would succeed, found out in a child that is thrown away.

Some limits cannot be asked for ahead: how many Landlock domains and filters there are already, what an older filter or another
security module forbids. The child tells by stores to a page that it shares, for it may not be able to write any more.
"""

from __future__ import annotations

import mmap
import os
import signal
import struct
from dataclasses import dataclass

from sandboxer.kernel import calls
from sandboxer.kernel.in_place.confinement import Confinement

_FORM = "=III"  # the step that was begun, its errno, whether all were done
_KILLED = 4  # EINTR: how the launcher tells that a step was the end of its process


@dataclass(frozen=True, slots=True)
class Fault:
    """The first step that fails: its number in the list of ops, and the errno."""

    step: int
    errno: int


def rehearse(confinement: Confinement) -> Fault | None:
    """Do it all in a child, without the calls being ours. None: it went well. Raises: OSError where no child can be made."""
    with mmap.mmap(-1, mmap.PAGESIZE) as page:
        child = os.fork()
        if child == 0:
            _try(confinement, page)
        _reap(child)
        step, number, is_done = struct.unpack_from(_FORM, page)
    return None if is_done else Fault(step, number or _KILLED)


def _try(confinement: Confinement, page: mmap.mmap) -> None:
    """Never returns; a filter that forbids even the end of the process is ended by the signal of that."""
    try:
        calls.die_with_parent(signal.SIGKILL)
        confinement.apply(lambda step: struct.pack_into("=I", page, 0, step))
        struct.pack_into(_FORM, page, 0, confinement.step, 0, 1)
    except OSError as error:
        struct.pack_into(_FORM, page, 0, confinement.step, error.errno or _KILLED, 0)
    finally:
        os._exit(0)


def _reap(child: int) -> None:
    try:
        os.waitpid(child, 0)
    except ChildProcessError:
        pass  # the caller ignores SIGCHLD: wait(2) returned when it had ended
