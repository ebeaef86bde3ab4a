"""Fixtures of the live tests: both persons, an installation, and a box of theirs; and labels that are removed at the end."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.live.boxes import Box
from tests.live.conftest import box, caller, installation, open_directory, ordinary, person, workplace
from tests.vm.apparmor.labels import PROJECT, write_profile

__all__ = ["box", "caller", "installation", "open_directory", "ordinary", "person", "workplace"]


@pytest.fixture
def labels() -> Iterator[list[str]]:
    """The names of what a test loads; they are removed behind it."""
    names: list[str] = []
    yield names
    for name in names:
        subprocess.run(["sh", "-c", f"printf %s {name} > /sys/kernel/security/apparmor/.remove"], check=False)


@pytest.fixture
def project(box: Box) -> Box:
    """A box with a directory of its own to write to, and one in it that is kept."""
    box.directory("kept")
    box.write("kept/note", "note\n")
    write_profile(box, "plain", PROJECT)
    write_profile(box, "labelled", PROJECT, "apparmor: {profile: generate}\n")
    return box
