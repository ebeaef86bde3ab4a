"""Fixtures of the live tests: who runs, what they run, and whether anything is left behind."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.boxes import Box
from tests.live.leaks import adopt_orphans, read_traces, wait_until_gone
from tests.live.users import Installation, Person, make_installation, make_person, unused_id


@pytest.fixture(scope="session")
def open_directory() -> Iterator[Path]:
    """A directory that everybody can pass, unlike pytest's own; removed at the end."""
    # Not below /tmp or /var/tmp, where boxes have directories of their own.
    parent = next(place for place in ("/srv", "/home", "/tmp") if os.access(place, os.W_OK))
    path = Path(tempfile.mkdtemp(prefix="sandboxer-live-", dir=parent))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def installation(open_directory: Path) -> Installation:
    """sandboxer as everybody on the machine would find it."""
    base = open_directory / "installed"
    base.mkdir()
    return make_installation(base)


@pytest.fixture(scope="session")
def ordinary(open_directory: Path) -> Person:
    """A user without privilege."""
    return make_person("ordinary", unused_id() if os.geteuid() == 0 else os.geteuid(), open_directory)


@pytest.fixture(scope="session")
def caller(open_directory: Path) -> Person:
    """Whoever runs the tests: root in CI."""
    return make_person("caller", os.geteuid(), open_directory)


@pytest.fixture(params=["ordinary", "caller"])
def person(request: pytest.FixtureRequest) -> Person:
    """Both of them, one after the other. As an ordinary user they are the same, and the test runs twice."""
    found: Person = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def workplace(person: Person) -> Iterator[Path]:
    """An empty directory of that person's, to run in."""
    path = person.directory(f"work-{os.urandom(4).hex()}")
    yield path
    shutil.rmtree(path)


@pytest.fixture
def box(person: Person, installation: Installation, workplace: Path) -> Box:
    """A box of that person's, with the plainest profile; tests write others over it."""
    made = Box(person, installation, workplace)
    made.profile()
    return made


@pytest.fixture
def grouped(caller: Person, installation: Installation) -> Iterator[Box]:
    """A box of whoever may make groups; nothing of it stays."""
    adopt_orphans()
    before = read_traces()
    yield Box(caller, installation, caller.directory(f"work-{os.urandom(4).hex()}"))
    assert wait_until_gone(before) == []


@pytest.fixture
def leaves_nothing(workplace: Path) -> Iterator[None]:
    """The test fails if a process, a mount, a descriptor or a file in the workplace is left when it ends."""
    adopt_orphans()
    before = read_traces([workplace])
    yield
    assert wait_until_gone(before, [workplace]) == []
