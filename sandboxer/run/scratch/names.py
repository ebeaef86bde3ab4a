"""What a caller says about a run's own directory: names of files that go in, and globs of what comes back. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate

MAX_NAME_BYTES = 255  # include/uapi/linux/limits.h, NAME_MAX
MAX_DEPTH = 64


def parse_name(text: str) -> tuple[bytes, ...]:
    """The parts of a relative name. Raises: ValueError for what leads nowhere, or out."""
    parts = text.split("/")
    wrong = ""
    if not text or text.startswith("/"):
        wrong = "it is not relative to the run's own directory"
    elif any(part in ("", ".", "..") for part in parts):
        wrong = "it has a part that is no name"
    elif "\0" in text:
        wrong = "it has a NUL in it"
    elif any(len(part.encode("utf-8", "surrogateescape")) > MAX_NAME_BYTES for part in parts):
        wrong = f"a part is longer than {MAX_NAME_BYTES} bytes"
    elif len(parts) > MAX_DEPTH:
        wrong = f"it is deeper than {MAX_DEPTH} directories"
    if wrong:
        raise ValueError(f"{text!r} is no name for a file in the box: {wrong}")
    return tuple(part.encode("utf-8", "surrogateescape") for part in parts)


class Glob:
    """A pattern of relative names: `*`, `?` and `[...]` within a part, and `**` for any number of directories.

    It is followed part by part, so that what cannot match is never opened. A state is the set of places in the pattern.
    """

    __slots__ = ("_parts", "text")

    def __init__(self, text: str) -> None:
        parse_name(text)
        parts = text.split("/")
        if parts[-1] == "**":
            parts.append("*")  # everything below, and not the directory itself
        self.text = text
        self._parts = tuple(None if part == "**" else re.compile(translate(part)) for part in parts)

    @property
    def begin(self) -> frozenset[int]:
        """The state at the top."""
        return self._spread({0})

    def advance(self, state: frozenset[int], name: str) -> frozenset[int]:
        """The state below this name; empty: nothing there can match."""
        reached = set()
        for place in state:
            if place == len(self._parts):
                continue
            part = self._parts[place]
            if part is None:
                reached.add(place)
            elif part.match(name):
                reached.add(place + 1)
        return self._spread(reached)

    def is_match(self, state: frozenset[int]) -> bool:
        """Whether the name that led to this state is one that was meant."""
        return len(self._parts) in state

    def _spread(self, places: set[int]) -> frozenset[int]:
        """`**` may stand for nothing at all."""
        found = set(places)
        for place in range(len(self._parts)):
            if place in found and self._parts[place] is None:
                found.add(place + 1)
        return frozenset(found)


class Globs:
    """Several patterns at once."""

    __slots__ = ("_globs",)

    def __init__(self, texts: Iterable[str]) -> None:
        self._globs = tuple(Glob(text) for text in texts)

    @property
    def begin(self) -> tuple[frozenset[int], ...]:
        """The states at the top."""
        return tuple(glob.begin for glob in self._globs)

    def advance(self, states: tuple[frozenset[int], ...], name: str) -> tuple[frozenset[int], ...]:
        """The states below a name."""
        return tuple(glob.advance(state, name) for glob, state in zip(self._globs, states, strict=True))

    def is_match(self, states: tuple[frozenset[int], ...]) -> bool:
        """Whether one of them means it."""
        return any(glob.is_match(state) for glob, state in zip(self._globs, states, strict=True))
