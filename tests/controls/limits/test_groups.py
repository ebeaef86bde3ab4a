"""Limits of the whole box: the files of both kinds of control groups, what is read at the end, and what is lost without them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandboxer.abi.rlimits import Rlimit
from sandboxer.controls import limits
from sandboxer.controls.limits.groups import COUNTERS, V1_COUNTERS, V2_COUNTERS
from sandboxer.controls.limits.table import ROWS
from sandboxer.controls.room import Lowered
from sandboxer.errors import ProfileError
from sandboxer.launcher.record import COUNTERS as RECORDED
from sandboxer.model.host import Hierarchy, Host
from sandboxer.model.op import ArmCpuClock, ReadCounter, SetRlimit, WriteGroup
from sandboxer.model.stage import Stage
from sandboxer.units import UNLIMITED
from tests.controls.rooms import ORDINARY, PRIVILEGED, lines, lowered, section, understood

UNIFIED = replace(PRIVILEGED, cgroup="v2", hierarchies=(Hierarchy(0, "/c", ("cpu", "io", "memory", "pids"), 1),))
V1 = replace(
    PRIVILEGED,
    cgroup="v1",
    hierarchies=(
        Hierarchy(1, "/c/cpu,cpuacct", ("cpu", "cpuacct")),
        Hierarchy(2, "/c/memory", ("memory",)),
        Hierarchy(3, "/c/pids", ("pids",)),
    ),
)
HYBRID = replace(UNIFIED, cgroup="hybrid", hierarchies=(Hierarchy(0, "/c/u", ("pids",)), Hierarchy(2, "/c/memory", ("memory",))))
REFUSED = replace(ORDINARY, cgroup="v2", controller_problems={"memory": "/c is not delegated to the caller"})


def written(said: str, host: Host) -> list[tuple[int, str, str]]:
    """Group, file and text of each write."""
    return [
        (step.op.group, step.op.file, step.op.text)
        for step in lowered(limits, said, host).steps
        if isinstance(step.op, WriteGroup)
    ]


def rlimit(result: Lowered, which: Rlimit) -> int:
    return next(step.op.soft for step in result.steps if isinstance(step.op, SetRlimit) and step.op.resource == which)


def test_v2_files_are_those_of_the_kernel() -> None:
    said = "{memory: 64M, memory_high: 48M, swap: 1M, cpus: 150%, cpu_weight: 50, processes: 20}"
    assert written(said, UNIFIED) == [
        (0, "pids.max", "21"),
        (0, "memory.max", str(64 << 20)),
        (0, "memory.oom.group", "1"),
        (0, "memory.high", str(48 << 20)),
        (0, "memory.swap.max", str(1 << 20)),
        (0, "cpu.max", "150000 100000"),
        (0, "cpu.weight", "50"),
    ]


def test_v1_files_are_those_of_the_kernel() -> None:
    said = "{memory: 64M, swap: 1M, cpus: 150%, cpu_weight: 50, processes: 20}"
    assert written(said, V1) == [
        (3, "pids.max", "21"),
        (2, "memory.limit_in_bytes", str(64 << 20)),
        (2, "memory.memsw.limit_in_bytes", str(65 << 20)),
        (1, "cpu.cfs_period_us", "100000"),
        (1, "cpu.cfs_quota_us", "150000"),
        (1, "cpu.shares", "512"),
    ]


def test_no_swap_is_what_holds_beside_a_limit_of_memory() -> None:
    assert (0, "memory.swap.max", "0") in written("memory: 64M", UNIFIED)
    assert (2, "memory.swappiness", "0") in written("memory: 64M", V1)
    assert not [file for _, file, _ in written("swap: 0", UNIFIED) if "swap" in file]
    assert not [file for _, file, _ in written("memory: 64M", replace(UNIFIED, has_swap=False)) if "swap" in file]


def test_each_controller_is_taken_from_where_it_is() -> None:
    assert [(group, file) for group, file, _ in written("memory: 64M", HYBRID)] == [
        (0, "pids.max"),
        (2, "memory.limit_in_bytes"),
        (2, "memory.swappiness"),
    ]


def test_groups_are_wanted_with_their_controllers() -> None:
    wants = lowered(limits, "{memory: 64M, cpus: 1}", V1).groups
    assert [(want.group, want.controller) for want in wants] == [(3, "pids"), (2, "memory"), (1, "cpu")]
    assert lowered(limits, "processes: unlimited", V1).groups == ()


def test_the_group_counts_processes_so_it_is_reached_first() -> None:
    assert rlimit(lowered(limits, "processes: 20", V1), Rlimit.NPROC) == 22
    assert rlimit(lowered(limits, "processes: 20", ORDINARY), Rlimit.NPROC) == 21


@pytest.mark.parametrize("host", [UNIFIED, V1, HYBRID], ids=["v2", "v1", "hybrid"])
def test_every_limit_of_the_box_is_said_to_hold(host: Host) -> None:
    said = lines(lowered(limits, "{memory: 64M}", host))
    assert "memory: 64M, for the whole box (cgroup v" in said
    assert "processes: 512, for the whole box (cgroup v" in said
    assert limits.need(understood(limits, "{memory: 64M}"), host) == ()


def test_limit_that_nothing_keeps_is_a_lack_with_its_reason() -> None:
    (lack,) = limits.need(understood(limits, "memory: 64M"), REFUSED)
    assert lack.why == "/c is not delegated to the caller"
    assert lack.attempt.startswith("start it in a group of your own: systemd-run --user --scope")
    assert "each process alone" in lack.lost
    (lack,) = limits.need(understood(limits, "cpus: 1"), replace(REFUSED, cgroup="v1"))
    assert (lack.why, lack.attempt) == (
        "this host has no control groups with the controller cpu",
        "start it as root, or on a host with cgroup v2",
    )


def test_v1_has_no_brake_for_memory() -> None:
    (lack,) = limits.need(understood(limits, "memory_high: 64M"), V1)
    assert (lack.why, lack.attempt) == ("cgroup v1 has nothing like it", "a host with cgroup v2, or leave it out")


def test_without_a_group_no_process_alone_has_more_than_the_box_may() -> None:
    assert rlimit(lowered(limits, "memory: 64M", REFUSED), Rlimit.DATA) == 64 << 20
    assert rlimit(lowered(limits, "{memory: 64M, data: 32M}", REFUSED), Rlimit.DATA) == 32 << 20
    assert rlimit(lowered(limits, "memory: 64M", UNIFIED), Rlimit.DATA) == UNLIMITED


@pytest.mark.parametrize("host", [UNIFIED, V1], ids=["v2", "v1"])
def test_what_the_kernel_counted_is_read_before_the_group_goes(host: Host) -> None:
    steps = [step for step in lowered(limits, "{memory: 64M, cpus: 1}", host).steps if isinstance(step.op, ReadCounter)]
    assert {step.stage for step in steps} == {Stage.CLEAN}
    read = {COUNTERS[step.op.counter] for step in steps if isinstance(step.op, ReadCounter)}
    assert {"memory_peak_bytes", "oom_kills", "pids_refused", "throttled_us", "throttled_periods"} <= read


def test_counters_have_the_places_of_the_record() -> None:
    assert COUNTERS == RECORDED
    for table in (V1_COUNTERS, V2_COUNTERS):
        assert {counter.name for row in table.values() for counter in row} <= set(COUNTERS)


DISKS = {"disks": ("8:0", "254:0"), "huge_pages": ("2MB", "1GB")}


def test_disks_are_limited_one_by_one() -> None:
    said = "{io_read: 1M, io_write: 2M, io_read_ops: 10, io_write_ops: 20, processes: unlimited}"
    assert written(said, replace(UNIFIED, **DISKS)) == [
        (0, "io.max", f"{disk} {text}")
        for text in ("rbps=1048576", "wbps=2097152", "riops=10", "wiops=20")
        for disk in ("8:0", "254:0")
    ]
    v1 = replace(V1, hierarchies=(Hierarchy(4, "/c/blkio", ("blkio",)),), **DISKS)
    assert written(said, v1) == [
        (4, f"blkio.throttle.{name}_device", f"{disk} {number}")
        for name, number in (("read_bps", 1 << 20), ("write_bps", 2 << 20), ("read_iops", 10), ("write_iops", 20))
        for disk in ("8:0", "254:0")
    ]


def test_huge_pages_are_limited_size_by_size() -> None:
    said, tree = "{huge_pages: 2M, processes: unlimited}", Hierarchy(0, "/c", ("hugetlb",))
    host = replace(UNIFIED, hierarchies=(tree,), **DISKS)
    names = ("2MB.max", "2MB.rsvd.max", "1GB.max", "1GB.rsvd.max")
    assert written(said, host) == [(0, f"hugetlb.{name}", "2097152") for name in names]
    assert written(said, replace(host, kernel=(5, 6))) == [(0, f"hugetlb.{size}.max", "2097152") for size in ("2MB", "1GB")]
    host = replace(host, hierarchies=(replace(tree, group=5),))
    names = ("2MB.limit_in_bytes", "2MB.rsvd.limit_in_bytes", "1GB.limit_in_bytes", "1GB.rsvd.limit_in_bytes")
    assert [file for _, file, _ in written(said, host)] == [f"hugetlb.{name}" for name in names]


def test_host_that_shows_no_disk_can_limit_none() -> None:
    (lack,) = limits.need(understood(limits, "io_read: 1M"), UNIFIED)
    assert lack.why == "this host shows none of what it is about"
    assert written("{io_read: 1M, processes: unlimited}", UNIFIED) == []


def test_processors_are_those_of_the_profile_that_the_caller_has() -> None:
    tree = Hierarchy(0, "/c", ("cpuset",))
    host = replace(UNIFIED, hierarchies=(tree,), processors=0b1101)
    assert written('{cpuset: "0-2", processes: unlimited}', host) == [(0, "cpuset.cpus", "0,2")]
    assert "cpuset: 0,2, for the whole box (cgroup v2)" in lines(lowered(limits, 'cpuset: "0-2"', host))
    assert written("{cpuset: 3, processes: unlimited}", replace(host, hierarchies=(replace(tree, group=4),))) == [
        (4, "cpuset.cpus", "3")
    ]
    (lack,) = limits.need(understood(limits, "cpuset: 1"), host)
    assert lack.why == "the caller can run on none of these processors"


def test_share_of_disks_needs_a_kernel_that_shares_them() -> None:
    said = "{io_weight: 2000, processes: unlimited}"
    v1 = replace(V1, hierarchies=(Hierarchy(4, "/c/blkio", ("blkio",)),))
    assert written(said, replace(UNIFIED, io_weights="cost")) == [(0, "io.weight", "2000")]
    assert written(said, replace(UNIFIED, io_weights="bfq")) == [(0, "io.bfq.weight", "1000")]
    assert written(said, replace(v1, io_weights="bfq")) == [(4, "blkio.bfq.weight", "1000")]
    for host in (UNIFIED, v1, replace(v1, io_weights="cost")):
        (lack,) = limits.need(understood(limits, "io_weight: 50"), host)
        assert (lack.why, lack.lost) == ("no disk here is shared by weight", "the box has the same share of the disks as others")


def clock(said: str, host: Host) -> ArmCpuClock | None:
    return next((step.op for step in lowered(limits, said, host).steps if isinstance(step.op, ArmCpuClock)), None)


def test_cpu_time_of_the_box_is_counted_by_its_group() -> None:
    found = clock("{cpu_time: 90s, idle: 5m, grace: 3s}", UNIFIED)
    assert found is not None
    assert (found.group, found.file, found.key, found.divisor) == (0, "cpu.stat", "usage_usec ", 1)
    assert (found.limit_us, found.idle_ms, found.grace_ms) == (90_000_000, 300_000, 3000)
    found = clock("{idle: 5m}", replace(V1, hierarchies=(Hierarchy(1, "/c/cpu,cpuacct", ("cpu", "cpuacct")),)))
    assert found is not None
    assert (found.group, found.file, found.key, found.divisor) == (1, "cpuacct.usage", "", 1000)
    assert found.limit_us == 0
    assert clock("", UNIFIED) is None


def test_clock_takes_the_v2_tree_where_there_is_one_and_no_controller() -> None:
    wants = lowered(limits, "{cpu_time: 1s, processes: unlimited}", HYBRID).groups
    assert [(want.group, want.controller) for want in wants] == [(0, "")]


def test_process_alone_meets_the_clock_of_the_box_first() -> None:
    assert rlimit(lowered(limits, "cpu_time: 2s", UNIFIED), Rlimit.CPU) == 3
    assert rlimit(lowered(limits, "cpu_time: 2s", REFUSED), Rlimit.CPU) == 2


def test_clock_without_a_group_is_a_lack() -> None:
    lacks = limits.need(understood(limits, "{cpu_time: 1s, idle: 1s}"), REFUSED)
    assert [lack.lost for lack in lacks] == ["each process has a count of its own", "a box that waits for ever is not ended"]
    assert limits.need(understood(limits, "{cpu_time: 1s, idle: 1s}"), UNIFIED) == ()
    assert "cpu_time: 1s for each process" in lines(lowered(limits, "cpu_time: 1s", REFUSED))
    assert "cpu_time: 1s, for the whole box" in lines(lowered(limits, "cpu_time: 1s", UNIFIED))


@pytest.mark.parametrize("row", [row for row in ROWS if row.v2 or row.v1], ids=lambda row: row.word)
def test_row_without_a_group_says_what_is_lost_or_is_held_otherwise(row: limits.Row) -> None:
    assert bool(row.lost) != (row.rlimit is not None)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("memory: 1M", "is out of range"),
        ("cpus: lots", "a share of processors is a number of them"),
        ("cpus: 0.5", "YAML readers may change"),
        ('cpus: "0.0001"', "finer than a thousandth"),
        ("cpus: 0", "is out of range"),
        ("cpu_weight: 0", "is out of range"),
        ('cpuset: "3-1"', "goes from large to small"),
        ("cpuset: 9000", "there can be no processor 9000"),
        ("scheduler: fifo", "unknown scheduler 'fifo'"),
        ("niceness: -1", "is out of range"),
        ("niceness: 20", "is out of range"),
        ("disk: 1K", "is out of range"),
        ("cpu_weight: unlimited", "expected a whole number"),
    ],
)
def test_values_that_no_group_can_keep_are_refused(said: str, why: str) -> None:
    with pytest.raises(ProfileError, match=why):
        section(limits, said)


@pytest.mark.parametrize(("said", "milli"), [("2", 2000), ("150%", 1500), ('"0.5"', 500), ("unlimited", UNLIMITED)])
def test_processors_are_a_number_or_a_percentage(said: str, milli: int) -> None:
    found = understood(limits, f"cpus: {said}")
    assert isinstance(found, limits.Settings)
    assert found.values["cpus"] == milli
