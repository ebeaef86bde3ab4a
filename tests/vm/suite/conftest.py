"""Fixtures of the live tests, and where in the VM a test finds itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandboxer.kernel.proc import own_cgroup
from tests.live.conftest import box, caller, installation, leaves_nothing, open_directory, ordinary, person, workplace

__all__ = ["box", "caller", "installation", "leaves_nothing", "open_directory", "ordinary", "person", "workplace"]

TREE = Path("/sys/fs/cgroup")


@pytest.fixture(scope="session")
def group() -> Path:
    """The control group of the tests themselves."""
    return Path(f"{TREE}{own_cgroup(Path('/proc/self/cgroup').read_text())}")
