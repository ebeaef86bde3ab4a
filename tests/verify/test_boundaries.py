"""What is asked about: values on both sides of every comparison that a call can reach."""

from __future__ import annotations

import pytest

from sandboxer.abi import bpf
from sandboxer.verify.boundaries import (
    Compared,
    argument_values,
    boundary_calls,
    find_numbers,
    find_tests,
    make_rows,
    plain_numbers,
)
from sandboxer.verify.simulate import run_filter
from tests.verify.programs import ALLOW, HIGH, LOW, answer, load, on_number, on_word, program

X86_64 = bpf.AUDIT_ARCH["x86_64"]
FULL = 0xFFFFFFFF
EPERM = answer(bpf.RET_ERRNO | 1)
# Number 5 compares its second argument, 6 the high half of its first, all others nothing.
TWO = program(
    load(bpf.DATA_NR), (bpf.JMP_JEQ_K, 0, 4, 5), load(LOW + 8), (bpf.JMP_JEQ_K, 0, 1, 77), EPERM, ALLOW,
    (bpf.JMP_JEQ_K, 0, 4, 6), load(HIGH), (bpf.ALU_AND_K, 0, 0, 0xF0), (bpf.JMP_JEQ_K, 0, 1, 0x30), EPERM, ALLOW,
)  # fmt: skip


def test_comparisons_are_those_that_the_number_reaches() -> None:
    assert find_tests(TWO, 5, X86_64) == {Compared(1, 0, FULL, 77)}
    assert find_tests(TWO, 6, X86_64) == {Compared(0, 1, 0xF0, 0x30)}
    assert find_tests(TWO, 7, X86_64) == frozenset()


def test_comparisons_behind_another_architecture_are_not_reached() -> None:
    checked = program(load(bpf.DATA_ARCH), (bpf.JMP_JEQ_K, 0, 3, X86_64), load(LOW), (bpf.JMP_JEQ_K, 0, 1, 9), EPERM, ALLOW)
    assert find_tests(checked, 5, X86_64) == {Compared(0, 0, FULL, 9)}
    assert find_tests(checked, 5, bpf.AUDIT_ARCH["i386"]) == frozenset()


@pytest.mark.parametrize("code", [bpf.JMP_JEQ_K, bpf.JMP_JGT_K, bpf.JMP_JGE_K, bpf.JMP_JSET_K])
@pytest.mark.parametrize("value", [0, 1, 0x7FFFFFFF, 0x80000000, FULL, 0x1234])
@pytest.mark.parametrize("offset", [LOW, HIGH])
def test_values_take_both_ways_of_a_comparison(code: int, value: int, offset: int) -> None:
    filter_ = on_word(offset, code, value)
    answers = {run_filter(filter_, call).is_allowed for call in boundary_calls([filter_], 5, limit=1000)}
    is_constant = (code, value) in {(bpf.JMP_JGT_K, FULL), (bpf.JMP_JGE_K, 0), (bpf.JMP_JSET_K, 0)}
    assert answers == ({code != bpf.JMP_JGE_K} if is_constant else {True, False})


def test_masked_comparison_is_met_in_each_bit() -> None:
    filter_ = on_word(LOW, bpf.JMP_JEQ_K, 0x30, mask=0xF0)
    lows = {value & FULL for value in argument_values([filter_], 5, X86_64)[0]}
    assert {0x30, 0x30 | ~0xF0 & FULL, 0x20, 0x10, 0x70, 0xB0} <= lows


def test_half_that_nobody_compares_is_empty_and_full() -> None:
    values = argument_values([on_word(LOW, bpf.JMP_JEQ_K, 5)], 7, X86_64)[0]
    assert {5, FULL << 32 | 5} <= set(values)


def test_calls_are_limited_and_repeatable() -> None:
    filter_ = on_word(LOW, bpf.JMP_JEQ_K, 5)
    assert len(boundary_calls([filter_], 7, limit=4)) == 5
    assert boundary_calls([filter_], 7, limit=4) == boundary_calls([filter_], 7, limit=4)
    assert [call.arguments for call in boundary_calls([TWO], 7, limit=4)] == [((1 << 64) - 1,) * 6, (0,) * 6]


def test_numbers_come_with_their_neighbours_and_without_exempt_ones() -> None:
    assert find_numbers([on_number(39, bpf.RET_TRAP)]) == {38, 39, 40}
    assert find_numbers([on_number(335, bpf.RET_TRAP), on_word(LOW, bpf.JMP_JEQ_K, 9)]) == {334}
    numbers = plain_numbers([on_number(0x12345678, bpf.RET_TRAP)])
    assert {0, 334, 337, 1023, 0x12345677, 0x12345678, 0x3FFFFFFF} <= set(numbers)
    assert not {335, 336, 0x40000000} & set(numbers)


def test_rows_give_most_cases_to_numbers_whose_arguments_matter() -> None:
    rows = make_rows([TWO], (4, 5, 6, 7), cases=1000)
    assert [(row.numbers, row.count) for row in rows] == [((5,), 375), ((6,), 375), ((4, 7), 250)]
    assert [bool(pool) for pool in rows[0].pools] == [False, True, False, False, False, False]
    assert sum(row.count for row in make_rows([TWO], (4,), cases=1000)) == 1000
