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

import sandboxer
from sandboxer.calls.boxes.pool import clear_pools
from tests.live.conftest import caller, installation, open_directory, ordinary  # noqa: F401  # fixtures
from tests.live.leaks import adopt_orphans, read_traces, wait_until_gone

JOBS = Path(__file__).with_name("jobs")
JOBS_PACKAGE = "boxed_jobs"
POOL_JOBS = Path(__file__).with_name("pool_jobs.py")


def reap_adopted() -> None:
    """Wait for what launchers have left that a test killed: nobody else does, and other tests count our children."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue


def copy_jobs(project: Path) -> None:
    """Put the functions into a project, where they are the package `boxed_jobs`."""
    shutil.copytree(JOBS, project / JOBS_PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))


@pytest.fixture(scope="session")
def project(open_directory: Path) -> Path:  # noqa: F811
    """A directory with the functions: the package `boxed_jobs`, and the module `pool_jobs`."""
    place = open_directory / "calls"
    place.mkdir()
    copy_jobs(place)
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
    for place in (project, project / JOBS_PACKAGE):
        shutil.rmtree(place / "__pycache__", ignore_errors=True)
    assert wait_until_gone(before, [project], next_start=lambda: sandboxer.run(["true"]).check()) == []


@pytest.fixture
def jobs(in_project: Path) -> ModuleType:
    """Functions as they come, each a sandboxed one."""
    return importlib.import_module("boxed_jobs.honest")


@pytest.fixture
def hostile(in_project: Path) -> ModuleType:
    """An attacker's functions, each a sandboxed one."""
    return importlib.import_module("boxed_jobs.hostile")


@pytest.fixture
def yielding(in_project: Path) -> ModuleType:
    """Generators, each a sandboxed one."""
    return importlib.import_module("boxed_jobs.yielding")


@pytest.fixture
def asking(in_project: Path) -> ModuleType:
    """Host functions, and sandboxed ones that ask for them."""
    return importlib.import_module("boxed_jobs.asking")


@pytest.fixture
def passing(in_project: Path) -> ModuleType:
    """Functions with large contents, and a sandboxed one that passes what it should not."""
    return importlib.import_module("boxed_jobs.passing")


@pytest.fixture
def plain(in_project: Path) -> ModuleType:
    """Functions that are not sandboxed yet."""
    return importlib.import_module("pool_jobs")
