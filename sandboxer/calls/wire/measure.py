"""How many items a JSON text has and how deep it goes, in time linear in its length and without making anything of it.

A parser recurses into what it reads, so the depth must be known ahead of it: the interpreter's own limit may be set higher than
the stack of a thread can bear.
"""

from __future__ import annotations

import re
from itertools import accumulate

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_STEPS = bytes.maketrans(b"[{]}", b"\1\1\0\0")


def measure(text: bytes) -> tuple[int, int]:
    """The number of items at the most, and the depth. A text that is no JSON has some numbers too; the parser refuses it."""
    bare = _STRING.sub(b"", text)
    brackets = bare.translate(_STEPS, _NO_BRACKETS)
    depth = max(accumulate(2 * step - 1 for step in brackets), default=0)
    items = 1 + bare.count(b",") + bare.count(b":") + bare.count(b"[") + bare.count(b"{")
    return items, max(depth, 0)
