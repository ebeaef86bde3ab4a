"""model/surprise.py: single words."""

from __future__ import annotations

import pytest
import yaml

from sandboxer.model.place import Place
from sandboxer.model.surprise import FORBIDDEN, character_name, surprise, typed

HERE = Place("f.yaml", 1, 1, "x")


@pytest.mark.parametrize(
    ("text", "advice"),
    [("0x10", "16, or"), ("1_000", "1000, or"), ("+5", "5, or"), ("no", "false, or"), ("Yes", "true, or"), ("~", "${home}")],
)
def test_advice_names_what_was_likely_meant(text: str, advice: str) -> None:
    problem = surprise(text, HERE)
    assert problem is not None
    assert advice in problem.attempt


@pytest.mark.parametrize(
    "text", ["", "a", "12", "-1", "true", "none", "never", "nope", "1h30m", "a:b", "::1", "/a/b", "3.10.1", "e5", "-", "."]
)
def test_plain_word_is_no_surprise(text: str) -> None:
    assert surprise(text, HERE) is None


def test_everything_that_yaml_1_1_turns_into_no_text_is_typed_or_refused() -> None:
    words = [
        "y",
        "no",
        "On",
        "0o7",
        "010",
        "0x1",
        "1_1",
        "1:1",
        ".5",
        "1.",
        "-.inf",
        ".NaN",
        "~",
        "null",
        "2001-01-01 1:1:1",
        "1e+1",
        "+1",
    ]
    for text in words:
        assert surprise(text, HERE) is not None, text
    for text in ("1", "-1", "true", "false"):
        assert yaml.safe_load(text) == typed(text)


@pytest.mark.parametrize(
    ("text", "value"), [("1", 1), ("01", "01"), ("true", True), ("True", "True"), ("1.5", "1.5"), ("", None)]
)
def test_typed_never_guesses(text: str, value: object) -> None:
    assert typed(text) == value


def test_letters_of_all_scripts_are_allowed() -> None:
    assert FORBIDDEN.search("Ünïcödé 漢字 😀 — «x»\t") is None


def test_character_without_a_shape_is_named() -> None:
    assert character_name("\u202e") == "the invisible character U+202E"
