"""The device program means what its rules mean: an interpreter of our own runs it, and the kernel's verifier takes it."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandboxer.abi import ebpf
from sandboxer.abi.ebpf import DeviceAccess
from sandboxer.controls.devices.program import Rule, assemble

R, W, MKNOD = DeviceAccess.READ, DeviceAccess.WRITE, DeviceAccess.MKNOD
MASK = (1 << 64) - 1


def run(program: bytes, *, is_block: bool, major: int, minor: int, access: int) -> int:
    """What the program answers. Only what a device program of ours uses is known; registers have 64 bits."""
    kind = ebpf.DEVICE_BLOCK if is_block else ebpf.DEVICE_CHARACTER
    context = {
        ebpf.CONTEXT_ACCESS_TYPE: access << ebpf.ACCESS_SHIFT | kind,
        ebpf.CONTEXT_MAJOR: major,
        ebpf.CONTEXT_MINOR: minor,
    }
    code = list(struct.iter_unpack(ebpf.INSTRUCTION, program))
    registers: dict[int, int] = {}
    at = 0
    while True:
        op, both, offset, immediate = code[at]
        target, source = both & 15, both >> 4
        value = immediate & MASK  # signed to 64 bits
        at += 1
        match op:
            case ebpf.LOAD_WORD:
                assert source == 1
                registers[target] = context[offset]
            case ebpf.MOVE_IMMEDIATE:
                registers[target] = value
            case ebpf.MOVE_REGISTER:
                registers[target] = registers[source]
            case ebpf.AND_IMMEDIATE:
                registers[target] &= value
            case ebpf.SHIFT_RIGHT_IMMEDIATE:
                registers[target] >>= immediate
            case ebpf.JUMP_NOT_EQUAL:
                at += offset if registers[target] != value else 0
            case ebpf.JUMP_GREATER:
                at += offset if registers[target] > value else 0
            case ebpf.JUMP_LESS:
                at += offset if registers[target] < value else 0
            case ebpf.EXIT:
                return registers[0]
            case _:
                raise AssertionError(f"unknown instruction {op:#x}")


MAJORS, MINORS = st.integers(0, 4095), st.integers(0, (1 << 20) - 1)
NEAR = st.sampled_from([0, 1, 3, 5, 8, 135, 136, 143, 144])
ACCESSES = st.sampled_from([R, W, R | W])
RULES = st.builds(
    lambda is_block, first, more, minor, access: Rule(is_block, first, first + more, minor, access),
    st.booleans(), NEAR | MAJORS, st.sampled_from([0, 0, 7]), st.none() | NEAR | MINORS, ACCESSES,
)  # fmt: skip


@given(st.lists(RULES, max_size=12), st.booleans(), NEAR | MAJORS, NEAR | MINORS, st.integers(0, 7))
def test_program_means_its_rules(rules: list[Rule], is_block: bool, major: int, minor: int, access: int) -> None:
    wanted = any(rule.matches(is_block, major, minor, DeviceAccess(access)) for rule in rules)
    assert run(assemble(rules), is_block=is_block, major=major, minor=minor, access=access) == wanted


@given(st.lists(RULES, min_size=1, max_size=4), st.data())
def test_what_a_rule_names_is_allowed_and_making_it_is_not(rules: list[Rule], data: st.DataObject) -> None:
    rule = data.draw(st.sampled_from(rules))
    minor = rule.minor if rule.minor is not None else data.draw(MINORS)
    program = assemble(rules)
    named = {"is_block": rule.is_block, "major": rule.last, "minor": minor}
    assert run(program, **named, access=rule.access) == 1
    assert run(program, **named, access=rule.access | MKNOD) == 0


def test_no_rule_refuses_everything() -> None:
    assert [run(assemble(()), is_block=False, major=1, minor=3, access=access) for access in range(8)] == [0] * 8


def test_program_of_one_rule_reads_as_this() -> None:
    """r1 the context, r2 the kind, r3 the access, r4 and r5 the numbers; r0 the verdict."""
    listing = [struct.unpack(ebpf.INSTRUCTION, assemble([Rule(False, 1, 1, 3, R)])[at : at + 8]) for at in range(0, 8 * 16, 8)]
    assert listing == [
        (0x61, 0x12, 0, 0), (0xBF, 0x23, 0, 0), (0x77, 0x03, 0, 16), (0x57, 0x02, 0, 0xFFFF),
        (0x61, 0x14, 4, 0), (0x61, 0x15, 8, 0),
        (0x55, 0x02, 7, 2), (0x55, 0x04, 6, 1), (0x55, 0x05, 5, 3),
        (0xBF, 0x30, 0, 0), (0x57, 0x00, 0, ~2), (0x55, 0x00, 2, 0), (0xB7, 0x00, 0, 1), (0x95, 0, 0, 0),
        (0xB7, 0x00, 0, 0), (0x95, 0, 0, 0),
    ]  # fmt: skip


@pytest.mark.parametrize("count", [0, 1, 64])
def test_program_is_short_enough(count: int) -> None:
    """As many devices as a box may have; the launcher takes this much."""
    rules = [Rule(False, 10, 17, number, R | W) for number in range(count)]
    assert len(assemble(rules)) // 8 <= ebpf.MAX_INSTRUCTIONS
