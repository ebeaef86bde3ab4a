"""The control groups of a plan: one for each hierarchy that a room wants, with all that the rooms want of it."""

from __future__ import annotations

from dataclasses import replace

from sandboxer.compile.lower import group_steps
from sandboxer.controls.room import Want
from sandboxer.model.host import Hierarchy, Host
from sandboxer.model.op import U32, AwaitOutside, EnterGroups, MakeGroup, MoveChild, RemoveGroups, SweepGroups, Text, TextList

HYBRID = Host(
    hierarchies=(
        Hierarchy(0, "/c/unified", ("hugetlb",)),
        Hierarchy(1, "/c/cpu,cpuacct", ("cpu", "cpuacct")),
        Hierarchy(2, "/c/memory", ("memory",)),
    )
)
NONE = TextList(())
OTHERS = SweepGroups(TextList(("/c/cpu,cpuacct", "cpu", "0-", "/c/memory", "memory", "0-")))
UNIFIED = Host(hierarchies=(Hierarchy(0, "/c", ("cpu", "memory", "pids"), 2),))


def made(host: Host, *wants: Want) -> list[object]:
    """The ops, those at the end last."""
    first, last = group_steps({"limits": wants}, host)
    return [step.op for step in (*first, *last)]


def test_nobody_wants_a_group_and_there_is_none() -> None:
    assert group_steps({}, HYBRID) == ([], [])


def test_v2_group_passes_on_the_controllers_that_are_wanted() -> None:
    rooms = {"limits": [Want(0, "pids"), Want(0, "memory"), Want(0, "pids")], "devices": [Want(0)]}
    first, last = group_steps(rooms, UNIFIED)
    assert [step.op for step in first] == [MakeGroup(U32(0), Text("/c"), Text(""), U32(2), TextList(("+memory", "+pids")), NONE)]
    assert [step.op for step in last] == [RemoveGroups()]


def test_v1_groups_are_entered_by_the_child() -> None:
    assert made(HYBRID, Want(1, "cpuacct"), Want(2, "memory")) == [
        MakeGroup(U32(1), Text("/c/cpu,cpuacct"), Text("cpu"), U32(0), NONE, NONE),
        MakeGroup(U32(2), Text("/c/memory"), Text("memory"), U32(0), NONE, NONE),
        EnterGroups(),
        RemoveGroups(),
        SweepGroups(TextList(("/c/unified", "", "0-"))),
    ]


def test_group_without_a_controller_enables_none() -> None:
    assert made(HYBRID, Want(0)) == [MakeGroup(U32(0), Text("/c/unified"), Text(""), U32(0), NONE, NONE), RemoveGroups(), OTHERS]


def test_v1_cpuset_begins_with_what_the_group_above_has() -> None:
    host = Host(hierarchies=(Hierarchy(1, "/c/cpuset", ("cpuset",)),))
    assert made(host, Want(1, "cpuset"))[0] == MakeGroup(
        U32(1), Text("/c/cpuset"), Text("cpuset"), U32(0), NONE, TextList(("cpuset.cpus", "cpuset.mems"))
    )
    unified = Host(hierarchies=(Hierarchy(0, "/c", ("cpuset",)),))
    assert made(unified, Want(0, "cpuset"))[0] == MakeGroup(U32(0), Text("/c"), Text(""), U32(0), TextList(("+cpuset",)), NONE)


def test_hierarchy_that_nearly_every_box_uses_is_made_first() -> None:
    host = Host(
        hierarchies=(Hierarchy(0, "/c/unified"), Hierarchy(1, "/c/memory", ("memory",)), Hierarchy(2, "/c/pids", ("pids",)))
    )
    steps = made(host, Want(0), Want(1, "memory"), Want(2, "pids"))
    assert [step.mount for step in steps if isinstance(step, MakeGroup)] == ["/c/pids", "/c/unified", "/c/memory"]


def test_child_is_moved_into_its_v2_group_ahead_of_all_that_it_does_where_clone3_is_hidden() -> None:
    host = replace(HYBRID, missing_calls=("clone3",))
    first, _ = group_steps({"limits": [Want(0, "hugetlb"), Want(2, "memory")]}, host)
    inside = [step.op for step in sorted(first, key=lambda step: step.stage) if step.stage.list_name == "inside"]
    assert inside == [AwaitOutside(), EnterGroups()]
    assert [step.stage.name for step in first if isinstance(step.op, MoveChild)] == ["MEET"]


def test_child_is_not_moved_where_its_groups_are_those_of_v1() -> None:
    assert made(replace(HYBRID, missing_calls=("clone3",)), Want(2, "memory")) == made(HYBRID, Want(2, "memory"))
