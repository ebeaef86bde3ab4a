"""The simulator runs filters as the kernel does; the last test asks the kernel itself."""

from __future__ import annotations

import struct

import pytest

from sandboxer.abi import bpf
from sandboxer.verify.simulate import BadFilter, Call, Verdict, run_filter, run_stack
from tests.controls.seccomp.filters import call, under

ALLOW = (bpf.RET_K, 0, 0, bpf.RET_ALLOW)


def program(*steps: tuple[int, int, int, int]) -> bytes:
    return b"".join(struct.pack("<HBBI", *step) for step in steps)


def refusing(errno: int) -> bytes:
    return program((bpf.RET_K, 0, 0, bpf.RET_ERRNO | errno))


def test_return_ends_with_its_value() -> None:
    assert run_filter(program(ALLOW), Call(1)).is_allowed


@pytest.mark.parametrize(("number", "errno"), [(41, 7), (42, 0)])
def test_jump_if_equal_takes_the_right_side(number: int, errno: int) -> None:
    filter_ = program((0x20, 0, 0, 0), (0x15, 0, 1, 41), (0x06, 0, 0, bpf.RET_ERRNO | 7), ALLOW)
    assert run_filter(filter_, Call(number)).errno == errno


@pytest.mark.parametrize(("code", "value", "is_taken"), [(0x25, 5, False), (0x35, 5, True), (0x45, 4, True), (0x45, 2, False)])
def test_jump_compares_without_sign(code: int, value: int, is_taken: bool) -> None:
    filter_ = program((0x20, 0, 0, 0), (code, 0, 1, value), ALLOW, (0x06, 0, 0, bpf.RET_TRAP))
    assert run_filter(filter_, Call(5)).is_allowed is is_taken


def test_argument_halves_are_loaded_low_first() -> None:
    low = program((0x20, 0, 0, 16), (0x16, 0, 0, 0))
    high = program((0x20, 0, 0, 20), (0x16, 0, 0, 0))
    made = Call(0, (0x1_2345_6789,))
    assert run_filter(low, made).value == 0x23456789
    assert run_filter(high, made).value == 1


def test_arithmetic_wraps_at_32_bits() -> None:
    filter_ = program((0x00, 0, 0, 0xFFFFFFFF), (0x04, 0, 0, 2), (0x16, 0, 0, 0))
    assert run_filter(filter_, Call(0)).value == 1


def test_memory_keeps_words() -> None:
    filter_ = program((0x00, 0, 0, 9), (0x02, 0, 0, 3), (0x00, 0, 0, 0), (0x61, 0, 0, 3), (0x87, 0, 0, 0), (0x16, 0, 0, 0))
    assert run_filter(filter_, Call(0)).value == 9


@pytest.mark.parametrize(
    "filter_",
    [
        b"",
        b"\0" * 7,
        program((0x20, 0, 0, 64), ALLOW),
        program((0x20, 0, 0, 2), ALLOW),
        program((0x28, 0, 0, 0), ALLOW),
        program((0x05, 0, 0, 9)),
    ],
)
def test_filter_that_the_kernel_refuses_is_refused(filter_: bytes) -> None:
    with pytest.raises(BadFilter):
        run_filter(filter_, Call(0))


def test_stack_takes_the_strictest_action() -> None:
    kill = program((bpf.RET_K, 0, 0, bpf.RET_KILL_PROCESS))
    assert run_stack([kill, refusing(1), program(ALLOW)], Call(0)).value == bpf.RET_KILL_PROCESS
    assert run_stack([program(ALLOW), refusing(1)], Call(0)).errno == 1
    assert run_stack([program(ALLOW), program(ALLOW)], Call(0)).is_allowed


def test_stack_takes_the_errno_of_the_newest_filter() -> None:
    assert run_stack([refusing(1), refusing(38)], Call(0)).errno == 38


@pytest.mark.parametrize(
    ("stricter", "laxer"),
    [
        (bpf.RET_KILL_PROCESS, bpf.RET_KILL_THREAD),
        (bpf.RET_KILL_THREAD, bpf.RET_TRAP),
        (bpf.RET_TRAP, bpf.RET_ERRNO),
        (bpf.RET_ERRNO, bpf.RET_USER_NOTIF),
        (bpf.RET_USER_NOTIF, bpf.RET_TRACE),
        (bpf.RET_TRACE, bpf.RET_LOG),
        (bpf.RET_LOG, bpf.RET_ALLOW),
    ],
)
def test_rank_is_the_kernels_order(stricter: int, laxer: int) -> None:
    assert Verdict(stricter).rank < Verdict(laxer).rank


def test_kernel_agrees_about_the_newest_errno() -> None:
    getppid_refused = (0x20, 0, 0, 0), (0x15, 0, 1, 110)
    stack = tuple(program(*getppid_refused, (0x06, 0, 0, bpf.RET_ERRNO | errno), ALLOW) for errno in (1, 38))
    assert under(stack, lambda: call(110)) == -run_stack(stack, Call(110)).errno == -38
