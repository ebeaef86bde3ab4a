"""How `top` looks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandboxer.cli.options import UsageError
from sandboxer.cli.top import read_interval, share, show
from sandboxer.kernel.boxes.living import Box

BOX = Box(77, 1000, 3, 2.5, 40 << 20, None, 3725.0, ("sandboxer", "exec"), ("python3", "x\x1b[31m.py"))


def test_row_has_what_is_known_and_no_control_characters() -> None:
    header, row = show((BOX,), {77: 0.5})
    assert header.split() == ["PID", "UID", "AGE", "CPU", "MEMORY", "PROCESSES", "COMMAND"]
    assert row.split()[:7] == ["77", "1000", "01:02:05", "50%", "(40", "MiB)", "3"]
    assert "\x1b" not in row


def test_memory_is_that_of_the_group_where_there_is_one() -> None:
    _, row = show((replace(BOX, memory_bytes=64 << 20),), {77: 0.0})
    assert " 64 MiB " in row


def test_nothing_to_see_is_said() -> None:
    assert list(show((), {}))[-1] == "no box lives that you may see"


def test_box_that_starts_has_no_command_yet() -> None:
    assert "(starting)" in list(show((replace(BOX, command=()),), {77: 0.0}))[1]


def test_share_is_since_the_last_look_or_since_it_began() -> None:
    assert share(replace(BOX, age_s=5.0), None, 100.0) == 0.5
    assert share(BOX, (2.0, 99.0), 100.0) == 0.5
    assert share(BOX, (3.0, 99.0), 100.0) == 0.0
    assert share(replace(BOX, age_s=0.0), None, 1.0) == 0.0


def test_interval_is_a_duration() -> None:
    assert read_interval("250ms") == 0.25
    for wrong in ("5", "1ms", "soon"):
        with pytest.raises(UsageError):
            read_interval(wrong)
