"""What the shipped profiles declare holds on this kernel, with the v2 tree alone: each is proven, for everybody who can be here.

Root and the user whom the VM logs in have groups. The tests' ordinary user beside root has none: what that costs is said.
"""

from __future__ import annotations

import json
import os

import pytest

from tests.live.users import Installation, Person

PROFILES = ("default", "strict", "python", "node", "build", "package-install", "ci-job", "shell")
OF_THE_BOX = {"limits.memory", "limits.swap", "limits.processes", "limits.cpu_time"}
EACH_LIMITS = ("default", "strict", "build", "shell")
"""One profile for each of the policies of limits that shipped profiles have: what is without groups differs in nothing else."""
RUNS = [("caller", profile) for profile in PROFILES]
RUNS += [("ordinary", profile) for profile in EACH_LIMITS] if os.geteuid() == 0 else []


@pytest.mark.parametrize(("who", "profile"), RUNS)
def test_profile_is_proven_and_says_what_it_lacks(
    who: str, profile: str, request: pytest.FixtureRequest, installation: Installation
) -> None:
    person: Person = request.getfixturevalue(who)
    place = person.directory(f"proof-{profile}")
    done = person.run([installation.command, "check", "--prove", "--json", profile], cwd=place)
    assert done.returncode == 0, done.stdout + done.stderr
    (proof,) = json.loads(done.stdout)["profiles"]
    rows = {row["row"]: row for row in proof["rows"]}
    assert {row["verdict"] for row in rows.values()} <= {"holds", "weaker"}
    of_the_box = {name: row for name, row in rows.items() if name in OF_THE_BOX}
    if who == "caller":
        assert all(row["verdict"] == "holds" for row in of_the_box.values())
        assert all("cgroup v2" in row["enforced_by"] for name, row in of_the_box.items() if name != "limits.cpu_time")
    else:
        # RLIMIT_NPROC counts in the box's user namespace alone, and so holds for the whole box.
        assert {name for name, row in of_the_box.items() if row["verdict"] == "holds"} <= {"limits.processes"}
        assert not any("cgroup" in row["enforced_by"] for row in of_the_box.values())
