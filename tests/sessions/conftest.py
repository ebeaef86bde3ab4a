"""A project, a home and a cache of its own, and nothing that is left of a session."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.leaks import adopt_orphans, read_traces, wait_until_gone


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The caller's working directory, with some files."""
    (tmp_path / "home").mkdir(0o700)
    place = tmp_path / "project"
    (place / "sub").mkdir(parents=True)
    for name in ("old", "gone", "sub/file"):
        (place / name).write_text(f"text of {name}")
    monkeypatch.setitem(os.environ, "HOME", str(tmp_path / "home"))
    monkeypatch.chdir(place)
    adopt_orphans()
    before = read_traces()
    yield place
    assert wait_until_gone(before) == []
    states = tmp_path / "home/.cache/sandboxer/boxes"
    assert not states.exists() or os.listdir(states) == ["lock"]
