"""Bytes from inside a box as text for people: quoted, bounded, and harmless to a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with everything that is not plainly visible as an escape: control characters, and what turns the line around."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape", "backslashreplace").decode()
        for character in text
    )


def quote(data: bytes, *, is_whole: bool = True) -> str:
    r"""`"/etc/passwd"`, with `...` behind it where it goes on. Bytes that are no UTF-8 are shown as `\xff`."""
    text = data.replace(b"\\", b"\\\\").replace(b'"', b'\\"').decode("utf-8", "backslashreplace")
    return f'"{printable(text)}"' + ("" if is_whole else "...")
