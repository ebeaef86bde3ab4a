"""Runs seccomp filters without a kernel: classic BPF over struct seccomp_data, and the kernel's choice among stacked filters.

An oracle for tests, so it shares no line with what writes the filters. It knows the instructions that seccomp allows and that
compilers of filters use, and refuses every other one. Source: kernel/seccomp.c (seccomp_check_filter, seccomp_run_filters).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sandboxer.abi import bpf

_WORD = 0xFFFFFFFF
_SHIFTS, _DIVISIONS = (0x64, 0x74), (0x34, 0x3C)
_DATA_BYTES = 64  # sizeof(struct seccomp_data)
_SOURCE_X = 0x08

_ALU: dict[int, Callable[[int, int], int]] = {
    0x04: lambda a, b: a + b,
    0x14: lambda a, b: a - b,
    0x24: lambda a, b: a * b,
    0x44: lambda a, b: a | b,
    0x54: lambda a, b: a & b,
    0x64: lambda a, b: a << (b & 31),
    0x74: lambda a, b: a >> (b & 31),
    0xA4: lambda a, b: a ^ b,
}
_JUMP: dict[int, Callable[[int, int], bool]] = {
    bpf.JMP_JEQ_K: lambda a, b: a == b,
    bpf.JMP_JGT_K: lambda a, b: a > b,
    bpf.JMP_JGE_K: lambda a, b: a >= b,
    bpf.JMP_JSET_K: lambda a, b: a & b != 0,
}


class BadFilter(Exception):
    """The kernel would not take this filter."""


@dataclass(frozen=True, slots=True)
class Call:
    """One system call as a filter sees it. `number` is taken as 32 bits, arguments as 64; `arch` is an AUDIT_ARCH_*."""

    number: int
    arguments: tuple[int, ...] = ()
    arch: int = bpf.AUDIT_ARCH["x86_64"]

    def data(self) -> bytes:
        """The call as struct seccomp_data."""
        padded = [*self.arguments, *(0,) * (6 - len(self.arguments))]
        return struct.pack("<IIQ6Q", self.number & _WORD, self.arch, 0, *(value & (1 << 64) - 1 for value in padded))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a filter answered. `executed` counts the instructions it took."""

    value: int
    executed: int = 0

    @property
    def action(self) -> int:
        """SECCOMP_RET_*, without data."""
        return self.value & bpf.RET_ACTION

    @property
    def errno(self) -> int:
        """The error number of a refused call, else 0."""
        return self.value & bpf.RET_DATA if self.action == bpf.RET_ERRNO else 0

    @property
    def is_allowed(self) -> bool:
        """The call goes on to the kernel."""
        return self.action == bpf.RET_ALLOW

    @property
    def rank(self) -> int:
        """Smaller is stricter, as the kernel compares: the action as a signed number."""
        return self.action - (1 << 32) if self.action & bpf.RET_KILL_PROCESS else self.action


@dataclass(slots=True)
class _Machine:
    data: bytes
    a: int = 0
    x: int = 0
    memory: dict[int, int] = field(default_factory=dict)

    def stored(self, at: int) -> int:
        """A word of memory that was written before."""
        if at not in self.memory:
            raise BadFilter(f"reads memory {at} before it is written")
        return self.memory[at]

    def store(self, code: int, k: int) -> bool:
        """Run a load, a store or a transfer; False if `code` is none."""
        match code:
            case 0x20:
                if k % 4 or k + 4 > len(self.data):
                    raise BadFilter(f"loads at {k}")
                self.a = int.from_bytes(self.data[k : k + 4], "little")
            case 0x00:
                self.a = k
            case 0x01:
                self.x = k
            case 0x80:
                self.a = _DATA_BYTES
            case 0x81:
                self.x = _DATA_BYTES
            case 0x60:
                self.a = self.stored(k)
            case 0x61:
                self.x = self.stored(k)
            case 0x02:
                self.memory[k] = self.a
            case 0x03:
                self.memory[k] = self.x
            case 0x07:
                self.x = self.a
            case 0x87:
                self.a = self.x
            case _:
                return False
        return True


def run_filter(program: bytes, call: Call) -> Verdict:
    """What one filter answers to a call. Raises BadFilter for what the kernel would refuse to load."""
    count, rest = divmod(len(program), bpf.INSTRUCTION_BYTES)
    if rest or not 0 < count <= bpf.MAX_INSTRUCTIONS:
        raise BadFilter(f"{len(program)} bytes")
    machine = _Machine(call.data())
    at = executed = 0
    while at < count:
        code, on_true, on_false, k = struct.unpack_from("<HBBI", program, at * bpf.INSTRUCTION_BYTES)
        at += 1
        executed += 1
        operand = machine.x if code & _SOURCE_X else k
        if code == bpf.RET_K:
            return Verdict(k, executed)
        if code == 0x16:
            return Verdict(machine.a, executed)
        if code == bpf.JMP_JA:
            at += k
        elif code & ~_SOURCE_X in _JUMP:
            at += on_true if _JUMP[code & ~_SOURCE_X](machine.a, operand) else on_false
        elif code & ~_SOURCE_X in _ALU:
            if code in _SHIFTS and k > 31:
                raise BadFilter(f"instruction {at - 1} shifts by {k}")
            machine.a = _ALU[code & ~_SOURCE_X](machine.a, operand) & _WORD
        elif code in _DIVISIONS:
            if not operand:
                return Verdict(bpf.RET_KILL_THREAD, executed)  # by K the kernel does not load it
            machine.a //= operand
        elif code == 0x84:
            machine.a = -machine.a & _WORD
        elif not machine.store(code, k):
            raise BadFilter(f"instruction {at - 1} has the unknown code {code:#x}")
    raise BadFilter("runs past its end")


def run_stack(programs: Sequence[bytes], call: Call) -> Verdict:
    """What filters answer together, given in the order of loading: the strictest action, and of equal ones the newest."""
    verdict = Verdict(bpf.RET_ALLOW)
    for program in reversed(programs):
        found = run_filter(program, call)
        if found.rank < verdict.rank:
            verdict = Verdict(found.value, verdict.executed + found.executed)
        else:
            verdict = Verdict(verdict.value, verdict.executed + found.executed)
    return verdict
