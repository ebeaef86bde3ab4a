"""A place of its own for each test of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.front import Front


@pytest.fixture
def front(tmp_path: Path) -> Front:
    project, home = tmp_path / "project", tmp_path / "home"
    project.mkdir()
    home.mkdir(0o700)
    return Front(project, home)
