"""Fixtures of calls: functions in a project of their own, and whether anything of their boxes is left."""

from __future__ import annotations

import importlib
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from sandboxer.calls.pool import clear_pools
from tests.live.conftest import caller, installation, open_directory, ordinary  # noqa: F401  # fixtures
from tests.live.leaks import adopt_orphans, read_traces, wait_until_gone

JOBS = Path(__file__).with_name("jobs.py")


@pytest.fixture(scope="session")
def project(open_directory: Path) -> Path:  # noqa: F811
    """A directory with the functions, as the module `boxed_jobs`."""
    place = open_directory / "calls"
    place.mkdir()
    shutil.copy(JOBS, place / "boxed_jobs.py")
    return place


@pytest.fixture
def jobs(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The functions, with the caller in their project; nothing of their boxes stays."""
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(str(project))
    adopt_orphans()
    before = read_traces([project])
    yield importlib.import_module("boxed_jobs")
    for thread in threading.enumerate():
        if thread.name == "sandboxer-call":
            thread.join(30)  # it waits for its launcher, which we would reap below
    clear_pools()
    shutil.rmtree(project / "__pycache__", ignore_errors=True)
    assert wait_until_gone(before, [project]) == []
