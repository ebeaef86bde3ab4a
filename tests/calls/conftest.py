"""Fixtures of calls: functions in a project of their own, and whether anything of their boxes is left."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy
import pytest

from sandboxer.calls.boxes.pool import clear_pools
from tests.live.conftest import caller, installation, open_directory, ordinary  # noqa: F401  # fixtures
from tests.live.leaks import adopt_orphans, read_traces, wait_until_gone

JOBS = Path(__file__).with_name("jobs.py")
POOL_JOBS = Path(__file__).with_name("pool_jobs.py")


def reap_adopted() -> None:
    """Wait for what launchers have left that a test killed: nobody else does, and other tests count our children."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue


@pytest.fixture(scope="session")
def project(open_directory: Path) -> Path:  # noqa: F811
    """A directory with the functions, as the module `boxed_jobs`."""
    place = open_directory / "calls"
    place.mkdir()
    shutil.copy(JOBS, place / "boxed_jobs.py")
    shutil.copy(POOL_JOBS, place / "pool_jobs.py")
    return place


@pytest.fixture(scope="session")
def packages(project: Path) -> Path:
    """A directory of the project with numpy, for what is granted from elsewhere cannot be executed."""
    place = project / "packages"
    found = Path(numpy.__file__).parent
    for directory in (found, found.with_name("numpy.libs")):
        shutil.copytree(directory, place / directory.name, ignore=shutil.ignore_patterns("tests", "*.pyi", "__pycache__"))
    return place


@pytest.fixture
def in_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The caller is in the project; nothing of the boxes stays."""
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(str(project))
    adopt_orphans()
    before = read_traces([project])
    yield project
    for thread in threading.enumerate():
        if thread.name == "sandboxer-call":
            thread.join(30)  # it waits for its launcher, which we would reap below
    clear_pools()
    reap_adopted()
    shutil.rmtree(project / "__pycache__", ignore_errors=True)
    assert wait_until_gone(before, [project]) == []


@pytest.fixture
def jobs(in_project: Path) -> ModuleType:
    """The functions, each a sandboxed one."""
    return importlib.import_module("boxed_jobs")


@pytest.fixture
def plain(in_project: Path) -> ModuleType:
    """Functions that are not sandboxed yet."""
    return importlib.import_module("pool_jobs")
