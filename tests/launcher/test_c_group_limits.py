"""outside/group.c: limits and counters of v1 groups, on the real kernel."""

from __future__ import annotations

import errno

import pytest

from sandboxer.launcher.record import COUNTERS, UNKNOWN
from sandboxer.model import op as ops
from sandboxer.model.op import U32, U64, Op, Text
from tests.launcher.groups import boxed, limited, make, nothing_left, v1
from tests.launcher.plans import NEWPID, launch, plan, shell
from tests.live.needs import needs, this_host

__all__ = ["nothing_left"]

pytestmark = pytest.mark.usefixtures("nothing_left")


@needs("v1 groups")
def test_child_enters_its_v1_group_before_anything_else() -> None:
    ended = limited("pids", {}, "grep :pids: /proc/self/cgroup")
    assert "/sandboxer/" in ended.out
    assert ended.record["after_errno"] == 0


@needs("v1 groups")
def test_limit_of_processes_holds_and_what_was_used_is_read() -> None:
    script = "for n in 1 2 3 4 5 6 7 8; do sleep 5 & done; echo all"
    counters = [("pids.events", "max "), ("pids.max", ""), ("pids.events", "nothing "), ("no.such.file", "")]
    ended = limited("pids", {"pids.max": "4"}, script, counters)
    assert "all" not in ended.out
    assert [ended.record[COUNTERS[number]] for number in range(1, 5)] == [4, UNKNOWN, UNKNOWN, UNKNOWN]
    assert 0 < ended.record[COUNTERS[0]] < UNKNOWN
    assert "all" in limited("pids", {"pids.max": "40"}, script.replace("sleep 5", "true"), counters).out


@needs("v1 groups")
def test_memory_limit_kills_and_the_kernel_counts_it() -> None:
    script = "head -c 100M /dev/zero | tail | wc -c"
    counters = [("memory.oom_control", "oom_kill "), ("memory.max_usage_in_bytes", "")]
    ended = limited("memory", {"memory.limit_in_bytes": "16777216"}, script, counters)
    assert ended.record[COUNTERS[0]] >= 1
    assert 8 << 20 < ended.record[COUNTERS[1]] <= 16 << 20
    assert limited("memory", {"memory.limit_in_bytes": "1073741824"}, script, counters).record[COUNTERS[0]] == 0


@needs("v1 groups")
def test_numbers_of_several_devices_are_summed() -> None:
    """`devices.list` has a line for each device, as `io.stat` has: here the numbers are known ahead."""
    op, number = v1("devices")
    lines = [("devices.deny", "a"), ("devices.allow", "c 1:3 rw"), ("devices.allow", "c 1:5 rw"), ("devices.allow", "c 21:7 r")]
    written = [ops.WriteGroup(U32(number), Text(file), Text(text)) for file, text in lines]
    keys = ["1:", "5:", ""]
    read = [ops.ReadCounter(U32(at), U32(number), Text("devices.list"), Text(key), U32(1)) for at, key in enumerate(keys)]
    halved = ops.ReadCounter(U32(3), U32(number), Text("devices.list"), Text("1:"), U32(2))
    inside: list[Op] = [ops.EnterGroups(), ops.BecomeInit()]
    after = [*read, halved, ops.RemoveGroups()]
    ended = launch(plan([op, *written, ops.Start(U64(NEWPID))], inside, shell("true"), after=after))
    assert [ended.record[COUNTERS[at]] for at in range(4)] == [3 + 5, UNKNOWN, UNKNOWN, 4]


@needs("v1 groups")
def test_counter_is_found_by_the_beginning_of_its_word() -> None:
    counters = [("cpu.stat", "nr_"), ("cpu.cfs_quota_us", ""), ("cpu.stat", "nr_periods ")]
    ended = limited("cpu", {"cpu.cfs_quota_us": "50000"}, "true", counters)
    assert [ended.record[COUNTERS[0]], ended.record[COUNTERS[1]]] == [UNKNOWN, 50000]
    assert ended.record[COUNTERS[2]] < UNKNOWN


def test_counter_without_a_place_is_refused() -> None:
    ended = boxed([], "true", after=[ops.ReadCounter(U32(len(COUNTERS)), U32(0), Text("x"), Text(""), U32(1))])
    assert ended.record["after_errno"] == errno.EBADMSG


@needs("group of cpuset", "v1 groups")
def test_v1_group_of_processors_begins_with_those_of_the_group_above() -> None:
    found = this_host().hierarchy_of("cpuset")
    assert found is not None
    start: list[Op] = [ops.Start(U64(NEWPID))]
    inside: list[Op] = [ops.EnterGroups(), ops.BecomeInit()]
    script = shell("grep Cpus_allowed_list /proc/self/status")
    for inherited, error in ((("cpuset.cpus", "cpuset.mems"), 0), ((), errno.ENOSPC), (("cpuset.none",), errno.ENOENT)):
        group = make(found.mount, found.group, "cpuset", 0, inherited)
        one = ops.WriteGroup(U32(found.group), Text("cpuset.cpus"), Text("0"))
        written: list[Op] = [one] if not error else []
        ended = launch(plan([group, *written, *start], inside, script, after=[ops.RemoveGroups()]))
        assert (ended.record["fail_errno"], ended.out.split()[1:]) == (error, [] if error else ["0"])


@needs("v1 groups")
def test_limit_that_the_kernel_refuses_fails_and_leaves_no_group() -> None:
    ended = limited("pids", {"pids.max": "many"}, "echo ran")
    assert (ended.out, ended.record["fail_op"], ended.record["fail_errno"]) == ("", ops.WriteGroup.TAG, errno.EINVAL)
