"""outside/group.c: the box's control group and its device program, on the real kernel."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandboxer.abi.ebpf import DeviceAccess
from sandboxer.controls.devices.program import Rule, assemble
from sandboxer.controls.devices.settings import READ, WRITE
from sandboxer.launcher.record import COUNTERS, UNKNOWN, Outcome
from sandboxer.model import op as ops
from sandboxer.model.op import U32, U64, Blob, Op, Text, TextList
from tests.launcher.plans import LAUNCHER, NEWPID, Ended, launch, plan, shell
from tests.launcher.test_c_monitor import supervised
from tests.live.needs import needs, this_host

pytestmark = pytest.mark.usefixtures("nothing_left")
NULL, ZERO = (1, 3), (1, 5)
ASK = "for how in '<' '>' '<>'; do (eval \"exec 9$how/dev/null\") 2>&- && echo ok || echo refused; done"


def tree() -> Path:
    """Where the v2 tree is."""
    return Path(next(one.mount for one in this_host().hierarchies if one.is_v2))


def make(
    mount: object = None, number: int = 0, controller: str = "", levels: int = 0, inherited: tuple[str, ...] = ()
) -> ops.MakeGroup:
    """The op; in the v2 tree where nothing is said."""
    path = str(tree() if mount is None else mount)
    return ops.MakeGroup(U32(number), Text(path), Text(controller), U32(levels), TextList(()), TextList(inherited))


def own() -> Path:
    """Our own group there."""
    line = next(line for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
    return tree() / line[4:]


def groups() -> list[str]:
    """The groups of boxes that are there."""
    ours = own() / "sandboxer"
    return sorted(path.name for path in ours.iterdir() if path.is_dir()) if ours.exists() else []


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """No group stays."""
    before = groups()
    yield
    assert [name for name in groups() if name not in before and not is_anothers(name)] == []


def is_anothers(name: str) -> bool:
    """Whether a group belongs to a launcher that lives: tests run side by side."""
    return os.path.exists(f"/proc/{name.partition('-')[0]}")


def allow(*rules: Rule) -> list[Op]:
    """A group with the program of these rules."""
    return [make(), ops.AllowDevices(Blob(assemble(rules)))]


def rule(number: tuple[int, int], access: DeviceAccess) -> Rule:
    return Rule(False, number[0], number[0], number[1], access)


def boxed(before: list[Op], script: str, *, after: list[Op] | None = None) -> Ended:
    """A box that has the whole host: nothing but the program stands in its way."""
    end = [ops.RemoveGroups()] if after is None else after
    return launch(plan([*before, ops.Start(U64(NEWPID))], [ops.BecomeInit()], shell(script), after=end))


@needs("device programs")
@pytest.mark.parametrize(
    ("access", "wanted"), [(READ, "ok refused refused"), (WRITE, "refused ok refused"), (READ | WRITE, "ok ok ok")]
)
def test_device_can_be_opened_in_its_mode_only(access: DeviceAccess, wanted: str) -> None:
    ended = boxed(allow(rule(NULL, access)), ASK)
    assert (ended.out.split(), ended.record["after_step"]) == (wanted.split(), 0)


@needs("device programs")
def test_other_devices_are_refused_whatever_leads_to_them(tmp_path: Path) -> None:
    """Also a node that lies on a mount which gives devices, and one that the job makes with all rights of root."""
    os.mknod(tmp_path / "zero", 0o666 | 0o020000, os.makedev(*ZERO))
    script = f"""
    cat /dev/null && echo null
    head -c 1 /dev/zero || echo zero
    head -c 1 {tmp_path}/zero || echo node
    mknod {tmp_path}/made c 1 3 || echo made
    mknod {tmp_path}/pipe p && echo pipe
    """
    ended = boxed(allow(rule(NULL, READ)), script)
    assert ended.out.split() == ["null", "zero", "node", "made", "pipe"]
    assert ended.err.count("Operation not permitted") == 3


@needs("device programs")
def test_without_a_program_the_group_opens_everything() -> None:
    """The twin; and the group is the box's own."""
    before: list[Op] = [make()]
    ended = boxed(before, "head -c 1 /dev/zero | od -An -tx1; grep ^0: /proc/self/cgroup")
    first, line = ended.out.split()
    assert first == "00"
    assert line.startswith(f"0::/{own().relative_to(tree())}/sandboxer/".replace("/./", "/"))


@needs("device programs")
def test_descriptor_that_is_open_already_is_not_asked_about() -> None:
    """The caller's standard streams work as they are."""
    assert boxed(allow(), "echo out; echo err >&2").out == "out\n"


@needs("device programs")
def test_group_is_removed_when_the_set_up_fails() -> None:
    failing: list[Op] = [ops.OpenDirectory(U32(1), Text("/nope"))]
    assert boxed([*allow(), *failing], "true").record["fail_errno"] == errno.ENOENT


@needs("device programs")
def test_group_is_removed_when_the_box_is_killed() -> None:
    parts = plan(
        [*allow(), ops.Start(U64(NEWPID))], [ops.BecomeInit()], shell("echo ready; sleep 1000"), after=[ops.RemoveGroups()]
    )
    with supervised(parts.bytes()) as one:
        one.read_ready()
        os.write(one.control, b"k")
        assert (one.record()["after_errno"], one.process.returncode) == (0, 137)


@needs("device programs")
def test_many_boxes_at_once_have_a_group_each(tmp_path: Path) -> None:
    file = tmp_path / "plan"
    script = "grep ^0: /proc/self/cgroup; sleep 0.2"
    parts = plan([*allow(), ops.Start(U64(NEWPID))], [ops.BecomeInit()], shell(script), after=[ops.RemoveGroups()])
    file.write_bytes(parts.bytes())
    started = [subprocess.Popen([LAUNCHER, "--plan", file], stdout=subprocess.PIPE, text=True) for _ in range(6)]
    outs = [process.communicate(timeout=30)[0] for process in started]
    assert ([process.returncode for process in started], len(set(outs))) == ([0] * 6, 6)


@needs("device programs")
@pytest.mark.parametrize("program", [b"", bytes(7), bytes(8 * 4097), assemble(())[:-8]], ids=["none", "odd", "long", "endless"])
def test_wrong_program_is_refused_and_the_group_removed(program: bytes) -> None:
    before: list[Op] = [make(), ops.AllowDevices(Blob(program))]
    ended = boxed(before, "echo ran")
    assert (ended.out, ended.record["fail_op"], ended.status) == ("", ops.AllowDevices.TAG, 125)
    assert ended.record["fail_errno"] in (errno.EINVAL, errno.E2BIG, errno.EACCES)


# ── v1, limits and counters ───────────────────────────────────────────────────────────────────────────────────────────


def v1(controller: str) -> tuple[ops.MakeGroup, int]:
    """A group in the v1 hierarchy of a controller, and its number."""
    found = this_host().hierarchy_of(controller)
    assert found is not None
    return make(found.mount, found.group, controller), found.group


def limited(controller: str, limits: dict[str, str], script: str, counters: list[tuple[str, str]] | None = None) -> Ended:
    """A box in a v1 group with these files written."""
    op, number = v1(controller)
    written = [ops.WriteGroup(U32(number), Text(file), Text(text)) for file, text in limits.items()]
    read = [ops.ReadCounter(U32(i), U32(number), Text(file), Text(key), U32(1)) for i, (file, key) in enumerate(counters or [])]
    return launch(
        plan(
            [op, *written, ops.Start(U64(NEWPID))],
            [ops.EnterGroups(), ops.BecomeInit()],
            shell(script),
            after=[*read, ops.RemoveGroups()],
        )
    )


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


@needs("v1 groups")
def test_child_in_a_v1_group_is_gone_with_it_when_the_box_is_killed() -> None:
    op, _ = v1("pids")
    parts = plan(
        [op, ops.Start(U64(NEWPID))],
        [ops.EnterGroups(), ops.BecomeInit()],
        shell("echo ready; sleep 1000"),
        after=[ops.RemoveGroups()],
    )
    with supervised(parts.bytes()) as one:
        one.read_ready()
        os.write(one.control, b"k")
        assert (one.record()["after_errno"], one.process.returncode) == (0, 137)


@needs("v1 groups")
def test_groups_of_killed_launchers_are_removed_and_no_others() -> None:
    op, _ = v1("pids")
    lines = [line.split(":") for line in Path("/proc/self/cgroup").read_text().splitlines()]
    mine = next(path for _, names, path in lines if "pids" in names.split(","))
    ours = Path(op.mount + mine) / "sandboxer"
    here = os.stat("/proc/self/ns/pid").st_ino
    nobody = (1 << 22) + 1  # above the highest pid that there can be
    gone, living, elsewhere = f"{nobody}-{here}-5", f"{os.getpid()}-{here}-5", f"{nobody}-{here + 1}-5"
    for name in (gone, living, elsewhere, "other", f"{nobody}-x-5"):
        (ours / name).mkdir(parents=True, exist_ok=True)
    try:
        assert limited("pids", {}, "true").record["after_errno"] == 0
        left = {path.name for path in ours.iterdir() if path.is_dir()}
        assert left & {gone, living, elsewhere, "other", f"{nobody}-x-5"} == {living, elsewhere, "other", f"{nobody}-x-5"}
    finally:
        for name in (gone, living, elsewhere, "other", f"{nobody}-x-5"):
            if (ours / name).exists():
                (ours / name).rmdir()


@needs("v1 groups", "group of pids", "group of memory")
@pytest.mark.parametrize("is_left_in_pids", [True, False])
def test_groups_of_killed_launchers_are_removed_in_other_hierarchies_too(is_left_in_pids: bool) -> None:
    """Where the one that the box has shows that there are some."""
    trees = {name: this_host().hierarchy_of(name) for name in ("pids", "memory")}
    words = [word for tree in this_host().hierarchies for word in (tree.mount, "" if tree.is_v2 else tree.controllers[0], "0-")]
    op, _ = v1("pids")
    before: list[Op] = [op, ops.Start(U64(NEWPID))]
    inside: list[Op] = [ops.EnterGroups(), ops.BecomeInit()]
    after = [ops.RemoveGroups(), ops.SweepGroups(TextList(tuple(words)))]
    launch(plan(before, inside, shell("true"), after=after))  # there is a group `sandboxer`
    name = f"{gone_pid()}-{os.stat('/proc/self/ns/pid').st_ino}-1"
    made = [
        Path(f"{tree.mount}/{path_in(controller)}/sandboxer/{name}")
        for controller, tree in trees.items()
        if tree and (is_left_in_pids or controller == "memory")
    ]
    for path in made:
        path.mkdir(parents=True)
    try:
        ended = launch(plan(before, inside, shell("true"), after=after))
        assert ended.record["after_errno"] == 0
        assert [path.exists() for path in made] == [not is_left_in_pids] * len(made)
    finally:
        for path in made:
            if path.exists():
                path.rmdir()


def gone_pid() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def path_in(controller: str) -> str:
    """Our own group in a hierarchy of v1."""
    lines = (line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines())
    return next(path for _, names, path in lines if controller in names.split(",")).strip("/")


def arm(
    limit_us: int = 0, idle_ms: int = 0, grace_ms: int = 0, group: int = 0, divisor: int = 1, signal: int = 15
) -> ops.ArmCpuClock:
    counter = U32(group), Text("cpu.stat"), Text("usage_usec "), U32(divisor)
    return ops.ArmCpuClock(*counter, U64(limit_us), U64(idle_ms), U64(grace_ms), U32(signal))


@needs("device programs")  # which need the v2 tree
@pytest.mark.parametrize(
    ("clock", "script", "outcome"),
    [
        (arm(limit_us=300_000), "while :; do :; done", Outcome.CPU_TIMEOUT),
        (arm(limit_us=300_000, grace_ms=5000), "trap 'exit 3' XCPU; while :; do :; done", Outcome.CPU_TIMEOUT),
        (arm(idle_ms=300), "sleep 1000", Outcome.IDLE_TIMEOUT),
        (arm(idle_ms=300, grace_ms=5000), "sleep 1000", Outcome.IDLE_TIMEOUT),
        (arm(limit_us=60_000_000, idle_ms=60_000), "exit 0", Outcome.EXITED),
    ],
    ids=["cpu", "cpu-grace", "idle", "idle-grace", "neither"],
)
def test_cpu_clock_ends_the_box(clock: ops.ArmCpuClock, script: str, outcome: int) -> None:
    assert boxed([make(), clock], script).record["outcome"] == outcome


@needs("device programs")
def test_cpu_clock_without_a_counter_never_ends_anything() -> None:
    clock = ops.ArmCpuClock(U32(0), Text("no.such"), Text(""), U32(1), U64(1), U64(1), U64(0), U32(15))
    assert boxed([make(), clock], "sleep 0.2").record["outcome"] == Outcome.EXITED


@pytest.mark.parametrize(
    ("clock", "error"),
    [
        (arm(), errno.EINVAL),
        (arm(limit_us=1 << 63), errno.EINVAL),
        (arm(idle_ms=1 << 50), errno.EINVAL),
        (arm(idle_ms=1, signal=0), errno.EINVAL),
        (arm(idle_ms=1, signal=65), errno.EINVAL),
        (arm(limit_us=1, divisor=0), errno.EBADMSG),
        (arm(limit_us=1, group=16), errno.EBADMSG),
    ],
    ids=["nothing", "limit", "idle", "no-signal", "signal", "divisor", "group"],
)
def test_cpu_clock_that_makes_no_sense_is_refused(clock: ops.ArmCpuClock, error: int) -> None:
    assert boxed([clock], "echo ran").record["fail_errno"] == error


def test_groups_are_numbered_as_the_plan_says() -> None:
    """A group of v1 is never number 0, there are 16, none twice, and none is written that was not made."""
    for wrong in (make("/", 0, "pids"), make("/", 1), make("/", 16, "pids"), ops.WriteGroup(U32(0), Text("x"), Text("y"))):
        assert boxed([wrong], "echo ran").record["fail_errno"] == errno.EBADMSG
    if any(tree.is_v2 for tree in this_host().hierarchies):
        assert boxed([make(), make()], "echo ran").record["fail_errno"] == errno.EEXIST
        unmade = [make(), ops.WriteGroup(U32(3), Text("x"), Text("y"))]
        assert boxed(unmade, "echo ran").record["fail_errno"] == errno.EBADF


def test_level_above_the_top_is_refused() -> None:
    if any(tree.is_v2 for tree in this_host().hierarchies):
        assert boxed([make(None, 0, "", 99)], "echo ran").record["fail_errno"] == errno.ENOENT


def test_counter_without_a_place_is_refused() -> None:
    ended = boxed([], "true", after=[ops.ReadCounter(U32(len(COUNTERS)), U32(0), Text("x"), Text(""), U32(1))])
    assert ended.record["after_errno"] == errno.EBADMSG


def test_group_where_no_hierarchy_is_fails(tmp_path: Path) -> None:
    ended = boxed([make(tmp_path / "nope")], "echo ran")
    assert (ended.out, ended.record["fail_errno"], ended.record["after_errno"]) == ("", errno.ENOENT, 0)


@pytest.mark.parametrize("late", [[make("/")], [ops.AllowDevices(Blob(bytes(8)))]])
def test_group_after_the_start_is_refused_by_the_reader(late: list[Op]) -> None:
    ended = launch(plan([ops.Start(U64(NEWPID)), *late], [ops.BecomeInit()], shell("echo ran")))
    assert (ended.out, ended.record["fail_errno"]) == ("", errno.EBADMSG)


def test_program_without_a_group_is_refused_by_the_reader() -> None:
    assert boxed([ops.AllowDevices(Blob(bytes(8)))], "echo ran").record["fail_errno"] == errno.EBADMSG


def test_nothing_to_remove_is_no_fault() -> None:
    assert boxed([], "true").record["after_errno"] == 0


# ── a group of the job's own below that of the box ────────────────────────────────────────────────────────────────────


def delegated(script: str, *, uid: int = 65534, after: list[Op] | None = None) -> Ended:
    """A box that is born in such a group. The host's trees are all there: what is the job's is told by its owner."""
    return boxed([make(), ops.DelegateGroup(U32(uid), U32(uid), TextList(()))], script, after=after)


HERE = "cd {tree}$(sed -n s/^0:://p /proc/self/cgroup)"


@needs("device programs")
def test_child_is_born_in_a_group_that_is_the_jobs() -> None:
    script = (
        HERE.format(tree=tree())
        + " && pwd && stat -c %u . cgroup.procs cgroup.threads cgroup.subtree_control cgroup.freeze ../cgroup.procs"
    )
    path, *owners = delegated(script).out.split()
    assert path.endswith("/job")
    assert owners == ["65534"] * 4 + ["0"] * 2


@needs("device programs")
def test_groups_that_the_job_made_are_removed_with_it() -> None:
    ended = delegated(
        HERE.format(tree=tree())
        + " && mkdir -p a/b/c/d 'odd name/x' .hidden/.deep ...x && for n in $(seq 80); do mkdir n$n; done; echo made"
    )
    assert (ended.out, ended.record["after_errno"]) == ("made\n", 0)


@needs("device programs")
def test_delegation_without_a_group_or_to_nobody_is_refused() -> None:
    lone = launch(plan([ops.DelegateGroup(U32(0), U32(0), TextList(())), ops.Start(U64(0))], [], shell("echo ran")))
    assert (lone.out, lone.record["fail_errno"]) == ("", errno.EBADF)
    wrong = boxed([make(), ops.DelegateGroup(U32(0), U32(0), TextList(("+nothing",)))], "echo ran")
    assert (wrong.out, wrong.record["fail_errno"], wrong.record["after_errno"]) == ("", errno.EINVAL, 0)
