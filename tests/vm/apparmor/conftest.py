"""Fixtures of the live tests: both persons, an installation, and a box of theirs."""

from __future__ import annotations

from tests.live.conftest import box, caller, installation, open_directory, ordinary, person, workplace

__all__ = ["box", "caller", "installation", "open_directory", "ordinary", "person", "workplace"]
