"""The oracle's helper program, built once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.verify.building import build_helper


@pytest.fixture(scope="session")
def helper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that asks the kernel."""
    return build_helper(tmp_path_factory.mktemp("oracle"))
