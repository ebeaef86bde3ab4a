"""Bytes from inside a box, harmless to a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandboxer.learn.quote import printable, quote


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"/etc/passwd", '"/etc/passwd"'),
        (b"", '""'),
        (b'a"b\\c', '"a\\"b\\\\c"'),
        (b"\x1b[2J\r\n\t\x00", '"\\x1b[2J\\r\\n\\t\\x00"'),
        (b"\xff\xfe", '"\\xff\\xfe"'),
        ("ü‮ä​".encode(), '"ü\\u202eä\\u200b"'),
    ],
)
def test_bytes_are_quoted(data: bytes, shown: str) -> None:
    assert quote(data) == shown


def test_text_that_goes_on_says_so() -> None:
    assert quote(b"abc", is_whole=False) == '"abc"...'


@given(st.binary(max_size=300))
def test_nothing_moves_the_cursor(data: bytes) -> None:
    assert quote(data).isprintable()


@given(st.text(max_size=300))
def test_text_is_made_printable(text: str) -> None:
    assert printable(text).isprintable()
