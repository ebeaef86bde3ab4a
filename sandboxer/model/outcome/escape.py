"""Text from inside a box, made safe for a terminal: nothing in it can move a cursor, turn a line around, or hide."""

from __future__ import annotations

import re

UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]")
"""Controls, and what turns or hides text on a terminal: C0 but tab and newline, C1, marks of direction, zero width, tags."""
MAX_TEXT = 8192


def escape_text(text: str, most: int = MAX_TEXT) -> str:
    """The text with an escape in place of what is unsafe; it may have several lines. most: characters that are kept."""
    return UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text[:most].encode("utf-8", "replace").decode())


def escape_name(name: bytes, most: int = 200) -> str:
    r"""A name of a file as one line: whatever is not plainly visible is an escape, what is no UTF-8 is `\xff`."""
    text = name[:most].decode("utf-8", "backslashreplace")
    shown = "".join(
        character if character.isprintable() else character.encode("unicode_escape", "backslashreplace").decode()
        for character in text
    )
    return shown if len(name) <= most else f"{shown}..."
