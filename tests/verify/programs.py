"""Filters written by hand, instruction by instruction, and the filters of the shipped profiles."""

from __future__ import annotations

import functools
import itertools
import struct
from dataclasses import dataclass, replace
from pathlib import Path

from sandboxer.abi import bpf
from sandboxer.controls import seccomp
from sandboxer.controls.seccomp.meaning import Settings
from sandboxer.controls.seccomp.rules import Situation
from sandboxer.controls.seccomp.stack import compile_stack
from sandboxer.run.prepare import resolve_request
from sandboxer.run.request import Request

PROFILES = tuple(sorted(path.stem for path in (Path(__file__).resolve().parents[2] / "profiles").glob("*.yaml")))
BACKENDS = ("own", "libseccomp")
LOW, HIGH = bpf.DATA_ARGS, bpf.DATA_ARGS + 4
RET_A = 0x16

Instruction = tuple[int, int, int, int]


def program(*steps: Instruction) -> bytes:
    """An array of struct sock_filter out of (code, jt, jf, k)."""
    return b"".join(struct.pack("<HBBI", *step) for step in steps)


def load(offset: int) -> Instruction:
    return (bpf.LD_W_ABS, 0, 0, offset)


def answer(verdict: int) -> Instruction:
    return (bpf.RET_K, 0, 0, verdict)


ALLOW = answer(bpf.RET_ALLOW)


def on_number(number: int, verdict: int) -> bytes:
    """A filter that gives one number this verdict and allows the others."""
    return program(load(bpf.DATA_NR), (bpf.JMP_JEQ_K, 0, 1, number), answer(verdict), ALLOW)


def on_word(offset: int, code: int, value: int, *, mask: int = 0xFFFFFFFF) -> bytes:
    """A filter that refuses with EPERM where the comparison of a word with a value holds."""
    masked = ((bpf.ALU_AND_K, 0, 0, mask),) if mask != 0xFFFFFFFF else ()
    return program(load(offset), *masked, (code, 0, 1, value), answer(bpf.RET_ERRNO | 1), ALLOW)


@dataclass(frozen=True, slots=True)
class Stack:
    """What some profiles mean, here, and the filters that one of the backends makes of it. names: of the profiles."""

    names: tuple[str, ...]
    settings: Settings
    programs: tuple[bytes, ...]

    def __str__(self) -> str:
        return f"{self.names[0]}, {self.settings.backend}"


def compiled(name: str, settings: Settings, backend: str = "own", *, is_watched: bool = False) -> Stack:
    """The stack of settings on this architecture. is_watched: the one that asks a listener."""
    here = replace(settings.at(Situation("x86_64")), backend=backend)
    return Stack((name,), here, tuple(item.program for item in compile_stack(here, "x86_64", is_watched=is_watched)))


def settings_of(profile: str) -> Settings:
    """What a shipped profile says of system calls."""
    return seccomp.settings(resolve_request(Request(profile=profile)).policy)


@functools.cache
def shipped_stacks() -> tuple[Stack, ...]:
    """The filters of every shipped profile, by both backends; profiles with the same ones stand together."""
    found: dict[tuple[bytes, ...], Stack] = {}
    for name, backend in itertools.product(PROFILES, BACKENDS):
        stack = compiled(name, settings_of(name), backend)
        known = found.get(stack.programs)
        found[stack.programs] = replace(stack, names=(*(known.names if known else ()), name))
    return tuple(found.values())
