"""Instructions and bytes are two forms of one thing."""

from __future__ import annotations

import pytest

from sandboxer.abi import bpf
from sandboxer.controls.seccomp.compiler.program import Instruction, Program, decode, encode, loaded_length, stacked_length


def test_instruction_is_eight_bytes_little_endian() -> None:
    """struct sock_filter: u16 code, u8 jt, u8 jf, u32 k."""
    assert encode([Instruction(0x1234, 0x56, 0x78, 0x9ABCDEF0)]) == bytes.fromhex("3412 56 78 f0debc9a")


def test_known_filter_has_known_bytes() -> None:
    """getpid answers EPERM on x86_64, and everything else passes."""
    program = (
        Instruction(bpf.LD_W_ABS, 0, 0, 0),
        Instruction(bpf.JMP_JEQ_K, 0, 1, 39),
        Instruction(bpf.RET_K, 0, 0, bpf.RET_ERRNO | 1),
        Instruction(bpf.RET_K, 0, 0, bpf.RET_ALLOW),
    )
    assert encode(program).hex(" ", 8) == "2000000000000000 1500000127000000 0600000001000500 060000000000ff7f"


def test_decoded_program_is_the_encoded_one() -> None:
    program = (
        Instruction(bpf.JMP_JGT_K, 255, 0, 0xFFFFFFFF),
        Instruction(bpf.JMP_JA, 0, 0, 4095),
        Instruction(bpf.RET_K, 0, 0, 0),
    )
    assert decode(encode(program)) == program
    assert encode(()) == b""
    assert decode(b"") == ()


def test_rest_that_is_no_instruction_is_left_out() -> None:
    whole = encode([Instruction(bpf.RET_K, 0, 0, 7)])
    assert decode(whole + b"\x06\x00") == (Instruction(bpf.RET_K, 0, 0, 7),)


# ── as the kernel counts ──────────────────────────────────────────────────────────────────────────────────────────────

ALLOWED = Instruction(bpf.RET_K, 0, 0, bpf.RET_ALLOW)


@pytest.mark.parametrize(
    ("step", "length"),
    [
        (Instruction(bpf.LD_W_ABS, 0, 0, 0), 1),
        (Instruction(bpf.ALU_AND_K, 0, 0, 0xF0000000), 1),
        (Instruction(bpf.JMP_JA, 0, 0, 0), 1),
        (ALLOWED, 2),
        *((Instruction(code, on_true, 0, 7), 1) for code in (0x15, 0x25, 0x35, 0x45) for on_true in (0, 1)),
        *((Instruction(code, 0, 1, 7), 1) for code in (0x15, 0x25, 0x35)),
        (Instruction(bpf.JMP_JSET_K, 0, 1, 7), 2),
        *((Instruction(code, 1, 2, 7), 2) for code in (0x15, 0x25, 0x35, 0x45)),
        (Instruction(bpf.JMP_JEQ_K, 0, 1, 0x80000000), 2),
        (Instruction(bpf.JMP_JEQ_K, 0, 1, 0x7FFFFFFF), 1),
        (Instruction(bpf.JMP_JSET_K, 1, 2, 0xFFFFFFFF), 3),
    ],
)
def test_instruction_counts_as_what_the_kernel_makes_of_it(step: Instruction, length: int) -> None:
    """net/core/filter.c, bpf_convert_filter; what comes before the first instruction are three."""
    assert loaded_length((step, ALLOWED, ALLOWED, ALLOWED)) == 3 + length + 6


def test_stacked_filters_cost_four_more_each_but_for_the_newest() -> None:
    program: Program = (ALLOWED,)
    assert [stacked_length([program] * count) for count in range(4)] == [0, 5, 14, 23]
