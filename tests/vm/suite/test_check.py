"""`sandboxer check` in the VM: what it says of older and newer kernels, and of a host with the v2 tree alone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.live.users import ROOT, Installation, Person

MAJOR, MINOR = os.uname().release.split(".")[:2]
RELEASE = (int(MAJOR), int(MINOR))
LANDLOCK_ABI = {(6, 1): 2}
"""Of the kernel of Debian 12. Source: Documentation/userspace-api/landlock.rst."""
NEWEST_LANDLOCK_ABI = 7
"""The least of the other kernel: from there on refusals are recorded."""
TRUNCATE_ABI = 3
SHIPPED = sorted(path.stem for path in (ROOT / "profiles").glob("*.yaml"))


SAID: dict[str, dict[str, Any]] = {}


@pytest.fixture
def said(person: Person, installation: Installation, workplace: Path) -> dict[str, Any]:
    """Its JSON, asked for once by each person: all profiles are compiled for it."""
    if person.name not in SAID:
        done = person.run([installation.command, "check", "--json"], cwd=workplace)
        assert done.stderr == ""
        SAID[person.name] = json.loads(done.stdout)
    return SAID[person.name]


def test_host_is_what_the_vm_is(said: dict[str, Any], person: Person) -> None:
    host = said["host"]
    assert (tuple(host["kernel"]), host["uid"], host["cgroup"], host["missing_calls"]) == (RELEASE, person.uid, "v2", [])
    assert (host["user_namespace_problem"], host["landlock_problem"]) == ("", "")
    assert set(host["tried"].values()) == {0}
    assert host["lsms"] == Path("/sys/kernel/security/lsm").read_text().split(",")


def test_landlock_is_of_the_age_of_the_kernel(said: dict[str, Any]) -> None:
    abi = said["host"]["landlock_abi"]
    assert abi == LANDLOCK_ABI.get(RELEASE, abi)
    assert RELEASE in LANDLOCK_ABI or abi >= NEWEST_LANDLOCK_ABI


def test_control_groups_are_whose_they_are(said: dict[str, Any], person: Person) -> None:
    host = said["host"]
    is_root = person.uid == 0
    # The tests' ordinary user beside root has no group; the one that the VM logs in has its own.
    assert bool(host["hierarchies"]) == (person.uid == os.geteuid())
    assert host["device_program_problem"] == ("" if is_root else "only root may attach one")


def test_profiles_lose_what_the_host_lacks_and_nothing_else(said: dict[str, Any]) -> None:
    is_old = said["host"]["landlock_abi"] < TRUNCATE_ABI
    has_groups = bool(said["host"]["hierarchies"])
    lacked = ("landlock", "Landlock") * is_old + ("limits: ",) * (not has_groups)
    assert [row["profile"] for row in said["profiles"]] == SHIPPED
    for row in said["profiles"]:
        assert row["verdict"] == ("weakened" if row["losses"] else "full")
        assert all(loss["what"].startswith(lacked) for loss in row["losses"])
        assert any("truncate" in loss["lost"] for loss in row["losses"]) == is_old
    bounded = next(row for row in said["profiles"] if row["profile"] == "strict")
    assert any("limits: memory" in loss["what"] for loss in bounded["losses"]) != has_groups
