"""Limits: the table, the ops, clamping to the caller's own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandboxer.abi.rlimits import Rlimit
from sandboxer.controls import limits
from sandboxer.controls.limits.table import ROWS
from sandboxer.controls.room import Lowered, Scope
from sandboxer.errors import ProfileError
from sandboxer.model.host import Host
from sandboxer.model.op import ArmWallClock, SetRlimit
from sandboxer.model.policy import Trait
from sandboxer.units import UNLIMITED
from tests.controls.rooms import (
    ALL_NEW,
    BARE_ROOT,
    ORDINARY,
    PRIVILEGED,
    both,
    child,
    lines,
    lowered,
    section,
    steps,
    text,
    under,
    understood,
)


def value(said: object, word: str) -> int:
    found = understood(limits, said)  # type: ignore[arg-type]
    assert isinstance(found, limits.Settings)
    return found.values[word]


def limit(result: Lowered, rlimit: Rlimit) -> tuple[int, int]:
    (op,) = (step.op for step in result.steps if isinstance(step.op, SetRlimit) and step.op.resource == rlimit)
    return op.soft, op.hard


def test_nothing_said_sets_every_limit_for_root_and_user_alike() -> None:
    expected = text(
        f"""
        limits: limit resource 7 to 1024 (hard 1024)
        limits: limit resource 6 to 513 (hard 513)
        limits: limit resource 1 to {1 << 30} (hard {1 << 30})
        limits: limit resource 4 to 1 (hard 1)
        limits: limit resource 3 to {8 << 20} (hard {8 << 20})
        limits: limit resource 9 to {UNLIMITED} (hard {UNLIMITED})
        limits: limit resource 2 to {UNLIMITED} (hard {UNLIMITED})
        limits: limit resource 8 to 65536 (hard 65536)
        limits: limit resource 0 to {UNLIMITED} (hard {UNLIMITED})
        limits: limit resource 12 to 65536 (hard 65536)
        limits: limit resource 11 to 1024 (hard 1024)
        limits: limit resource 13 to 0 (hard 0)
        limits: limit resource 14 to 0 (hard 0)
        """
    )
    assert steps(lowered(limits, "", ORDINARY)) == expected
    assert steps(lowered(limits, "", PRIVILEGED)) == expected


def test_smaller_limit_of_two_parents_wins() -> None:
    assert value(both(limits, "open_files: 64", "open_files: 256"), "open_files") == 64


def test_child_can_lower_and_not_raise() -> None:
    assert value(child(limits, "open_files: 64", "open_files: 256"), "open_files") == 64
    assert value(child(limits, "open_files: 256", "open_files: 64"), "open_files") == 64


def test_layer_can_lower_and_not_raise() -> None:
    assert value(under(limits, "wall: 10s", "wall: 5s"), "wall") == 5000
    assert value(under(limits, "wall: 10s", "wall: unlimited"), "wall") == 10_000


def test_layer_cannot_go_above_what_holds_where_nobody_speaks() -> None:
    assert value(under(limits, "", "open_files: 65536"), "open_files") == 1024
    assert value(under(limits, "", "open_files: 64"), "open_files") == 64


def test_wall_arms_the_clock_with_its_grace() -> None:
    shown = steps(lowered(limits, "wall: 1m\ngrace: 5s", ORDINARY))
    assert shown.startswith("clock: end the box after 60000 ms (signal 15, then SIGKILL 5000 ms later)\n")


def test_unlimited_is_more_than_any_number() -> None:
    assert value("file_size: unlimited", "file_size") == UNLIMITED
    assert value(both(limits, "file_size: unlimited", "file_size: 1G"), "file_size") == 1 << 30


def test_limit_above_the_callers_own_is_clamped_and_reported() -> None:
    host = replace(ORDINARY, rlimits={"nofile": (512, 20000)})
    result = lowered(limits, "open_files: 65536", host)
    assert limit(result, Rlimit.NOFILE) == (20000, 20000)
    assert "open_files: 20000, the caller's own hard limit (the profile allows 65536)" in lines(result)


def test_limit_below_the_callers_own_is_as_said() -> None:
    result = lowered(limits, "open_files: 512", replace(ORDINARY, rlimits={"nofile": (512, 20000)}))
    assert limit(result, Rlimit.NOFILE) == (512, 512)
    assert "open_files: 512\n" in lines(result)


def test_cpu_time_warns_a_second_before_it_kills() -> None:
    result = lowered(limits, "cpu_time: 1500ms", ORDINARY)
    assert limit(result, Rlimit.CPU) == (2, 3)
    assert "cpu_time: 1s500ms for each process" in lines(result)


def test_cpu_time_below_a_second_is_refused() -> None:
    with pytest.raises(ProfileError, match="500 ms is out of range"):
        section(limits, "cpu_time: 500ms")


def test_process_limit_leaves_room_for_the_init() -> None:
    assert limit(lowered(limits, "processes: 1", ORDINARY), Rlimit.NPROC) == (2, 2)
    assert limit(lowered(limits, "processes: 1", ORDINARY, ALL_NEW - {Trait.HAS_INIT}), Rlimit.NPROC) == (1, 1)


def test_core_of_nothing_stops_the_crash_handler_too() -> None:
    assert limit(lowered(limits, "core: 0", ORDINARY), Rlimit.CORE) == (1, 1)
    assert limit(lowered(limits, "core: 1M", ORDINARY), Rlimit.CORE) == (1 << 20, 1 << 20)


def test_wall_without_grace_kills_at_once() -> None:
    (op,) = (step.op for step in lowered(limits, "wall: 1s\ngrace: 0s", ORDINARY).steps if isinstance(step.op, ArmWallClock))
    assert (op.limit_ms, op.grace_ms, op.signal) == (1000, 0, 9)


def test_wall_unlimited_arms_no_clock() -> None:
    result = lowered(limits, "wall: unlimited", ORDINARY)
    assert "end the box" not in steps(result)
    assert "wall: unlimited" in lines(result)


@pytest.mark.parametrize("host", [replace(ORDINARY, kernel=(5, 10)), BARE_ROOT])
def test_process_limit_that_counts_others_is_a_lack(host: Host) -> None:
    (lack,) = limits.need(understood(limits), host)
    assert lack.lost == "the limit counts all processes of the job's host user, not only the box's"


def test_process_limit_that_counts_the_box_alone_is_no_lack() -> None:
    assert limits.need(understood(limits), ORDINARY) == ()
    assert limits.need(understood(limits, "processes: unlimited"), BARE_ROOT) == ()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("open_files: 64K", "expected a whole number"),
        ("open_files: 3", "is out of range"),
        ("wall: 10", "a duration needs a unit"),
        ("file_size: 64MB", "MB is 1000-based to some"),
        ("nice: unlimited", "expected a whole number"),
        ("wall: 0s", "is out of range"),
    ],
)
def test_values_in_another_unit_or_out_of_range_are_refused(said: str, why: str) -> None:
    with pytest.raises(ProfileError, match=why):
        section(limits, said)


def test_error_of_a_limit_has_a_caret_and_advice() -> None:
    with pytest.raises(ProfileError) as caught:
        section(limits, "wall: 10")
    assert str(caught.value) == (
        "test.yaml:1:7: '10' is not a duration\n"
        "  1 | wall: 10\n"
        "    |       ^\n"
        "  why: a duration needs a unit\n"
        "  try: 10s for seconds, or ms, m, h, d"
    )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.word)
def test_every_row_has_a_default_within_its_bounds_and_help(row: limits.Row) -> None:
    assert row.default == UNLIMITED or row.least <= row.default <= row.most
    assert row.help.endswith(".")


def test_every_row_has_its_own_word_and_resource() -> None:
    assert len({row.word for row in ROWS}) == len(ROWS)
    resources = [row.rlimit for row in ROWS if row.rlimit is not None]
    assert len(set(resources)) == len(resources)


def test_widens_tells_higher_limits_only() -> None:
    low, high = understood(limits, "wall: 10s"), understood(limits, "wall: unlimited")
    assert limits.widens(low, high) == ("limits.wall: unlimited instead of 10s",)
    assert limits.widens(high, low) == ()


def test_explain_lists_what_is_and_is_not_limited() -> None:
    bounded, free = limits.explain(understood(limits))
    assert bounded.startswith("Limits: open_files 1024, processes 512, file_size 1G, core 0, stack 8M,")
    assert free == (
        "Not limited: memory, memory_high, cpus, cpuset, io_read, io_write, io_read_ops, io_write_ops, huge_pages, disk, "
        "address_space, data, cpu_time, idle, output, wall."
    )


def test_output_is_counted_where_it_is_limited() -> None:
    assert "end the box when it has written 1048576 bytes" in steps(lowered(limits, "output: 1M", ORDINARY))
    assert "output: 1M" in lines(lowered(limits, "output: 1M", ORDINARY))
    assert "to its outputs" not in steps(lowered(limits, "", ORDINARY))


def test_scheduling_is_one_step_and_only_where_it_is_said() -> None:
    assert "limits: give way to others on the processors (policy 5, niceness 7)" in steps(
        lowered(limits, "{scheduler: idle, niceness: 7}", ORDINARY)
    )
    assert "(policy 0, niceness 3)" in steps(lowered(limits, "niceness: 3", ORDINARY))
    assert "give way" not in steps(lowered(limits, "{scheduler: normal, niceness: 0}", ORDINARY))
    said = lines(lowered(limits, "{scheduler: batch, niceness: 7}", ORDINARY))
    assert "scheduler: batch" in said
    assert "niceness: 7" in said


def test_the_stricter_of_two_files_holds_whichever_way_a_row_counts() -> None:
    one, other = "{niceness: 3, scheduler: idle, cpuset: 0-2, disk: 1M}", "{niceness: 9, scheduler: batch, cpuset: 2-4, disk: 2M}"
    found = limits.understand(both(limits, one, other), Scope("/", "/root"))
    assert [found.values[word] for word in ("niceness", "scheduler", "cpuset", "disk")] == [9, 2, 0b100, 1 << 20]


def test_two_files_that_leave_no_processor_are_refused() -> None:
    with pytest.raises(ProfileError, match="cpuset leaves no processor"):
        limits.understand(both(limits, "cpuset: 0", "cpuset: 1"), Scope("/", "/root"))


def test_lower_demand_and_another_processor_are_wider() -> None:
    old = understood(limits, "{niceness: 5, scheduler: idle, cpuset: 0-1}")
    same = understood(limits, "{niceness: 9, scheduler: idle, cpuset: 1}")
    wide = understood(limits, "{niceness: 4, scheduler: batch, cpuset: 0-2}")
    assert limits.widens(old, same) == ()
    assert limits.widens(old, wide) == (
        "limits.cpuset: 0-2 instead of 0-1",
        "limits.scheduler: batch instead of idle",
        "limits.niceness: 4 instead of 5",
    )


def test_disk_is_said_for_each_file_system() -> None:
    assert "disk: 1M, for each file system of the box's own" in lines(lowered(limits, "disk: 1M", ORDINARY))
