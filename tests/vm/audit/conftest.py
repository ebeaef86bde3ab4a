"""Fixtures of the live tests, for root alone: nobody else may read the audit log."""

from __future__ import annotations

import pytest

from tests.live.conftest import box, caller, installation, open_directory, workplace
from tests.live.users import Person

__all__ = ["box", "caller", "installation", "open_directory", "workplace"]


@pytest.fixture
def person(caller: Person) -> Person:
    """Whoever runs the tests, which is root."""
    return caller
