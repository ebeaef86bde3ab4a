"""The machine with SELinux: root runs in a login's domain, and its first test finds the policy enforced."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.conftest import box, caller, installation, open_directory, ordinary, person, workplace

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
