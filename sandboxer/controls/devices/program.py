"""The device program: rules about device numbers -> eBPF that a control group asks about every open and every mknod. Pure.

`v1_lines` says the same to cgroup v1.

It is a second wall. The first one is that the box has no other nodes, and cannot make any; the program holds whatever node leads
to a device, and it alone can tell reading from writing. Nothing may make nodes: no rule has MKNOD. Descriptors that are open
already are not asked about.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from sandboxer.abi import ebpf
from sandboxer.abi.ebpf import DeviceAccess

# r1 is the context; the rest is ours. r0 is the verdict, 1 to allow.
_VERDICT, _CONTEXT, _KIND, _ACCESS, _MAJOR, _MINOR = 0, 1, 2, 3, 4, 5


@dataclass(frozen=True, slots=True, order=True)
class Rule:
    """Devices that may be opened: `first` to `last` are major numbers; minor None is every one."""

    is_block: bool
    first: int
    last: int
    minor: int | None
    access: DeviceAccess

    def matches(self, is_block: bool, major: int, minor: int, access: DeviceAccess) -> bool:
        """What the rule means; the program is proven against it in tests."""
        is_device = self.is_block == is_block and self.first <= major <= self.last and self.minor in (None, minor)
        return is_device and not access & ~self.access


def assemble(rules: Iterable[Rule]) -> bytes:
    """The program: the rules one after another, and a refusal at the end."""
    code = [
        _instruction(ebpf.LOAD_WORD, _KIND, _CONTEXT, ebpf.CONTEXT_ACCESS_TYPE),
        _instruction(ebpf.MOVE_REGISTER, _ACCESS, _KIND),
        _instruction(ebpf.SHIFT_RIGHT_IMMEDIATE, _ACCESS, value=ebpf.ACCESS_SHIFT),
        _instruction(ebpf.AND_IMMEDIATE, _KIND, value=ebpf.KIND_MASK),
        _instruction(ebpf.LOAD_WORD, _MAJOR, _CONTEXT, ebpf.CONTEXT_MAJOR),
        _instruction(ebpf.LOAD_WORD, _MINOR, _CONTEXT, ebpf.CONTEXT_MINOR),
    ]
    for rule in rules:
        code += _one(rule)
    code += _verdict(0)
    return b"".join(code)


def v1_lines(rules: Iterable[Rule]) -> list[str]:
    """The same rules as lines for `devices.allow` of v1, behind an `a` in `devices.deny`: none gives `m`, the right to mknod."""
    lines = []
    for rule in rules:
        access = ("r" if rule.access & DeviceAccess.READ else "") + ("w" if rule.access & DeviceAccess.WRITE else "")
        minor = "*" if rule.minor is None else rule.minor
        lines += [f"{'b' if rule.is_block else 'c'} {major}:{minor} {access}" for major in range(rule.first, rule.last + 1)]
    return lines


def _one(rule: Rule) -> list[bytes]:
    """The tests of one rule, each of which jumps to the next rule where it fails; then the verdict to allow."""
    tests: list[tuple[int, int, int]] = [
        (ebpf.JUMP_NOT_EQUAL, _KIND, ebpf.DEVICE_BLOCK if rule.is_block else ebpf.DEVICE_CHARACTER)
    ]
    if rule.first == rule.last:
        tests.append((ebpf.JUMP_NOT_EQUAL, _MAJOR, rule.first))
    else:
        tests += [(ebpf.JUMP_LESS, _MAJOR, rule.first), (ebpf.JUMP_GREATER, _MAJOR, rule.last)]
    if rule.minor is not None:
        tests.append((ebpf.JUMP_NOT_EQUAL, _MINOR, rule.minor))
    end = [
        _instruction(ebpf.MOVE_REGISTER, _VERDICT, _ACCESS),
        _instruction(ebpf.AND_IMMEDIATE, _VERDICT, value=~int(rule.access)),
        _instruction(ebpf.JUMP_NOT_EQUAL, _VERDICT, offset=2),
        *_verdict(1),
    ]
    size = len(tests) + len(end)
    return [_instruction(op, register, value=value, offset=size - 1 - at) for at, (op, register, value) in enumerate(tests)] + end


def _verdict(value: int) -> list[bytes]:
    return [_instruction(ebpf.MOVE_IMMEDIATE, _VERDICT, value=value), _instruction(ebpf.EXIT)]


def _instruction(op: int, register: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack(ebpf.INSTRUCTION, op, register | source << 4, offset, value)
