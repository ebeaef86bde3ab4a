"""Frames: how text and segments go over a stream, from the box to the caller.

    magic, kind u8, text u32, segments u32, and for each segment u64: their lengths in bytes, little endian; text; segments

What a frame says of its kind and its lengths is held against what may come ahead of any memory for it, and memory is taken only
for what came.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from sandboxer.calls.wire.caps import Caps, SerializationError

MAGIC = b"SBX1"
VALUE, ERROR = 1, 2
"""The end of a call: what a function returned, or what it raised."""
ITEM, DONE = 3, 4
"""What a generator yielded; what it returned in the end."""
ASK = 5
"""The box wants a host function to be called."""
HEAD = struct.Struct("<4sBII")
LENGTH_BYTES = 8


def pack_frame(kind: int, text: bytes, segments: list[Any]) -> list[Any]:
    """The buffers of a frame, in order."""
    sizes = [memoryview(one).nbytes for one in segments]
    head = HEAD.pack(MAGIC, kind, len(text), len(segments)) + struct.pack(f"<{len(sizes)}Q", *sizes)
    return [head, text, *segments]


class Frame:
    """One frame, whole. content_bytes: of the text and the segments together."""

    __slots__ = ("content_bytes", "kind", "segments", "text")

    def __init__(self, kind: int, text: bytes, segments: list[Any]) -> None:
        self.kind = kind
        self.text = text
        self.segments = segments
        self.content_bytes = len(text) + sum(memoryview(one).nbytes for one in segments)


class FrameReader:
    """Takes frames from a stream that a hostile process writes, piece by piece."""

    __slots__ = ("_caps", "_data", "_ends", "_kind", "_most_bytes", "_text_bytes")

    def __init__(self, caps: Caps) -> None:
        self._caps = caps
        self._data = bytearray()
        self._kind = 0
        self._text_bytes = 0
        self._most_bytes = 0
        self._ends: list[int] = []  # of the head with its lengths, then of the text, then of each segment

    def feed(self, data: bytes) -> None:
        """Take what has come. `next` is to be called until it has no more."""
        self._data += data

    def next(self, expected: Mapping[int, int]) -> Frame | None:
        """The next frame if all of it is there. expected: the kinds that may come now, with the most bytes of their content.

        Raises: SerializationError, after which nothing more is to be taken.
        """
        if self._data and not expected:
            raise SerializationError("more came than was asked for")
        if not self._ends and len(self._data) >= HEAD.size:
            self._read_head(expected)
        if len(self._ends) == 1 and len(self._data) >= self._ends[0]:
            self._read_lengths()
        if len(self._ends) > 1 and len(self._data) >= self._ends[-1]:
            return self._cut()
        return None

    def _read_head(self, expected: Mapping[int, int]) -> None:
        magic, kind, text_bytes, count = HEAD.unpack_from(self._data)
        if magic != MAGIC or kind not in expected:
            raise SerializationError("what came is no answer")
        if text_bytes > self._caps.text_bytes or count > self._caps.segments:
            raise SerializationError("the answer is larger than it may be")
        self._kind, self._text_bytes, self._most_bytes = kind, text_bytes, expected[kind]
        self._ends = [HEAD.size + LENGTH_BYTES * count]

    def _read_lengths(self) -> None:
        count = (self._ends[0] - HEAD.size) // LENGTH_BYTES
        sizes = struct.unpack_from(f"<{count}Q", self._data, HEAD.size)
        if sum(sizes) > self._caps.segment_bytes or self._text_bytes + sum(sizes) > self._most_bytes:
            raise SerializationError("the answer is larger than it may be")
        for size in (self._text_bytes, *sizes):
            self._ends.append(self._ends[-1] + size)

    def _cut(self) -> Frame:
        with memoryview(self._data) as view:
            text, *segments = [bytes(view[begin:end]) for begin, end in zip(self._ends, self._ends[1:], strict=False)]
        del self._data[: self._ends[-1]]
        self._ends = []
        return Frame(self._kind, text, segments)
