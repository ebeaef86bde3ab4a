"""Frames of a hostile stream: whole or refused, whatever the pieces, and never more memory than came."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandboxer.calls.wire.caps import Caps, SerializationError
from sandboxer.calls.wire.frame import ERROR, HEAD, MAGIC, VALUE, FrameReader, pack_frame


def packed(kind: int = VALUE, text: bytes = b"[1]", segments: tuple[bytes, ...] = ()) -> bytes:
    return b"".join(map(bytes, pack_frame(kind, text, list(segments))))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=50), st.lists(st.binary(max_size=20), max_size=4), st.integers(1, 30))
def test_frame_is_whole_whatever_its_pieces(text: bytes, segments: list[bytes], size: int) -> None:
    data = packed(ERROR, text, tuple(segments))
    reader = FrameReader(Caps())
    for at in range(0, len(data), size):
        assert not reader.is_whole
        reader.feed(data[at : at + size])
    assert (reader.is_whole, reader.kind, reader.text, reader.segments) == (True, ERROR, text, segments)


def test_half_a_frame_is_none() -> None:
    reader = FrameReader(Caps())
    reader.feed(packed()[:-1])
    assert not reader.is_whole


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "no answer"),
        (HEAD.pack(MAGIC, 9, 0, 0), "no answer"),
        (HEAD.pack(MAGIC, VALUE, (16 << 20) + 1, 0), "larger than it may be"),
        (HEAD.pack(MAGIC, VALUE, 0, 10_001), "larger than it may be"),
        (HEAD.pack(MAGIC, VALUE, 0, 2) + struct.pack("<QQ", 1 << 63, 1 << 63), "larger than it may be"),
        (HEAD.pack(MAGIC, VALUE, 0, 1) + struct.pack("<Q", (1 << 30) + 1), "larger than it may be"),
        (packed() + b"x", "more came"),
        (packed() + packed(), "more came"),
    ],
)
def test_frame_that_says_too_much_is_refused_at_its_head(data: bytes, what: str) -> None:
    with pytest.raises(SerializationError, match=what):
        FrameReader(Caps()).feed(data)


def test_what_comes_after_the_answer_is_refused() -> None:
    reader = FrameReader(Caps())
    reader.feed(packed())
    reader.feed(b"")
    with pytest.raises(SerializationError, match="after the answer"):
        reader.feed(b"x")


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=6), st.booleans())
def test_any_stream_is_a_frame_or_the_one_error(pieces: list[bytes], has_head: bool) -> None:
    reader = FrameReader(Caps(text_bytes=100, segment_bytes=100))
    with contextlib.suppress(SerializationError):
        for piece in (HEAD.pack(MAGIC, VALUE, 5, 1), *pieces) if has_head else pieces:
            reader.feed(piece)
