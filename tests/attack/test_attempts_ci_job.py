"""Every attempt of the table in the profile `ci-job`: see bench.py."""

from __future__ import annotations

from tests.attack.bench import bench, test_attempt_is_held, test_twin_is_allowed

__all__ = ["bench", "test_attempt_is_held", "test_twin_is_allowed"]

PROFILE = "ci-job"
