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
_INVERTED = (bpf.JMP_JEQ_K, bpf.JMP_JGT_K, bpf.JMP_JGE_K)


def encode(program: Iterable[Instruction]) -> bytes:
    """The program as an array of struct sock_filter."""
    return b"".join(struct.pack("<HBBI", *step) for step in program)


def decode(data: bytes) -> Program:
    """The instructions of an array of struct sock_filter; a rest that is no whole one is left out."""
    whole = len(data) - len(data) % bpf.INSTRUCTION_BYTES
    return tuple(Instruction(*fields) for fields in struct.iter_unpack("<HBBI", data[:whole]))


def loaded_length(program: Program) -> int:
    """How many instructions the kernel makes of a filter, which is what it counts when a stack grows.

    Where net.core.bpf_jit_harden blinds constants there are more. Source: net/core/filter.c, bpf_convert_filter.
    """
    return 3 + sum(map(_loaded, program))  # registers are cleared first, and the context is kept


def _loaded(step: Instruction) -> int:
    if step.code == bpf.RET_K:
        return 2  # the value, and the exit
    if step.code not in (*_INVERTED, bpf.JMP_JSET_K):
        return 1
    # A jump has one way: where neither of the two goes straight on, another jump follows. All tests but JSET can be turned.
    has_one_way = not step.on_false or (not step.on_true and step.code in _INVERTED)
    is_negative = step.k >> 31  # no immediate of the new instructions, which extend the sign
    return 1 + (not has_one_way) + is_negative


def stacked_length(programs: Iterable[Program]) -> int:
    """What the kernel counts for filters that are loaded one after the other. kernel/seccomp.c, seccomp_attach_filter."""
    lengths = [loaded_length(program) for program in programs]
    return sum(lengths) + bpf.STACKED_PENALTY * max(len(lengths) - 1, 0)
