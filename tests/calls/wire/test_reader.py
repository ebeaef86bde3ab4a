"""Frames of a hostile stream: whole or refused, whatever the pieces, and never more memory than came."""

from __future__ import annotations

import contextlib
import struct
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandboxer.calls.wire.caps import Caps, SerializationError
from sandboxer.calls.wire.frame import ASK, DONE, ERROR, HEAD, ITEM, MAGIC, PASSED, VALUE, Frame, pack_frame
from sandboxer.calls.wire.reader import FrameReader
from sandboxer.kernel.buffers.passing import close_aside
from sandboxer.kernel.buffers.sealed import make_sealed

MOST = 2 << 30
KINDS = dict.fromkeys((VALUE, ERROR, ITEM, DONE, ASK), MOST)
ENDS = {VALUE: MOST, ERROR: MOST}


def packed(kind: int = VALUE, text: bytes = b"[1]", segments: tuple[bytes, ...] = ()) -> bytes:
    return b"".join(map(bytes, pack_frame(kind, text, list(segments))))


def read(reader: FrameReader, data: bytes, expected: dict[int, int] = ENDS) -> list[Frame]:
    reader.feed(data)
    found = []
    while (frame := reader.next(expected)) is not None:
        found.append(frame)
    return found


FRAMES = st.lists(
    st.tuples(st.sampled_from(sorted(KINDS)), st.binary(max_size=50), st.lists(st.binary(max_size=20), max_size=4).map(tuple)),
    max_size=4,
)


@settings(max_examples=200, deadline=None)
@given(FRAMES, st.integers(1, 30))
def test_frames_are_whole_whatever_their_pieces(frames: list[tuple[int, bytes, tuple[bytes, ...]]], size: int) -> None:
    data = b"".join(packed(*one) for one in frames)
    reader = FrameReader(Caps())
    found: list[Frame] = []
    for at in range(0, len(data), size):
        found += read(reader, data[at : at + size], KINDS)
    assert [(one.kind, one.text, tuple(one.segments)) for one in found] == frames
    assert [one.content_bytes for one in found] == [len(text) + sum(map(len, segments)) for _, text, segments in frames]


def test_half_a_frame_is_none() -> None:
    assert read(FrameReader(Caps()), packed()[:-1]) == []


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "no answer"),
        (HEAD.pack(MAGIC, 9, 0, 0), "no answer"),
        (HEAD.pack(MAGIC, ITEM, 0, 0), "no answer"),
        (HEAD.pack(MAGIC, VALUE, (16 << 20) + 1, 0), "larger than it may be"),
        (HEAD.pack(MAGIC, VALUE, 0, 10_001), "larger than it may be"),
        (HEAD.pack(MAGIC, VALUE, 0, 2) + struct.pack("<QQ", 1 << 62, 1 << 62), "larger than it may be"),
        (HEAD.pack(MAGIC, VALUE, 0, 1) + struct.pack("<Q", PASSED | 1), "more descriptors are announced"),
        (HEAD.pack(MAGIC, VALUE, 0, 1) + struct.pack("<Q", (1 << 30) + 1), "larger than it may be"),
    ],
)
def test_frame_that_says_too_much_is_refused_at_its_head(data: bytes, what: str) -> None:
    with pytest.raises(SerializationError, match=what):
        read(FrameReader(Caps()), data)


def test_kind_is_held_against_what_may_come_at_that_time() -> None:
    reader = FrameReader(Caps())
    reader.feed(packed(ITEM) + packed(ITEM))
    assert reader.next({ITEM: MOST}) is not None
    with pytest.raises(SerializationError, match="no answer"):
        reader.next({DONE: MOST})


@pytest.mark.parametrize(("most", "is_taken"), [(7, True), (6, False)])
def test_kind_has_a_most_of_its_own(most: int, is_taken: bool) -> None:
    reader = FrameReader(Caps())
    reader.feed(packed(ASK, b"[1]", (b"1234",)))
    with contextlib.nullcontext() if is_taken else pytest.raises(SerializationError, match="larger than it may be"):
        assert reader.next({ASK: most}) is not None


def test_where_nothing_may_come_one_byte_is_too_much() -> None:
    reader = FrameReader(Caps())
    assert reader.next({}) is None
    reader.feed(b"x")
    with pytest.raises(SerializationError, match="more came"):
        reader.next({})


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=6), st.booleans())
def test_any_stream_is_frames_or_the_one_error(pieces: list[bytes], has_head: bool) -> None:
    reader = FrameReader(Caps(text_bytes=100, segment_bytes=100))
    with contextlib.suppress(SerializationError):
        for piece in (HEAD.pack(MAGIC, VALUE, 5, 1), *pieces) if has_head else pieces:
            read(reader, piece)


def test_memory_is_taken_for_what_came_only() -> None:
    reader = FrameReader(Caps())
    tracemalloc.start()
    try:
        read(reader, HEAD.pack(MAGIC, VALUE, 1 << 20, 1) + struct.pack("<Q", 1 << 30) + b"[")
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


# ── descriptors ───────────────────────────────────────────────────────────────────────────────────────────────────────


def passing(sizes: list[int], inline: list[bytes], kind: int = VALUE) -> bytes:
    """A frame whose first segments are passed."""
    segments = [*(b"x" * size for size in sizes), *inline]
    return b"".join(map(bytes, pack_frame(kind, b"[1]", segments, range(len(sizes)))))


def sealed(*sizes: int) -> list[int]:
    return [make_sealed(b"x" * size) for size in sizes]


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_passed_segments_are_in_their_places(piece: int) -> None:
    reader = FrameReader(Caps(), most_passed=2)
    data = passing([5000, 6000], [b"in", b"line"]) + passing([7000], [], ERROR)
    descriptors = sealed(5000, 6000, 7000)
    found: list[Frame] = []
    for at in range(0, len(data), piece):
        first, last = descriptors[:2] if at == 0 else [], descriptors[2:] if at + piece >= len(data) else []
        reader.feed(data[at : at + piece], first + last)
        while (frame := reader.next(ENDS)) is not None:
            found.append(frame)
    assert [[len(one) for one in frame.segments] for frame in found] == [[5000, 6000, 2, 4], [7000]]
    assert [frame.content_bytes for frame in found] == [11_009, 7003]
    assert reader.take_leftovers() == []


def test_more_descriptors_than_a_frame_may_have_are_refused_and_left_over() -> None:
    reader = FrameReader(Caps(), most_passed=2)
    reader.feed(b"", sealed(1, 1, 1))
    with pytest.raises(SerializationError, match="more descriptors came than may"):
        reader.next(ENDS)
    left = reader.take_leftovers()
    assert (len(left), reader.take_leftovers()) == (3, [])
    close_aside(left)


def test_descriptor_where_nothing_may_come_is_refused() -> None:
    reader = FrameReader(Caps(), most_passed=2)
    reader.feed(b"", sealed(1))
    with pytest.raises(SerializationError, match="more came"):
        reader.next({})
    close_aside(reader.take_leftovers())


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 9000), max_size=4),
    st.lists(st.integers(0, 9000), max_size=4),
    st.lists(st.binary(max_size=9), max_size=2),
)
def test_any_descriptors_are_a_frame_or_the_one_error(said: list[int], sent: list[int], inline: list[bytes]) -> None:
    reader = FrameReader(Caps(), most_passed=3)
    reader.feed(passing(said, inline), sealed(*sent))
    try:
        frame = reader.next(ENDS)
    except SerializationError:
        assert said != sent or len(said) > 3 or 0 in said
    else:
        assert frame is not None
        assert (sent[: len(said)], [len(one) for one in frame.segments]) == (said, [*said, *map(len, inline)])
    close_aside(reader.take_leftovers())
