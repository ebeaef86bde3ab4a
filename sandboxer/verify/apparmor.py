"""What a compiled AppArmor profile allows at a path: the kernel's walk through the policy's own tables, in Python.

The parser's output is what the kernel loads, so this asks the policy itself and not our text about it. It knows the file rules
of one profile, for whoever does not own the file. Source: security/apparmor/match.c and policy_unpack.c.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntFlag, unique

_MAGIC = 0x1B5E783D
_BLOB = b"aadfa\x00\x06"
"""The name of an automaton, and the code of a blob."""
_WIDTHS = {1: "B", 2: "H", 4: "I"}
_ACCEPT, _BASE, _CHECK, _DEFAULT, _CLASSES, _NEXT = 1, 2, 3, 4, 5, 8
_INDEX = 0xFFFFFF
_DIFFERENCE = 1 << 31
"""MATCH_FLAG_DIFF_ENCODE: a state that has no entry for a byte asks its default about the same byte."""
_START = 1
_OTHERS = 14
"""The permissions of whoever does not own the file begin at this bit."""


@unique
class May(IntFlag):
    """The permissions of a file rule, by their letters in the language."""

    X = 1
    W = 2
    R = 4
    A = 8
    L = 16
    K = 32
    M = 64

    @property
    def letters(self) -> str:
        """In the order of the bits; `a` only where `w` does not hold it already."""
        names = [one.name or "" for one in May if one in self and not (one is May.A and May.W in self)]
        return "".join(names).lower()


class Unreadable(ValueError):
    """The bytes are no compiled policy, or one of another form."""


@dataclass(frozen=True, slots=True)
class Automaton:
    """The tables of one automaton, by their number."""

    tables: Mapping[int, array[int]]

    def at(self, path: bytes, *, target: bytes = b"/target") -> May:
        """What is allowed at a path; `l`: to make it a name of the file `target`, which the kernel asks of the two as a pair."""
        state = self._walk(_START, path)
        found = self._allowed(state)
        is_paired = May.L in self._allowed(self._walk(state, b"\0" + target))
        return found if is_paired else found & ~May.L

    def _allowed(self, state: int) -> May:
        return May(self.tables[_ACCEPT][state] >> _OTHERS & 0x7F)

    def _walk(self, state: int, data: bytes) -> int:
        for byte in data:
            state = self._step(state, byte)
        return state

    def _step(self, state: int, byte: int) -> int:
        classes = self.tables.get(_CLASSES)
        column = classes[byte] if classes else byte
        base, check = self.tables[_BASE], self.tables[_CHECK]
        while True:
            at = (base[state] & _INDEX) + column
            if check[at] == state:
                return self.tables[_NEXT][at]
            is_difference = base[state] & _DIFFERENCE
            state = self.tables[_DEFAULT][state]
            if not is_difference:
                return state


def read_file_rules(policy: bytes) -> Automaton:
    """The automaton of the file rules: the last one of a profile. Raises: Unreadable."""
    at = policy.rfind(_BLOB)
    start = policy.find(struct.pack(">I", _MAGIC), at)
    if at < 0 or start < 0:
        raise Unreadable("there is no automaton in it")
    head, size = struct.unpack_from(">II", policy, start + 4)
    end, at = start + size, start + head
    tables: dict[int, array[int]] = {}
    while at < end:
        number, width, _, count = struct.unpack_from(">HHII", policy, at)
        if width not in _WIDTHS:
            raise Unreadable(f"a table has items of {width} bytes")
        values = struct.unpack_from(f">{count}{_WIDTHS[width]}", policy, at + 12)
        tables[number] = array("L", values)
        at += -(-(12 + count * width) // 8) * 8
    if missing := {_ACCEPT, _BASE, _CHECK, _DEFAULT, _NEXT} - tables.keys():
        raise Unreadable(f"tables are missing: {sorted(missing)}")
    return Automaton(tables)
