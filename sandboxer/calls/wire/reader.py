"""Frames out of a stream that a hostile process writes.

What a frame says of its kind and its lengths is held against what may come ahead of any memory for it, and memory is taken only
for what came. What was passed is looked at before it is mapped, and cannot change after that.
"""

from __future__ import annotations

import os
import struct
from collections import deque
from collections.abc import Iterable, Mapping

from sandboxer.calls.wire.caps import Caps, SerializationError
from sandboxer.calls.wire.frame import HEAD, LENGTH_BYTES, MAGIC, PASSED, Frame
from sandboxer.kernel.buffers.mapping import map_readonly
from sandboxer.kernel.buffers.sealed import find_wrong


class FrameReader:
    """Takes frames, piece by piece. most_passed: how many segments of a frame may be passed."""

    __slots__ = ("_caps", "_data", "_descriptors", "_ends", "_kind", "_most_bytes", "_most_passed", "_sizes", "_text_bytes")

    def __init__(self, caps: Caps, *, most_passed: int = 0) -> None:
        self._caps = caps
        self._most_passed = most_passed
        self._data = bytearray()
        self._descriptors: deque[int] = deque()
        self._kind = 0
        self._text_bytes = 0
        self._most_bytes = 0
        self._sizes: tuple[int, ...] = ()
        self._ends: list[int] = []  # of the head with its lengths, then of the text, then of each segment in the stream

    def feed(self, data: bytes, descriptors: Iterable[int] = ()) -> None:
        """Take what has come. `next` is to be called until it has no more."""
        self._data += data
        self._descriptors.extend(descriptors)

    def take_leftovers(self) -> list[int]:
        """The descriptors that came and that nobody has asked for; they are the caller's to close."""
        left, self._descriptors = list(self._descriptors), deque()
        return left

    def next(self, expected: Mapping[int, int]) -> Frame | None:
        """The next frame if all of it is there. expected: the kinds that may come now, with the most bytes of their content.

        Raises: SerializationError, after which nothing more is to be taken.
        """
        if not expected and (self._data or self._descriptors):
            raise SerializationError("more came than was asked for")
        if not self._ends and len(self._data) >= HEAD.size:
            self._read_head(expected)
        if len(self._ends) == 1 and len(self._data) >= self._ends[0]:
            self._read_lengths()
        if len(self._ends) > 1 and len(self._data) >= self._ends[-1]:
            return self._cut()
        if len(self._descriptors) > self._most_passed:
            raise SerializationError("more descriptors came than may")
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
        self._sizes = struct.unpack_from(f"<{count}Q", self._data, HEAD.size)
        whole = sum(size & ~PASSED for size in self._sizes)
        if whole > self._caps.segment_bytes or self._text_bytes + whole > self._most_bytes:
            raise SerializationError("the answer is larger than it may be")
        if sum(size >= PASSED for size in self._sizes) > self._most_passed:
            raise SerializationError("more descriptors are announced than may come")
        for size in (self._text_bytes, *(size for size in self._sizes if size < PASSED)):
            self._ends.append(self._ends[-1] + size)

    def _cut(self) -> Frame:
        with memoryview(self._data) as view:
            pieces = [bytes(view[begin:end]) for begin, end in zip(self._ends, self._ends[1:], strict=False)]
        del self._data[: self._ends[-1]]
        self._ends = []
        text, *inline = pieces
        left = iter(inline)
        return Frame(
            self._kind, text, [self._take_passed(size - PASSED) if size >= PASSED else next(left) for size in self._sizes]
        )

    def _take_passed(self, size: int) -> memoryview:
        if not self._descriptors:
            raise SerializationError("a descriptor was announced and did not come")
        descriptor = self._descriptors.popleft()
        try:
            wrong = find_wrong(descriptor, size) if size else "it is empty"
            if wrong:
                raise SerializationError(f"what was passed cannot be taken: {wrong}")
            found = map_readonly(descriptor, size)
        except BaseException as error:
            self._descriptors.append(descriptor)  # it is left over, and may be anything
            if isinstance(error, OSError):
                raise SerializationError(f"what was passed cannot be read: {os.strerror(error.errno or 0)}") from error
            raise
        os.close(descriptor)
        return found
