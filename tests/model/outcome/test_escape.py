"""Text of a box on a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandboxer.model.outcome.escape import MAX_TEXT, escape_name, escape_text


@pytest.mark.parametrize("text", ["plain", "two\nlines\tand a tab", "ä 漢 🙂"])
def test_what_is_visible_stays(text: str) -> None:
    assert escape_text(text) == text


@pytest.mark.parametrize("text", ["\x1b]0;title\x07", "a\rb", "\x9b2J", "\u202eevil", "\u200b", "\ufeff", "\U000e0041"])
def test_what_hides_or_moves_is_escaped(text: str) -> None:
    assert escape_text(text).isascii()
    assert escape_text(text).isprintable()


def test_text_is_bounded() -> None:
    assert len(escape_text("x" * 100_000)) == MAX_TEXT


@given(st.binary(max_size=400))
def test_name_is_one_visible_line_whatever_it_is(name: bytes) -> None:
    shown = escape_name(name)
    assert shown.isprintable()
    assert "\n" not in shown


def test_name_that_is_cut_says_so() -> None:
    assert escape_name(b"x" * 300) == "x" * 200 + "..."
