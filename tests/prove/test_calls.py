"""The judge of refused calls: one answer that is not the policy's is enough, and so is a twin that does not work."""

from __future__ import annotations

import pytest

from sandboxer.prove.calls import judge_calls
from tests.prove.pretend import seen

WANTED = {1: ("bpf", "EPERM"), 2: ("ptrace", "killed")}


@pytest.mark.parametrize(
    ("answers", "is_right"),
    [
        (((7,), (-1,), (31,)), True),
        (((7,), (-22,), (31,)), False),
        (((7,), (0,), (31,)), False),
        (((7,), (-1,), (1 << 8,)), False),
        (((-1,), (-1,), (31,)), False),
        (((7,), (-1,)), False),
    ],
)
def test_every_call_has_its_answer(answers: tuple[tuple[int, ...], ...], is_right: bool) -> None:
    assert judge_calls(WANTED, 0, seen(*answers)).is_right is is_right


def test_calls_that_came_through_are_named() -> None:
    assert "bpf: EINVAL" in judge_calls(WANTED, 0, seen((7,), (-22,), (31,))).words
