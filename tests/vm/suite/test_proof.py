"""What the shipped profiles declare holds on this kernel, with the v2 tree alone: each is proven, for who runs the tests."""

from __future__ import annotations

import json

import pytest

from tests.live.users import Installation, Person

PROFILES = ("default", "strict", "python", "node", "build", "package-install", "ci-job", "shell")
OF_THE_BOX = {"limits.memory", "limits.swap", "limits.processes"}


@pytest.mark.parametrize("profile", PROFILES)
def test_profile_is_proven_and_its_groups_are_v2s(caller: Person, installation: Installation, profile: str) -> None:
    place = caller.directory(f"proof-{profile}")
    done = caller.run([installation.command, "check", "--prove", "--json", profile], cwd=place)
    assert done.returncode == 0, done.stdout + done.stderr
    (proof,) = json.loads(done.stdout)["profiles"]
    rows = {row["row"]: row for row in proof["rows"]}
    assert {row["verdict"] for row in rows.values()} <= {"holds", "weaker"}
    assert all(
        row["verdict"] == "holds" and "cgroup v2" in row["enforced_by"] for name, row in rows.items() if name in OF_THE_BOX
    )
