"""The file of an image: written by a box once, sealed, and executed by boxes from then on. memfd_create(2).

The box that writes it is no more trusted than any other: how large it becomes is bounded ahead, and what it did with the seals
is looked at. What is in it, nobody here reads.
"""

from __future__ import annotations

import functools
import os
from errno import EINVAL, ENODATA, EPERM
from fcntl import F_ADD_SEALS, F_GET_SEALS, F_SEAL_GROW, fcntl

from sandboxer.kernel.buffers.sealed import BLOCK_BYTES, SEALS

F_SEAL_EXEC = 0x20  # include/uapi/linux/fcntl.h, since Linux 6.3: nobody takes the right to execute it away
MFD_EXEC = 0x10  # include/uapi/linux/memfd.h, since Linux 6.3


class ImageFile:
    """One such file. fd: to write, until it is sealed; to execute and to read from then on. It is owned here."""

    def __init__(self, max_bytes: int) -> None:
        """Make it, with room for so many bytes, of which none is taken yet. Raises: OSError."""
        self.fd = _make_memfd()
        try:
            os.ftruncate(self.fd, max_bytes)
            fcntl(self.fd, F_ADD_SEALS, F_SEAL_GROW)
        except OSError:
            self.close()
            raise

    def seal(self) -> int:
        """Let nobody change it any more; how many bytes of memory it takes.

        Raises: OSError: EBUSY if somebody can still write it, EPERM if its writer has sealed it, ENODATA if nothing was written.
        """
        if fcntl(self.fd, F_GET_SEALS) != F_SEAL_GROW:
            raise OSError(EPERM, os.strerror(EPERM))
        try:
            fcntl(self.fd, F_ADD_SEALS, SEALS | F_SEAL_EXEC)
        except OSError as error:
            if error.errno != EINVAL:
                raise
            fcntl(self.fd, F_ADD_SEALS, SEALS)
        # The kernel executes nothing that is open for writing.
        readable = os.open(f"/proc/self/fd/{self.fd}", os.O_RDONLY | os.O_CLOEXEC)
        self.close()
        self.fd = readable
        size = os.fstat(readable).st_blocks * BLOCK_BYTES
        if not size:
            raise OSError(ENODATA, os.strerror(ENODATA))
        return size

    def close(self) -> None:
        """Let go of it."""
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


def _make_memfd() -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create("sandboxer-image", flags | MFD_EXEC)
    except OSError as error:
        if error.errno != EINVAL:
            raise
        return os.memfd_create("sandboxer-image", flags)


@functools.cache
def image_module() -> bytes:
    """The module with which an interpreter freezes itself, that was built with this package. Raises: OSError."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bin", "sandboxer-image.so")
    with open(path, "rb") as file:
        return file.read()
