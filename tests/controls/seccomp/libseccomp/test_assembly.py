"""The words of BPF that we write do what they say, also over long distances."""

from __future__ import annotations

import pytest

from sandboxer.abi import bpf
from sandboxer.controls.seccomp.compiler.program import Program
from sandboxer.controls.seccomp.libseccomp.assembly import (
    answer,
    encode,
    jump_past,
    load,
    refuse,
    unless_equal,
    when_equal,
    when_matching,
    when_within,
)
from sandboxer.errors import ProfileError
from sandboxer.verify.simulate import Call, run_filter

ALLOW = answer(bpf.RET_ALLOW)


def errno(program: Program, number: int, *arguments: int) -> int:
    return run_filter(encode(program), Call(number, arguments)).errno


def test_when_equal_runs_its_part_for_the_value_only() -> None:
    program = load(bpf.DATA_NR) + when_equal(7, refuse(1)) + ALLOW
    assert [errno(program, number) for number in (6, 7, 8)] == [0, 1, 0]


def test_when_equal_passes_by_a_part_longer_than_a_short_jump() -> None:
    program = load(bpf.DATA_NR) + when_equal(7, load(0) * 1000 + refuse(1)) + refuse(2)
    assert [errno(program, number) for number in (7, 8)] == [1, 2]


def test_when_within_includes_both_ends() -> None:
    program = load(bpf.DATA_NR) + when_within(5, 7, refuse(1)) + ALLOW
    assert [errno(program, number) for number in (4, 5, 6, 7, 8)] == [0, 1, 1, 1, 0]


def test_unless_equal_runs_its_part_for_everything_else() -> None:
    program = load(bpf.DATA_NR) + unless_equal(7, refuse(1)) + ALLOW
    assert [errno(program, number) for number in (6, 7)] == [1, 0]


def test_jump_past_skips_what_follows() -> None:
    assert errno(jump_past(refuse(1)) + refuse(1) + refuse(2), 0) == 2


@pytest.mark.parametrize(("value", "expected"), [(5, 1), (5 | 1 << 32, 0), (4, 0)])
def test_when_matching_looks_at_both_halves_of_a_wide_argument(value: int, expected: int) -> None:
    program = when_matching(((2, (1 << 64) - 1, ((5, 5),)),), refuse(1)) + ALLOW
    assert errno(program, 0, 0, 0, value) == expected


def test_when_matching_needs_all_comparisons() -> None:
    both = ((0, 0xFF, ((1, 1),)), (5, 0xFF00000000, ((0x200000000, 0x200000000),)))
    program = when_matching(both, refuse(1)) + ALLOW
    assert errno(program, 0, 0xF01, 0, 0, 0, 0, 2 << 32) == 1
    assert errno(program, 0, 0xF01, 0, 0, 0, 0, 3 << 32) == 0
    assert errno(program, 0, 0xF02, 0, 0, 0, 0, 2 << 32) == 0


def test_program_longer_than_the_kernel_takes_is_refused() -> None:
    assert len(encode(ALLOW * 4096)) == 4096 * 8
    with pytest.raises(ProfileError, match="too many for one filter"):
        encode(ALLOW * 4097)
