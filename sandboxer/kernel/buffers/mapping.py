"""Memory of a stranger's, mapped to be read. Python's own mmap keeps a descriptor for each mapping; these keep none."""

from __future__ import annotations

import ctypes
import mmap
import weakref

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
_libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_FAILED = ctypes.c_void_p(-1).value


def map_readonly(descriptor: int, size: int) -> memoryview:
    """The content, for as long as something refers to it. The descriptor is the caller's still.

    It must not shrink (`sealed.find_wrong`): reading what is not there any more kills. size: > 0. Raises: OSError. mmap(2).
    """
    address = _libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_PRIVATE, descriptor, 0)
    if address == _FAILED:
        number = ctypes.get_errno()
        raise OSError(number, "mmap")
    content = (ctypes.c_ubyte * size).from_address(address)
    unmap = weakref.finalize(content, _libc.munmap, address, size)
    unmap.atexit = False  # at the end of the interpreter somebody may still look at it
    return memoryview(content).cast("B").toreadonly()
