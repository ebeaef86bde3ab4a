"""Blocks: what the caller says to the box. The box has every reason to trust them; they are pickles.

    kind u8, descriptors u8, length u64 in bytes, little endian; the pickle

Descriptors are sealed memory with the large buffers of the pickle, in order. They come with its first byte: whoever reads a head
alone knows whether there are any.
"""

from __future__ import annotations

import struct

READY, CALL = 1, 2
"""What an interpreter needs before it can serve; a function and its arguments."""
NEXT = 3
"""So many items were taken, of so many bytes: as many more may come."""
ANSWER, REFUSAL = 4, 5
"""What a host function returned; the class and the text of what came instead of that."""
LAST = 6
"""The call that came was the last one: the interpreter ends when it has answered."""
HEAD = struct.Struct("<BBQ")


def pack_block(kind: int, content: bytes, descriptors: int = 0) -> bytes:
    """One block. descriptors: how many go with it."""
    return HEAD.pack(kind, descriptors, len(content)) + content


LAST_BLOCK = pack_block(LAST, b"N.")  # a pickled None
