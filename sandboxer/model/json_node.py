"""JSON as the same tree of nodes that YAML gives, with the place of every value. For files of others, which are hostile input.

It takes what RFC 8259 calls JSON, less what two readers could take for two things: no key twice, no fraction or exponent (they
round), no half of a surrogate pair. Size, depth and the number of values are bounded ahead of what is built. `null` is a scalar
without a value. This module knows no key of any format.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import NoReturn

from sandboxer.errors import Problem, ProfileError
from sandboxer.model.node import Mapping, Node, Scalar, Sequence, decoded
from sandboxer.model.place import Place

MAX_JSON_BYTES = 1024 * 1024
MAX_JSON_DEPTH = 32
MAX_JSON_VALUES = 100_000
MAX_DIGITS = 20
"""The largest number of 64 bits has as many."""

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?", re.ASCII)
_WORD = re.compile(r"[^\s\[\]{},:\"]{1,40}")
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_HEX = re.compile(r"[0-9a-fA-F]{4}", re.ASCII)
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}


def parse_json(data: bytes, file: str) -> Node:
    """One JSON file as nodes. file: how messages call it. Raises: ProfileError with the first thing that is wrong."""
    return _Reader(decoded(data, file, most_bytes=MAX_JSON_BYTES), file).document()


class _Reader:
    """Reads one text from left to right; `at` is where it stands."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self.lines = text.split("\n")
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line) + 1)
        self.at = 0
        self.count = 0

    def place(self, at: int) -> Place:
        """The place of a position in the text."""
        line = min(bisect_right(self.starts, at), len(self.lines)) - 1
        return Place(self.file, line + 1, at - self.starts[line] + 1, self.lines[line])

    def wrong(self, what: str, at: int, *, why: str = "", attempt: str = "") -> NoReturn:
        raise ProfileError(Problem(what, where=self.place(at), why=why, attempt=attempt))

    def next(self) -> str:
        """The next character that is no space; empty at the end."""
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return self.text[self.at : self.at + 1]

    def take(self, expected: str) -> None:
        """Step over one of these signs."""
        found = self.next()
        if not found or found not in expected:
            names = " or ".join(f"`{sign}`" for sign in expected)
            seen = f"`{found}`" if found.isprintable() and found else "a control character" if found else "the end of the file"
            self.wrong(f"not JSON: expected {names}, found {seen}", self.at)
        self.at += 1

    def document(self) -> Node:
        if not self.next():
            raise ProfileError(Problem("the file is empty", where=Place(self.file)))
        root = self.value(0)
        if self.next():
            self.wrong("not JSON: there is more after the end of the value", self.at)
        return root

    def value(self, depth: int) -> Node:
        sign, begin = self.next(), self.at
        self.count += 1
        if self.count > MAX_JSON_VALUES:
            self.wrong(f"the file has more than {MAX_JSON_VALUES} values", begin)
        if sign in ("{", "[") and depth >= MAX_JSON_DEPTH:
            self.wrong(f"nested deeper than {MAX_JSON_DEPTH} levels", begin)
        match sign:
            case "{":
                return self.mapping(depth)
            case "[":
                return self.sequence(depth)
            case '"':
                text = self.string()
                return Scalar(text, text, True, self.place(begin))
        return self.bare(begin)

    def mapping(self, depth: int) -> Mapping:
        place = self.place(self.at)
        self.at += 1
        entries: list[tuple[Scalar, Node]] = []
        first: dict[str, Place] = {}
        if self.next() == "}":
            self.at += 1
            return Mapping((), place)
        while True:
            if self.next() != '"':
                self.take('"')
            begin = self.at
            name = self.string()
            if name in first:
                why = f"the first time in line {first[name].line}; readers of JSON do not agree on which one counts"
                self.wrong(f"the key {name[:40]!r} stands here a second time", begin, why=why)
            first[name] = self.place(begin)
            self.take(":")
            entries.append((Scalar(name, name, True, first[name]), self.value(depth + 1)))
            self.take(",}")
            if self.text[self.at - 1] == "}":
                return Mapping(tuple(entries), place)

    def sequence(self, depth: int) -> Sequence:
        place = self.place(self.at)
        self.at += 1
        items: list[Node] = []
        if self.next() == "]":
            self.at += 1
            return Sequence((), place)
        while True:
            items.append(self.value(depth + 1))
            self.take(",]")
            if self.text[self.at - 1] == "]":
                return Sequence(tuple(items), place)

    def bare(self, begin: int) -> Scalar:
        """A number, or true, false, null."""
        if found := _NUMBER.match(self.text, begin):
            return self.number(found, begin)
        found = _WORD.match(self.text, begin)
        word = found[0] if found else ""
        if word in _WORDS:
            self.at = begin + len(word)
            return Scalar(_WORDS[word], word, False, self.place(begin))
        if begin >= len(self.text):
            self.wrong("not JSON: expected a value, found the end of the file", begin)
        if word.startswith(("//", "/*", "#")):
            self.wrong("not JSON: JSON has no comments", begin, attempt='a "comment" key, where the format has one')
        seen = word or self.text[begin]
        shown = f"`{seen}`" if seen.isprintable() else "a control character"
        attempt = 'double quotes around a text: "..."' if word else ""
        self.wrong(f"not JSON: expected a value, found {shown}", begin, attempt=attempt)

    def number(self, found: re.Match[str], begin: int) -> Scalar:
        word = found[0]
        self.at = found.end()
        digits = word.removeprefix("-")
        if found[1] or found[2]:
            why = "readers of JSON round such numbers, each in its own way"
            self.wrong(f"{word[:40]} is not written as a whole number", begin, why=why)
        if len(digits) > 1 and digits[0] == "0":
            self.wrong(f"not JSON: {word[:40]} has a leading zero", begin)
        if len(digits) > MAX_DIGITS:
            self.wrong(f"the number {word[:24]}... has {len(digits)} digits", begin, why=f"at most {MAX_DIGITS} are read")
        return Scalar(int(word), word, False, self.place(begin))

    def string(self) -> str:
        """The text of a string; `at` stands on its first quote."""
        begin = self.at
        self.at += 1
        pieces: list[str] = []
        while True:
            found = _PLAIN.match(self.text, self.at)
            if found:
                pieces.append(found[0])
                self.at = found.end()
            match self.text[self.at : self.at + 1]:
                case '"':
                    self.at += 1
                    return "".join(pieces)
                case "\\":
                    pieces.append(self.escape())
                case "" | "\n":
                    self.wrong("not JSON: the string that begins here is never closed", begin)
                case _:
                    self.wrong("not JSON: a control character in a string", self.at, attempt="an escape such as \\t")

    def escape(self) -> str:
        """What an escape stands for."""
        begin = self.at
        letter = self.text[begin + 1 : begin + 2]
        self.at += 2
        if letter in _ESCAPES:
            return _ESCAPES[letter]
        if letter != "u":
            self.wrong("not JSON: this escape has no meaning", begin, attempt='\\\\ for a \\, \\" for a quote')
        unit = self.unit(begin)
        if 0xD800 <= unit < 0xDC00 and self.text.startswith("\\u", self.at):
            self.at += 2
            low = self.unit(begin)
            if 0xDC00 <= low < 0xE000:
                return chr(0x10000 + ((unit - 0xD800) << 10 | low - 0xDC00))
        if 0xD800 <= unit < 0xE000:
            self.wrong("not JSON: half of a surrogate pair", begin, why="it stands for no character")
        return chr(unit)

    def unit(self, begin: int) -> int:
        """Four digits of an escape."""
        found = _HEX.match(self.text, self.at)
        if found is None:
            self.wrong("not JSON: \\u takes four hexadecimal digits", begin)
        self.at = found.end()
        return int(found[0], 16)
