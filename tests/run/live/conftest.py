"""A project and a cache of its own for each test, and nothing that is left of a box."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.leaks import adopt_orphans, read_traces, reap_adopted, wait_until_gone


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The caller's working directory."""
    (tmp_path / "home").mkdir(0o700)
    place = tmp_path / "project"
    place.mkdir()
    monkeypatch.setitem(os.environ, "HOME", str(tmp_path / "home"))
    monkeypatch.chdir(place)
    adopt_orphans()
    reap_adopted()
    before = read_traces([place])
    yield place
    assert wait_until_gone(before, [place]) == []
