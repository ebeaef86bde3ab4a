"""The machine with SELinux: root runs in a login's domain, and its first test finds the policy enforced."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.boxes import Box
from tests.live.conftest import box, caller, installation, open_directory, ordinary, person, workplace
from tests.live.users import Installation, Person
from tests.vm.selinux.labelled import GENERATE, PROJECT, load, relabel, write_profile

__all__ = ["box", "caller", "installation", "open_directory", "ordinary", "person", "workplace"]

ENFORCE = Path("/sys/fs/selinux/enforce")


@pytest.fixture(scope="session", autouse=True)
def enforcing() -> Iterator[None]:
    """The machine boots permissive, so that it can be prepared: devices get the labels that udev would give them, and what may
    only be loaded from a disk without labels is loaded."""
    subprocess.run(["restorecon", "-R", "/dev"], check=True)
    subprocess.run(["modprobe", "overlay"], check=True)
    ENFORCE.write_text("1")
    yield
    ENFORCE.write_text("0")


@pytest.fixture
def permissive(enforcing: None) -> Iterator[None]:
    """For one test nothing is enforced."""
    ENFORCE.write_text("0")
    yield
    ENFORCE.write_text("1")


@pytest.fixture(scope="module", params=["ordinary", "caller"])
def project(request: pytest.FixtureRequest, installation: Installation) -> Box:
    """A box with a labelled directory to write to, and one in it that is kept. One for each person: plans are made once."""
    person: Person = request.getfixturevalue(request.param)
    box = Box(person, installation, person.directory(f"labelled-{os.urandom(4).hex()}"))
    box.directory("kept")
    box.write("kept/note", "note\n")
    write_profile(box, "plain", PROJECT)
    write_profile(box, "labelled", PROJECT, GENERATE)
    load(box, "labelled")
    relabel(box.place)
    return box


@pytest.fixture(scope="module")
def module(project: Box) -> str:
    """The name of the module of the profile `labelled`, which is loaded."""
    return load(project, "labelled")
