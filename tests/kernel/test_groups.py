"""Whether a box can get a control group with a device program: on pretended trees, and on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sandboxer.kernel import groups
from sandboxer.kernel.groups import DeviceGroups, find_device_groups, sweep_groups
from sandboxer.kernel.proc import Mount
from sandboxer.kernel.trial import Trial
from tests.live.needs import needs, this_host

WORKS = Trial({"devices": 0})
Pretend = Callable[..., tuple[Mount, ...]]


@pytest.fixture
def pretend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pretend:
    """A v2 tree in which the caller is in `/mine`; `own` is its line in /proc, `kind` what cgroup.type says."""

    def make(own: str = "0::/mine\n", kind: str = "domain\n") -> tuple[Mount, ...]:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine/cgroup.type").write_text(kind)
        texts = {"/proc/self/cgroup": own, str(tmp_path / "mine/cgroup.type"): kind}
        monkeypatch.setattr(groups, "find_text", texts.get)
        return (Mount(1, 0, "/", str(tmp_path), (), "cgroup2", "none", ()),)

    return make


def test_group_of_ones_own_in_a_v2_tree_is_enough(pretend: Pretend) -> None:
    mounts = pretend("5:devices:/elsewhere\n0::/mine\n")
    assert find_device_groups(mounts, WORKS, is_privileged=True) == DeviceGroups(mounts[0].point)


def test_ordinary_user_gets_none(pretend: Pretend) -> None:
    assert find_device_groups(pretend(), WORKS, is_privileged=False).problem == "only root may attach one"


def test_host_without_a_v2_tree_gets_none() -> None:
    assert find_device_groups((), WORKS, is_privileged=True) == DeviceGroups(problem="no cgroup v2 tree is mounted")


@pytest.mark.parametrize("own", ["", "5:devices:/mine\n", "0::/../above\n"])
def test_group_that_the_tree_does_not_show_gets_none(pretend: Pretend, own: str) -> None:
    assert "not in the tree" in find_device_groups(pretend(own), WORKS, is_privileged=True).problem


def test_threaded_group_gets_none(pretend: Pretend) -> None:
    found = find_device_groups(pretend(kind="domain threaded\n"), WORKS, is_privileged=True)
    assert found.problem == "the caller's control group is domain threaded"


@pytest.mark.parametrize(
    ("trial", "said"), [(Trial({"devices": 1}), "refused by the kernel (EPERM)"), (Trial({}), "could not be tried")]
)
def test_kernel_that_takes_no_program_gets_none(pretend: Pretend, trial: Trial, said: str) -> None:
    assert said in find_device_groups(pretend(), trial, is_privileged=True).problem


def test_group_that_is_gone_gets_none(pretend: Pretend) -> None:
    assert "no group can be made" in find_device_groups(pretend("0::/gone\n"), WORKS, is_privileged=True).problem


def test_groups_of_launchers_that_are_gone_are_removed_and_no_others(pretend: Pretend) -> None:
    mount = pretend()[0].point
    ours = Path(mount) / "mine/sandboxer"
    gone, mine = f"{(1 << 22) + 1}-12345", f"{os.getpid()}-12345"  # above the highest pid that there can be
    for name in (gone, mine, "other", "-5"):
        (ours / name).mkdir(parents=True)
    sweep_groups(mount)
    assert sorted(path.name for path in ours.iterdir()) == sorted([mine, "other", "-5"])


def test_group_that_is_not_empty_yet_stays(pretend: Pretend) -> None:
    mount = pretend()[0].point
    (Path(mount) / f"mine/sandboxer/{(1 << 22) + 1}-1/below").mkdir(parents=True)
    sweep_groups(mount)
    assert (Path(mount) / f"mine/sandboxer/{(1 << 22) + 1}-1").exists()


def test_nothing_to_sweep_is_no_fault(pretend: Pretend) -> None:
    sweep_groups(pretend()[0].point)


@needs("root")
def test_this_machine_says_one_of_the_two() -> None:
    host = this_host()
    assert bool(host.device_groups) != bool(host.device_groups_problem)
