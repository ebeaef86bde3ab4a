"""Frames: how text and segments go over a stream. One frame is one answer, and nothing may follow it.

    magic, kind u8, text u32, segments u32, and for each segment u64: their lengths in bytes, little endian; text; segments

What a frame says of its lengths is held against the caps ahead of any memory for it, and memory is taken only for what came.
"""

from __future__ import annotations

import struct
from typing import Any

from sandboxer.calls.wire.caps import Caps, SerializationError

MAGIC = b"SBX1"
VALUE, ERROR = 1, 2
HEAD = struct.Struct("<4sBII")
LENGTH_BYTES = 8


def pack_frame(kind: int, text: bytes, segments: list[Any]) -> list[Any]:
    """The buffers of a frame, in order."""
    sizes = [memoryview(one).nbytes for one in segments]
    head = HEAD.pack(MAGIC, kind, len(text), len(segments)) + struct.pack(f"<{len(sizes)}Q", *sizes)
    return [head, text, *segments]


class FrameReader:
    """Takes a frame from a stream that a hostile process writes, piece by piece.

    is_whole: all of it is there; then kind, text and segments are its parts.
    """

    __slots__ = ("_caps", "_data", "_ends", "_wanted", "is_whole", "kind", "segments", "text")

    def __init__(self, caps: Caps) -> None:
        self._caps = caps
        self._data = bytearray()
        self._wanted = HEAD.size
        self._ends: list[int] = []
        self.is_whole = False
        self.kind = 0
        self.text = b""
        self.segments: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """Take what has come. Raises: SerializationError, after which nothing more is to be taken."""
        if self.is_whole and data:
            raise SerializationError("more came after the answer")
        self._data += data
        if not self._ends and len(self._data) >= HEAD.size:
            self._read_head()
        if self._ends and len(self._data) >= self._ends[0] and len(self._ends) == 1:
            self._read_lengths()
        if len(self._ends) > 1:
            if len(self._data) > self._ends[-1]:
                raise SerializationError("more came than the answer says it has")
            if len(self._data) == self._ends[-1]:
                self._cut()

    def _read_head(self) -> None:
        magic, kind, text_bytes, count = HEAD.unpack_from(self._data)
        if magic != MAGIC or kind not in (VALUE, ERROR):
            raise SerializationError("what came is no answer")
        if text_bytes > self._caps.text_bytes or count > self._caps.segments:
            raise SerializationError("the answer is larger than it may be")
        self.kind = kind
        self._wanted = text_bytes
        self._ends = [HEAD.size + LENGTH_BYTES * count]

    def _read_lengths(self) -> None:
        count = (self._ends[0] - HEAD.size) // LENGTH_BYTES
        sizes = struct.unpack_from(f"<{count}Q", self._data, HEAD.size)
        if sum(sizes) > self._caps.segment_bytes:
            raise SerializationError("the answer is larger than it may be")
        for size in (self._wanted, *sizes):
            self._ends.append(self._ends[-1] + size)

    def _cut(self) -> None:
        parts = [bytes(self._data[begin:end]) for begin, end in zip(self._ends, self._ends[1:], strict=False)]
        self.text, *self.segments = parts
        self._data.clear()
        self.is_whole = True
