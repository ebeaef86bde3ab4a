"""outside/group.c: the box's control group, made, entered and removed, on the real kernel."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest

from sandboxer.model import op as ops
from sandboxer.model.op import U32, U64, Blob, Op, Text, TextList
from tests.launcher.groups import allow, boxed, limited, make, nothing_left, tree, v1
from tests.launcher.plans import LAUNCHER, NEWPID, Ended, launch, plan, shell
from tests.launcher.test_c_monitor import supervised
from tests.live.needs import needs, this_host

__all__ = ["nothing_left"]

pytestmark = pytest.mark.usefixtures("nothing_left")


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


@needs("device programs")
def test_many_boxes_at_once_have_a_group_each(tmp_path: Path) -> None:
    file = tmp_path / "plan"
    script = "grep ^0: /proc/self/cgroup; sleep 0.2"
    parts = plan([*allow(), ops.Start(U64(NEWPID))], [ops.BecomeInit()], shell(script), after=[ops.RemoveGroups()])
    file.write_bytes(parts.bytes())
    started = [subprocess.Popen([LAUNCHER, "--plan", file], stdout=subprocess.PIPE, text=True) for _ in range(6)]
    outs = [process.communicate(timeout=30)[0] for process in started]
    assert ([process.returncode for process in started], len(set(outs))) == ([0] * 6, 6)


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


def test_group_where_no_hierarchy_is_fails(tmp_path: Path) -> None:
    ended = boxed([make(tmp_path / "nope")], "echo ran")
    assert (ended.out, ended.record["fail_errno"], ended.record["after_errno"]) == ("", errno.ENOENT, 0)


@pytest.mark.parametrize("late", [[make("/")], [ops.AllowDevices(Blob(bytes(8)))]])
def test_group_after_the_start_is_refused_by_the_reader(late: list[Op]) -> None:
    ended = launch(plan([ops.Start(U64(NEWPID)), *late], [ops.BecomeInit()], shell("echo ran")))
    assert (ended.out, ended.record["fail_errno"]) == ("", errno.EBADMSG)


def test_nothing_to_remove_is_no_fault() -> None:
    assert boxed([], "true").record["after_errno"] == 0


# ── groups of launchers that were killed ──────────────────────────────────────────────────────────────────────────────


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
