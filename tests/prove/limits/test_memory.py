"""Judges of the box's memory: what the group counted, on pretended files."""

from __future__ import annotations

import pytest

from sandboxer.prove.limits.memory import count_high, judge_refused_page, judge_slowed
from sandboxer.prove.probe import Seen
from tests.prove.pretend import ended, seen

EVENTS = "low 0\nhigh {}\nmax 7\noom 0\noom_kill 0"


@pytest.mark.parametrize(("events", "count"), [(EVENTS.format(3), 3), (EVENTS.format(0), 0), ("", 0), (None, 0)])
def test_only_what_stands_behind_high_is_counted(events: str | None, count: int) -> None:
    assert count_high(events) == count


@pytest.mark.parametrize(
    ("count", "is_wanted", "is_right"), [(3, True, True), (0, True, False), (0, False, True), (3, False, False)]
)
def test_box_was_slowed_down_where_it_should_be(count: int, is_wanted: bool, is_right: bool) -> None:
    files = (EVENTS.format(count), str(20 << 20))
    assert judge_slowed(is_wanted, Seen(ended(), files=files)).is_right is is_right


@pytest.mark.parametrize("is_wanted", [True, False])
def test_group_that_was_not_read_is_wrong(is_wanted: bool) -> None:
    assert not judge_slowed(is_wanted, Seen(ended(), files=(None, None))).is_right


@pytest.mark.parametrize(("status", "is_right"), [(7, True), (12 << 8, True), (0, False), (11, False), (22 << 8, False)])
def test_huge_page_is_refused_by_a_signal_or_when_it_is_mapped(status: int, is_right: bool) -> None:
    assert judge_refused_page(0, seen((status,))).is_right is is_right
    assert not judge_refused_page(0, seen()).is_right
