"""The control groups of the VM: the v2 tree alone, all controllers in it, and a part of it given to the ordinary user."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from sandboxer.kernel.proc import parse_mountinfo
from tests.vm.suite.conftest import TREE

CONTROLLERS = {"cpu", "cpuset", "hugetlb", "io", "memory", "misc", "pids", "rdma"}
OWNER = "root" if os.geteuid() == 0 else "user"


def test_v2_tree_is_the_only_one() -> None:
    mounts = parse_mountinfo(Path("/proc/self/mountinfo").read_text())
    assert [(mount.point, mount.filesystem) for mount in mounts if "cgroup" in mount.filesystem] == [(str(TREE), "cgroup2")]
    assert Path("/proc/self/cgroup").read_text() == f"0::/{OWNER}/job\n"


def test_all_controllers_reach_the_group_of_the_tests(group: Path) -> None:
    for directory in (TREE, group.parent, group):
        assert set((directory / "cgroup.controllers").read_text().split()) >= CONTROLLERS
    assert set((group.parent / "cgroup.subtree_control").read_text().split()) >= CONTROLLERS


def test_group_with_a_limit_can_be_made_and_entered_beside_that_of_the_tests(group: Path) -> None:
    made = group.parent / "made"
    made.mkdir()
    try:
        (made / "pids.max").write_text("1")
        script = f'echo 0 > {made}/cgroup.procs && cat /proc/self/cgroup; read line < /proc/self/cgroup; echo "$line"'
        done = subprocess.run(["sh", "-c", script], capture_output=True, text=True)
        assert done.stdout == f"0::/{OWNER}/made\n" or "Cannot fork" in done.stderr
        assert (made / "pids.events").read_text().split()[1] != "0"
    finally:
        made.rmdir()


@pytest.mark.parametrize("place", ["", "root", "root/job"])
def test_groups_of_others_are_root_s(place: str) -> None:
    is_root = os.geteuid() == 0
    assert os.access(TREE / place, os.W_OK) == is_root
    assert os.access(TREE / place / "cgroup.procs", os.W_OK) == is_root
