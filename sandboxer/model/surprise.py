"""Plain scalars that YAML readers take for different things, and characters that make a text read otherwise than it is.

A profile is read by people, editors and sandboxer; it must mean the same to all three. This module knows single words only.
"""

from __future__ import annotations

import re

from sandboxer.errors import Problem
from sandboxer.model.place import Place

# Bidirectional and zero-width characters hide what a text says ("Trojan Source", CVE-2021-42574); the Unicode line separators
# break lines for YAML 1.1 and not for editors.
FORBIDDEN = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffc\ufffe\uffff"
    "\U000e0000-\U000e0fff\ud800-\udfff]"
)
_CHARACTER_NAMES = {
    "\0": "a NUL character",
    "\r": "a carriage return",
    "\ufeff": "a byte order mark",
    "\x1b": "an escape character",
}

_BOOLEANS = {"true": True, "false": False}
_TRUE_WORDS = frozenset({"true", "yes", "on", "y"})
_FALSE_WORDS = frozenset({"false", "no", "off", "n"})
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,18})", re.ASCII)
_NUMBER = re.compile(r"[-+]?[0-9]+", re.ASCII)

_LIKE_A_NUMBER: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (
        re.compile(r"[-+]?0[0-9][0-9_]*", re.ASCII),
        "{0} has a leading zero",
        "some YAML readers take it for an octal number, others for a decimal one or a text",
    ),
    (
        re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?", re.ASCII),
        "{0} could be a number to the base of 60",
        "YAML 1.1 reads 1:30 as 90",
    ),
    (
        re.compile(r"[-+]?0(x[0-9a-fA-F_]+|o[0-7_]+|b[01_]+)", re.ASCII),
        "{0} is not a decimal number",
        "plain numbers are decimal in a profile",
    ),
    (
        re.compile(r"[-+]?[0-9]+_[0-9_]*", re.ASCII),
        "{0} is a number with _ in it",
        "only some YAML readers take it for a number",
    ),
    (
        re.compile(r"[-+]?\.(inf|nan)", re.ASCII | re.IGNORECASE),
        "{0} is not a finite number",
        "a profile has no use for one",
    ),
    (
        re.compile(r"[-+]?([0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?", re.ASCII),
        "{0} is not a whole number",
        "YAML readers may change how it is written (3.10 becomes 3.1)",
    ),
    (
        re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt]|[ \t]+)[0-9]{1,2}:.*", re.ASCII),
        "{0} could be a timestamp",
        "YAML readers move it to other time zones, each in its own way",
    ),
)


def typed(text: str) -> str | int | bool | None:
    """What a plain scalar of this text is; whatever only looks like a number stays a text."""
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    return int(text) if _DECIMAL.fullmatch(text) else text or None


def quoted(text: str) -> str:
    """Advice: the text in quotes."""
    return f'put it in quotes: "{text}"'


def character_name(character: str) -> str:
    """A character that cannot be shown, in words."""
    return _CHARACTER_NAMES.get(character, f"the invisible character U+{ord(character):04X}")


def surprise(text: str, place: Place) -> Problem | None:
    """What is wrong with a plain scalar that YAML readers take for different things, or None."""
    lower = text.lower()
    if lower in _TRUE_WORDS or lower in _FALSE_WORDS:
        return None if text in _BOOLEANS else _boolean_like(text, place, meant="true" if lower in _TRUE_WORDS else "false")
    if lower in ("null", "~"):
        attempt = f'leave the line out, or "{text}" in quotes if the text is meant'
        if text == "~":
            attempt = '"~" in quotes, or ${home}, if the home directory is meant'
        return Problem(f"{text} means nothing at all", where=place, why="YAML reads it as null", attempt=attempt)
    for pattern, what, why in _LIKE_A_NUMBER:
        if pattern.fullmatch(text):
            return Problem(what.format(_short(text)), where=place, why=why, attempt=_number_or_quotes(text))
    if _NUMBER.fullmatch(text) and not _DECIMAL.fullmatch(text):
        what = f"{_short(text)} is no number" if text[0] in "+-" else f"the number {_short(text)} is too large"
        why = "numbers are whole and decimal, without +, and have at most 19 digits"
        return Problem(what, where=place, why=why, attempt=_number_or_quotes(text))
    return None


def _boolean_like(text: str, place: Place, *, meant: str) -> Problem:
    why = f"YAML 1.1 reads it as {meant}, other readers as a text"
    attempt = f'{meant}, or "{text}" in quotes if the text is meant'
    return Problem(f"{text} is ambiguous", where=place, why=why, attempt=attempt)


def _short(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:24]}..."


def _number_or_quotes(text: str) -> str:
    """Advice for something that looks like a number: the number that was likely meant, or quotes."""
    try:
        number = int(text, 0) if len(text) <= 19 else None
    except ValueError:
        number = None
    return quoted(_short(text)) if number is None else f"{number}, or {quoted(text)}"
