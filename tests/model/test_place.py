"""model/place.py: carets stand under what they mean."""

from __future__ import annotations

from sandboxer.model.place import EXCERPT_WIDTH, Place


def test_excerpt_has_the_caret_under_the_column() -> None:
    line, caret = Place("f.yaml", 12, 5, "abc: def").excerpt().split("\n")
    assert line[caret.index("^") :] == " def"


def test_excerpt_of_a_long_line_shows_the_part_around_the_column() -> None:
    text = "x" * 5000 + "HERE" + "x" * 5000
    line, caret = Place("f.yaml", 1, 5001, text).excerpt().split("\n")
    assert line[caret.index("^") :].startswith("HERE")
    assert len(line) < EXCERPT_WIDTH + 20


def test_excerpt_shows_no_control_characters() -> None:
    assert "\x1b" not in Place("f.yaml", 1, 1, "a\x1b[31mred").excerpt()


def test_excerpt_of_a_place_without_text_is_empty() -> None:
    assert Place("f.yaml").excerpt() == ""
