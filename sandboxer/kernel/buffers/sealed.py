"""Memory that nobody can change any more, behind a descriptor: how it is made, how it is read, and what is none. memfd_create(2).

It runs in boxes too, so it imports the standard library only.
"""

from __future__ import annotations

import os
from fcntl import F_ADD_SEALS, F_GET_SEALS, F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_WRITE, fcntl
from mmap import ACCESS_COPY, mmap
from typing import Any

SEALS: int = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL
"""Its bytes, its size and its seals stay as they are. The kernel gives F_SEAL_WRITE only where no mapping could still write."""
BLOCK_BYTES = 512  # of st_blocks, whatever the file system's are


def make_sealed(content: Any) -> int:
    """A descriptor of memory with this content, sealed; whoever gets it closes it. Raises: OSError, also for want of memory."""
    return seal_memfd(os.memfd_create("sandboxer-buffer", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), content)


def seal_memfd(descriptor: int, content: Any) -> int:
    """Fill a memfd that has nothing yet, and seal it; the descriptor again, which is closed if that fails. Raises: OSError."""
    try:
        left = memoryview(content).cast("B")
        while left:
            left = left[os.write(descriptor, left) :]
        fcntl(descriptor, F_ADD_SEALS, SEALS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def find_wrong(descriptor: int, size: int) -> str:
    """Why a descriptor of a stranger's is no sealed memory of this size; empty if it is. Nothing of it is read or waited for.

    The seals come first: only a memfd has them, and asking anything else of it could wait for whoever stands behind it.
    """
    try:
        seals = fcntl(descriptor, F_GET_SEALS)
    except OSError:
        return "it is no memory"
    if seals & SEALS != SEALS:
        return "it is not sealed"
    facts = os.fstat(descriptor)
    if facts.st_size != size:
        return f"it has {facts.st_size} bytes, and {size} were announced"
    if facts.st_blocks * BLOCK_BYTES < size:
        return "it has holes"  # whoever reads a hole would pay for it
    return ""


def map_copy(descriptor: int, size: int) -> mmap:
    """The content, where what is written stays here: a page is copied when it is written. Raises: OSError."""
    return mmap(descriptor, size, access=ACCESS_COPY)
