"""Frames: how text and segments go over a stream, from the box to the caller.

    magic, kind u8, text u32, segments u32, and for each segment u64: their lengths in bytes, little endian; text; segments

The highest bit of a length says that the segment is *passed*: it is not in the stream, but sealed memory behind a descriptor. All
descriptors come with the first byte of the frame, in the order of the segments.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from typing import Any

MAGIC = b"SBX1"
VALUE, ERROR = 1, 2
"""The end of a call: what a function returned, or what it raised."""
ITEM, DONE = 3, 4
"""What a generator yielded; what it returned in the end."""
ASK = 5
"""The box wants a host function to be called."""
HEAD = struct.Struct("<4sBII")
LENGTH_BYTES = 8
PASSED = 1 << 63
MAX_PASSED = 64
"""How many segments of a frame can be passed, and buffers of a call."""
LARGE_BYTES = 64 << 10
"""What is smaller is not worth a descriptor."""


def pack_frame(kind: int, text: bytes, segments: list[Any], passed: Collection[int] = ()) -> list[Any]:
    """The buffers of a frame, in order. passed: the numbers of the segments that are not among them."""
    sizes = [memoryview(one).nbytes | (PASSED if number in passed else 0) for number, one in enumerate(segments)]
    head = HEAD.pack(MAGIC, kind, len(text), len(segments)) + struct.pack(f"<{len(sizes)}Q", *sizes)
    return [head, text, *(one for number, one in enumerate(segments) if number not in passed)]


class Frame:
    """One frame, whole. content_bytes: of the text and the segments together."""

    __slots__ = ("content_bytes", "kind", "segments", "text")

    def __init__(self, kind: int, text: bytes, segments: list[Any]) -> None:
        self.kind = kind
        self.text = text
        self.segments = segments
        self.content_bytes = len(text) + sum(memoryview(one).nbytes for one in segments)
