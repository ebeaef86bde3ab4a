"""Judges of rlimits, on pretended answers: every one has a right and a wrong."""

from __future__ import annotations

import struct

import pytest

from sandboxer.model.op import U32, Text, WriteGroup
from sandboxer.prove.judge import judge_answer, judge_child, judge_count
from sandboxer.prove.limits.each_process import judge_files, judge_mapped, judge_rlimit
from sandboxer.prove.probe import Seen
from tests.prove.pretend import ended, seen


@pytest.mark.parametrize(
    ("answers", "is_right"),
    [((253, -24), True), ((254, -24), False), ((264, 0), False), ((253, -1), False), ((), False)],
)
def test_count_needs_its_range_and_its_error(answers: tuple[int, ...], is_right: bool) -> None:
    assert judge_count(0, range(250, 254), "EMFILE", seen(answers) if answers else seen()).is_right is is_right


@pytest.mark.parametrize(
    ("status", "signal", "is_right"), [(25, 25, True), (0, 25, False), (11, 25, False), (0, 0, True), (12 << 8, 0, False)]
)
def test_child_is_ended_by_the_signal_or_not_at_all(status: int, signal: int, is_right: bool) -> None:
    assert judge_child(0, signal, "it", seen((status,))).is_right is is_right


@pytest.mark.parametrize(("answer", "is_right"), [(-12, True), (-1, False), (4096, False)])
def test_answer_is_one_of_those(answer: int, is_right: bool) -> None:
    assert judge_answer(0, ("ENOMEM",), "it", seen((answer,))).is_right is is_right


@pytest.mark.parametrize(("answer", "is_right"), [(0x7F0000000000, True), (-12, False)])
def test_mapping_is_an_address(answer: int, is_right: bool) -> None:
    assert judge_mapped(0, "it", seen((answer,))).is_right is is_right


@pytest.mark.parametrize(("values", "is_right"), [((16, 16), True), ((16, 17), False)])
def test_rlimit_is_what_the_plan_says(values: tuple[int, int], is_right: bool) -> None:
    assert judge_rlimit((16, 16), Seen(ended(), dumps={1: struct.pack("<QQ", *values)})).is_right is is_right


def test_rlimit_that_was_not_read_is_wrong() -> None:
    assert not judge_rlimit((16, 16), seen()).is_right


@pytest.mark.parametrize(
    ("text", "found", "is_right"),
    [
        ("9", "9", True),
        ("5000", "4096", True),
        ("9", "max", False),
        ("9", None, False),
        ("10000 100000", "10000 100000", True),
        ("100000 100000", "200000 100000", False),
        ("10000 100000", "100000 10000", False),
        ("50", "default 50", True),
        ("50", "default 100", False),
        ("8:0 rbps=5", "8:0 rbps=5 wbps=max", True),
        ("8:0 rbps=5", "8:0 rbps=6 wbps=max", False),
    ],
)
def test_file_of_a_group_has_what_was_written(text: str, found: str | None, is_right: bool) -> None:
    op = WriteGroup(U32(0), Text("memory.max"), Text(text))
    assert judge_files((op,), Seen(ended(), files=(found,))).is_right is is_right
