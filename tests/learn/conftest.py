"""A project directory for profiles of a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.learn.profiles import Place


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """An empty project, and the working directory."""
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    monkeypatch.setenv("HOME", str(tmp_path))
    return Place(project)
