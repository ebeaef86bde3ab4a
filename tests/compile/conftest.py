"""The directory of profiles that a test fills."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.compile.tree import Tree


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)
