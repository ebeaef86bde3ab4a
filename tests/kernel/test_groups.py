"""Where a box can get a control group: on pretended trees, and on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sandboxer.kernel import groups
from sandboxer.kernel.groups import (
    V2,
    Groups,
    find_device_program_problem,
    find_disk_of,
    find_disks,
    find_groups,
    find_huge_pages,
    find_io_weights,
    find_large_file,
    find_spare_huge_pages,
    find_spare_swap_bytes,
    parse_groups,
)
from sandboxer.kernel.proc import Mount
from sandboxer.kernel.trials.trial import Trial
from sandboxer.model.host import Hierarchy
from tests.live.needs import needs, this_host

WORKS = Trial({"devices": 0})
Pretend = Callable[..., tuple[Mount, ...]]


def group(
    directory: Path, *, kind: str | None = "domain\n", has_processes: bool = False, controllers: str = "cpu memory pids"
) -> None:
    """A group of a pretended v2 tree; kind None: the root of the machine."""
    directory.mkdir(parents=True, exist_ok=True)
    if kind is not None:
        (directory / "cgroup.type").write_text(kind)
    (directory / "cgroup.procs").write_text("1\n" if has_processes else "")
    (directory / "cgroup.subtree_control").write_text("")
    (directory / "cgroup.controllers").write_text(controllers)


@pytest.fixture
def pretend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pretend:
    """Trees that are mounted in tmp_path: `unified`, and v1's by their controllers; the caller's lines are as said."""

    def make(lines: str, *v1: str) -> tuple[Mount, ...]:
        real = groups.find_text
        monkeypatch.setattr(groups, "find_text", lambda path: lines if path == "/proc/self/cgroup" else real(path))
        mounts = [Mount(1, 0, "/", str(tmp_path / "unified"), (), "cgroup2", "none", ("rw",))]
        for number, names in enumerate(v1):
            (tmp_path / names).mkdir(exist_ok=True)
            mounts.append(Mount(2 + number, 0, "/", str(tmp_path / names), (), "cgroup", "none", ("rw", *names.split(","))))
        return tuple(mounts) if (tmp_path / "unified").exists() else tuple(mounts[1:])

    return make


# ── v2 ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_group_without_processes_above_the_caller_gives_controllers(pretend: Pretend, tmp_path: Path) -> None:
    top = tmp_path / "unified"
    group(top, kind=None, has_processes=True)
    group(top / "slice")
    group(top / "slice/scope", has_processes=True)
    found = find_groups(pretend("0::/slice/scope\n"))
    assert found == Groups((Hierarchy(0, str(top), ("cpu", "memory", "pids"), 1),), {})


def test_own_group_serves_where_it_has_no_processes(pretend: Pretend, tmp_path: Path) -> None:
    group(tmp_path / "unified/mine")
    (tree,) = find_groups(pretend("0::/mine\n")).hierarchies
    assert tree.levels == 0


def test_root_of_the_machine_may_have_processes(pretend: Pretend, tmp_path: Path) -> None:
    group(tmp_path / "unified", kind=None, has_processes=True, controllers="hugetlb rdma misc")
    (tree,) = find_groups(pretend("0::/\n")).hierarchies
    assert (tree.levels, tree.controllers) == (0, ("hugetlb",))


def test_without_such_a_group_there_is_one_for_a_device_program_alone(pretend: Pretend, tmp_path: Path) -> None:
    group(tmp_path / "unified", has_processes=True)  # a namespace's root: no exception for it
    found = find_groups(pretend("0::/\n"))
    assert found.hierarchies == (Hierarchy(0, str(tmp_path / "unified")),)
    assert "has processes" in found.problems["memory"]
    assert V2 not in found.problems


def test_group_that_is_not_the_callers_to_write_gives_none(
    pretend: Pretend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group(tmp_path / "unified", kind=None)
    group(tmp_path / "unified/session", has_processes=True)
    monkeypatch.setattr(groups, "_is_writable", lambda path: False)
    found = find_groups(pretend("0::/session\n"))
    assert found.hierarchies == ()
    assert "no group can be made" in found.problems["memory"] == found.problems[V2]


def test_host_without_a_v2_tree_says_so(pretend: Pretend) -> None:
    for lines in ("", "0::/mine\n"):
        assert set(find_groups(pretend(lines)).problems.values()) == {"no cgroup v2 tree is mounted"}


@pytest.mark.parametrize("path", ["/gone", "/../above"])
def test_group_that_the_tree_does_not_show_gets_none(pretend: Pretend, tmp_path: Path, path: str) -> None:
    group(tmp_path / "unified", kind=None)
    found = find_groups(pretend(f"0::{path}\n"))
    assert (found.hierarchies, "not in the tree" in found.problems[V2]) == ((), True)


def test_threaded_group_gets_none(pretend: Pretend, tmp_path: Path) -> None:
    group(tmp_path / "unified", kind="domain threaded\n")
    found = find_groups(pretend("0::/\n"))
    assert (found.hierarchies, found.problems[V2]) == ((), "the caller's control group is domain threaded")


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/user.slice/user-7.slice/session-3.scope", True),
        ("/user.slice/user-7.slice/session-c1.scope", True),
        ("/user.slice/user-8.slice/session-3.scope", False),
        ("/user.slice/user-7.slice/session-3.scope/below", False),
        ("/user.slice/user-7.slice/user@7.service/app.slice/a.scope", False),
        ("/system.slice/ci.service", False),
        ("/", False),
    ],
)
def test_login_of_the_caller_is_told_from_a_service(path: str, wanted: bool) -> None:
    assert groups.is_own_login(path, 7) == wanted


# ── v1 and hybrid ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_v1_hierarchy_has_a_group_of_its_own(pretend: Pretend, tmp_path: Path) -> None:
    group(tmp_path / "unified", kind=None, controllers="hugetlb")
    mounts = pretend("7:cpu,cpuacct:/\n6:memory:/\n5:freezer:/\n1:name=systemd:/\n0::/\n", "cpu,cpuacct", "memory", "freezer")
    found = find_groups(mounts)
    assert found.hierarchies == (
        Hierarchy(0, str(tmp_path / "unified"), ("hugetlb",)),
        Hierarchy(1, str(tmp_path / "cpu,cpuacct"), ("cpu", "cpuacct")),
        Hierarchy(2, str(tmp_path / "memory"), ("memory",)),
    )
    assert found.problems == {}


@pytest.mark.parametrize(
    ("lines", "names", "said"),
    [
        ("6:memory:/\n", (), "not mounted"),
        ("6:memory:/gone\n", ("memory",), "not in"),
        ("6:memory:/../x\n", ("memory",), "not in"),
    ],
)
def test_v1_hierarchy_that_cannot_be_used_says_why(pretend: Pretend, lines: str, names: tuple[str, ...], said: str) -> None:
    found = find_groups(pretend(lines, *names))
    assert (found.hierarchies, said in found.problems["memory"]) == ((), True)


def test_lines_of_proc_are_read_as_they_are() -> None:
    assert parse_groups("4:cpu,cpuacct:/a:b\n0::/\nrubbish\n1:name=x:none\n") == [(("cpu", "cpuacct"), "/a:b"), ((V2,), "/")]


# ── what limits are about ─────────────────────────────────────────────────────────────────────────────────────────────


def test_disks_are_those_with_a_size(tmp_path: Path) -> None:
    for name, number, size in (("sda", "8:0", "1000"), ("loop0", "7:0", "0"), ("vda", "254:0", "1"), ("odd", "", "1")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "dev").write_text(number + "\n" if number else "")
        (tmp_path / name / "size").write_text(size + "\n")
    assert find_disks(str(tmp_path)) == ("8:0", "254:0")
    assert find_disks(str(tmp_path / "none")) == ()


def test_huge_pages_have_the_names_of_the_kernel(tmp_path: Path) -> None:
    for kib in (1048576, 2048, 64):
        (tmp_path / f"hugepages-{kib}kB").mkdir()
    assert find_huge_pages(str(tmp_path)) == ("64KB", "2MB", "1GB")
    assert find_huge_pages(str(tmp_path / "none")) == ()


def test_disks_are_shared_by_weight_where_the_kernel_says_so(tmp_path: Path) -> None:
    top, disk = tmp_path / "c", tmp_path / "block" / "sda" / "queue"
    for directory in (top, disk):
        directory.mkdir(parents=True)
    mounts = (Mount(1, 0, "/", str(top), (), "cgroup2", "none", ("rw",)),)
    where = str(tmp_path / "block")
    assert find_io_weights(mounts, where) == ""
    (disk / "scheduler").write_text("[none] bfq mq-deadline\n")
    assert find_io_weights(mounts, where) == ""
    (disk / "scheduler").write_text("none [bfq] mq-deadline\n")
    assert find_io_weights(mounts, where) == "bfq"
    (top / "io.cost.qos").write_text("8:0 enable=0 ctrl=auto\n")
    assert find_io_weights(mounts, where) == "bfq"
    (top / "io.cost.qos").write_text("8:0 enable=1 ctrl=auto\n")
    assert find_io_weights(mounts, where) == "cost"
    assert find_io_weights((), where) == "bfq"


def test_huge_pages_that_were_promised_are_not_spare(tmp_path: Path) -> None:
    for kib, free, promised in ((2048, 5, 2), (1048576, 0, 0)):
        (tmp_path / f"hugepages-{kib}kB").mkdir()
        (tmp_path / f"hugepages-{kib}kB/free_hugepages").write_text(f"{free}\n")
        (tmp_path / f"hugepages-{kib}kB/resv_hugepages").write_text(f"{promised}\n")
    assert find_spare_huge_pages(str(tmp_path)) == {2 << 20: 3, 1 << 30: 0}
    assert find_spare_huge_pages(str(tmp_path / "none")) == {}


@pytest.mark.parametrize(("text", "spare"), [("SwapTotal: 9 kB\nSwapFree:  4 kB\n", 4096), ("MemFree: 1 kB\n", 0)])
def test_swap_space_that_nothing_is_in(text: str, spare: int, tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text(text)
    assert find_spare_swap_bytes(str(tmp_path / "meminfo")) == spare
    assert find_spare_swap_bytes(str(tmp_path / "none")) == 0


def test_file_lies_on_the_whole_disk_of_its_partition(tmp_path: Path) -> None:
    number = os.stat(tmp_path).st_dev
    disk, numbers = tmp_path / "devices/sda", tmp_path / "dev"
    (disk / "sda1").mkdir(parents=True)
    numbers.mkdir()
    (disk / "dev").write_text("8:0\n")
    (disk / "sda1/dev").write_text("8:1\n")
    link = numbers / f"{os.major(number)}:{os.minor(number)}"
    link.symlink_to(disk)
    assert find_disk_of(str(tmp_path), str(numbers)) == "8:0"
    link.unlink()
    link.symlink_to(disk / "sda1")
    (disk / "sda1/partition").write_text("1\n")
    assert find_disk_of(str(tmp_path), str(numbers)) == "8:0"
    assert find_disk_of(str(tmp_path / "missing"), str(numbers)) == ""
    assert find_disk_of(str(tmp_path), str(tmp_path / "none")) == ""


def test_large_file_is_one_that_everybody_may_read(tmp_path: Path) -> None:
    for name, size, mode in (("a-small", 9, 0o644), ("b-private", 99, 0o640), ("c-large", 99, 0o644)):
        (tmp_path / name).write_bytes(bytes(size))
        (tmp_path / name).chmod(mode)
    (tmp_path / "a-link").symlink_to("c-large")
    assert find_large_file(str(tmp_path), 50) == f"{tmp_path}/c-large"
    assert find_large_file(str(tmp_path), 100) == ""
    assert find_large_file(str(tmp_path / "none"), 1) == ""


# ── device programs ───────────────────────────────────────────────────────────────────────────────────────────────────

TREE = Groups((Hierarchy(0, "/sys/fs/cgroup"),))


def test_device_program_needs_root_a_tree_and_the_kernel() -> None:
    assert find_device_program_problem(TREE, WORKS, is_privileged=True) == ""
    assert find_device_program_problem(TREE, WORKS, is_privileged=False) == "only root may attach one"
    assert "no cgroup v2 tree" in find_device_program_problem(Groups(), WORKS, is_privileged=True)
    assert find_device_program_problem(Groups(problems={V2: "why"}), WORKS, is_privileged=True) == "why"


@pytest.mark.parametrize(
    ("trial", "said"), [(Trial({"devices": 1}), "refused by the kernel (EPERM)"), (Trial({}), "could not be tried")]
)
def test_kernel_that_takes_no_program_says_so(trial: Trial, said: str) -> None:
    assert said in find_device_program_problem(TREE, trial, is_privileged=True)


@needs("root")
def test_this_machine_has_a_hierarchy_or_says_why_not() -> None:
    host = this_host()
    for name in ("memory", "pids", "cpu"):
        assert (host.hierarchy_of(name) is None) == (name in host.controller_problems)


def test_group_of_a_box_is_found_once_something_is_in_it(tmp_path: Path) -> None:
    """A controller that nobody has: the caller's own group is the top of the tree."""
    group = tmp_path / "sandboxer/70-1-2"
    group.mkdir(parents=True)
    assert groups.find_box_group(70, str(tmp_path), "none", 0) == ""
    (group / "cgroup.procs").write_text("71\n")
    assert groups.find_box_group(70, str(tmp_path), "none", 0) == str(group)
    assert groups.find_box_group(7, str(tmp_path), "none", 0) == ""
    assert groups.find_box_group(70, f"{tmp_path}/elsewhere", "none", 0) == ""
