"""Every limit that there is can be tried."""

from __future__ import annotations

import pytest

from sandboxer.controls.limits.table import ROWS
from sandboxer.model.result import Reason
from sandboxer.prove.judge import judge_calm, judge_end
from sandboxer.prove.limits import BY_WORD, is_declared
from sandboxer.units import UNLIMITED
from tests.prove.pretend import seen

VALUES = {row.word: row.default for row in ROWS}
BY_NAME = {row.word: row for row in ROWS}


def test_every_row_has_a_probe() -> None:
    assert sorted(BY_WORD) == sorted(VALUES)


@pytest.mark.parametrize(
    ("word", "changes", "is_said"),
    [
        ("wall", {}, False),
        ("wall", {"wall": 1000}, True),
        ("grace", {}, False),
        ("grace", {"wall": 1000}, True),
        ("swap", {}, False),
        ("swap", {"memory": 1 << 20}, True),
        ("cpu_weight", {}, False),
        ("cpu_weight", {"cpu_weight": 50}, True),
        ("open_files", {}, True),
        ("open_files", {"open_files": UNLIMITED}, False),
        ("nice", {}, True),
    ],
)
def test_limit_is_tried_where_it_bounds_something(word: str, changes: dict[str, int], is_said: bool) -> None:
    assert is_declared(BY_NAME[word], {**VALUES, **changes}) is is_said


def test_end_has_the_reason_of_the_limit() -> None:
    assert judge_end(Reason.OOM, seen(reason=Reason.OOM)).is_right
    assert not judge_end(Reason.OOM, seen()).is_right


def test_twin_has_to_end_by_itself() -> None:
    assert judge_calm("it", seen()).is_right
    assert not judge_calm("it", seen(reason=Reason.OOM)).is_right
