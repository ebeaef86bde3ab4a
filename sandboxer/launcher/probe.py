"""The program that tries out a box: a memfd of it, sealed, which any box can execute as its standard input.

A plan stays as it is for that: no path of the box shows the program, and none has to.
"""

from __future__ import annotations

import os

from sandboxer.kernel.buffers.sealed import seal_memfd

MFD_EXEC = 0x10
"""Since Linux 6.3 a memfd says whether it may be executed; before that all may. Source: include/uapi/linux/memfd.h."""

INSIDE = "/proc/self/fd/0"
"""Where a box finds what it has as its standard input."""


def probe_path() -> str:
    """The program that was built with this package."""
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "bin", "sandboxer-probe")


def open_probe() -> int:
    """The program in a memfd that nobody can change, to be closed by the caller. memfd_create(2). Raises: OSError."""
    with open(probe_path(), "rb") as file:
        program = file.read()
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        descriptor = os.memfd_create("sandboxer-probe", flags | MFD_EXEC)
    except OSError:
        descriptor = os.memfd_create("sandboxer-probe", flags)  # a kernel that does not know the flag
    return seal_memfd(descriptor, program)
