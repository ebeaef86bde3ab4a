"""The machine with SELinux: root runs in a login's domain, and its first test finds the policy enforced."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

ENFORCE = Path("/sys/fs/selinux/enforce")


@pytest.fixture(scope="session", autouse=True)
def enforcing() -> Iterator[None]:
    """The machine boots permissive, so that it can be prepared."""
    ENFORCE.write_text("1")
    yield
    ENFORCE.write_text("0")
