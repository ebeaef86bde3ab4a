"""The layers of `strict` and `python`, measured once for all tests of this file, so that one worker does it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.attack.layers.container import HOST_ID, MAPPED
from tests.attack.layers.measure import Outcomes, measure_all
from tests.attack.layers.page import PAGE, find_differences, read_marked, summarize
from tests.attack.layers.verdict import find_faults
from tests.live.needs import needs

NEEDS = ("root", "every id", "userns", "proc", "landlock>=6", "x86_64")


@pytest.fixture(scope="module")
def measured(probe: Path) -> dict[str, Outcomes]:
    """What came of every attempt in every run."""
    return measure_all(probe)


@needs(*NEEDS)
def test_attempts_are_stopped_by_as_many_layers_as_the_kernel_has(measured: dict[str, Outcomes]) -> None:
    """All together stop each; where there are two, each of them can be missing; where there is one, it is told why."""
    assert find_faults(measured) == []


@needs(*NEEDS)
def test_page_says_what_was_measured(measured: dict[str, Outcomes], record_property: Callable[[str, object], None]) -> None:
    record_property("table", summarize(measured))
    assert find_differences(read_marked(PAGE.read_text()), measured) == []


@needs(*NEEDS)
def test_measuring_leaves_no_process(measured: dict[str, Outcomes]) -> None:
    """None has an id of the container's, which nobody else has."""
    assert measured
    ids = {number for _, outside, count in MAPPED for number in (outside, outside + count - 1)}
    assert not [entry.name for entry in os.scandir("/proc") if entry.name.isdigit() and _owner(entry.path) in ids]


def _owner(path: str) -> int:
    try:
        return os.stat(path).st_uid
    except OSError:
        return HOST_ID - 1  # it has ended meanwhile
