"""Judges of traffic with disks, on pretended clocks, and what is asked of a disk for a limit."""

from __future__ import annotations

import struct

import pytest

from sandboxer.prove.limits.disks import BLOCK, MOST_BYTES, MOST_OPS, Traffic, bytes_in_a_second, calls_in_a_second, judge_waited
from sandboxer.prove.probe import Seen
from tests.prove.pretend import ended

ASKED = Traffic(4, BLOCK, 300)
OPENED, BEGUN, REPEATED, OVER = range(4)


def waited(taken_ms: int, *, opened: int = 3, calls: int = 4, last: int = BLOCK) -> Seen:
    times = (5.0, 5.0 + taken_ms / 1000)
    clocks = {
        index: struct.pack("<qq", int(time), round(time % 1 * 1e9)) for index, time in zip((BEGUN, OVER), times, strict=True)
    }
    return Seen(ended(), {OPENED: (opened,), REPEATED: (calls, last)}, clocks)


@pytest.mark.parametrize(
    ("seen", "is_right"),
    [
        (waited(301), True),
        (waited(9000), True),
        (waited(290), False),
        (waited(301, calls=2, last=-5), False),
        (Seen(ended()), False),
        (Seen(ended(), {OPENED: (3,), REPEATED: (4, BLOCK)}), False),
    ],
)
def test_nothing_came_sooner_than_the_limit_lets_it(seen: Seen, is_right: bool) -> None:
    assert judge_waited(ASKED, OPENED, REPEATED, (BEGUN, OVER), seen).is_right is is_right


def test_file_that_cannot_be_opened_so_is_said_not_to_be_tried() -> None:
    found = judge_waited(ASKED, OPENED, REPEATED, (BEGUN, OVER), waited(0, opened=-22))
    assert found.is_right
    assert found.words.startswith("read back")
    assert "EINVAL" in found.words


@pytest.mark.parametrize("value", [BLOCK, 10 * BLOCK + 1, MOST_BYTES])
def test_bytes_take_a_part_of_a_second_and_whole_blocks(value: int) -> None:
    asked = bytes_in_a_second(value)
    assert (asked.calls, asked.size_bytes % BLOCK, asked.size_bytes <= max(value // 2, BLOCK)) == (1, 0, True)
    assert 200 < asked.least_ms <= 600


@pytest.mark.parametrize("value", [2, 5, MOST_OPS])
def test_calls_are_few_and_take_a_part_of_a_second(value: int) -> None:
    asked = calls_in_a_second(value)
    assert (asked.size_bytes, asked.calls <= MOST_OPS) == (BLOCK, True)
    assert 200 < asked.least_ms <= 600


def test_single_call_in_a_second_is_waited_for_by_nobody() -> None:
    assert calls_in_a_second(1) == Traffic(1, BLOCK, 0)
