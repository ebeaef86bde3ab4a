"""The words of a record: `name=value`, where a text that may hold anything is in quotes, or in hex. Source: kernel/audit.c."""

from __future__ import annotations

TEXT_BYTES = 4096


def split_fields(data: bytes) -> dict[bytes, bytes]:
    """The fields by name. No blank is inside of a value: a text that holds one is written in hex.

    What is said twice was said first by the kernel.
    """
    fields: dict[bytes, bytes] = {}
    for word in data.rstrip(b"\0\n").split(b" "):
        name, equals, value = word.partition(b"=")
        if equals:
            fields.setdefault(name, value)
    return fields


def find_number(text: bytes | None, radix: int = 10) -> int | None:
    """A number; None for what is none."""
    if not text or len(text) > 20 or not text.isalnum():
        return None
    try:
        return int(text, radix)
    except ValueError:
        return None


def find_text(value: bytes | None) -> bytes | None:
    """A text that the kernel does not trust: in quotes where it is harmless, else in hex. audit_log_untrustedstring()."""
    if value is None:
        return None
    if value.startswith(b'"'):
        return value.strip(b'"')[:TEXT_BYTES]
    if value == b"(null)":
        return b""
    try:
        return bytes.fromhex(value.decode("ascii"))[:TEXT_BYTES]
    except ValueError:  # a UnicodeDecodeError is one
        return None
