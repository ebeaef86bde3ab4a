"""The instructions of a filter as values and as bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from sandboxer.abi import bpf


class Instruction(NamedTuple):
    """One struct sock_filter: `on_true` and `on_false` are how many instructions a jump passes by."""

    code: int
    on_true: int
    on_false: int
    k: int


Program = tuple[Instruction, ...]


def encode(program: Iterable[Instruction]) -> bytes:
    """The program as an array of struct sock_filter."""
    return b"".join(struct.pack("<HBBI", *step) for step in program)


def decode(data: bytes) -> Program:
    """The instructions of an array of struct sock_filter; a rest that is no whole one is left out."""
    whole = len(data) - len(data) % bpf.INSTRUCTION_BYTES
    return tuple(Instruction(*fields) for fields in struct.iter_unpack("<HBBI", data[:whole]))
