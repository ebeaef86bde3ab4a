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
from sandboxer.model import op as ops
from sandboxer.model.op import U64, Blob, Op, Text
from tests.launcher.plans import LAUNCHER, NEWPID, Ended, launch, plan, shell
from tests.launcher.test_c_monitor import supervised
from tests.live.needs import needs, this_host

pytestmark = pytest.mark.usefixtures("nothing_left")
NULL, ZERO = (1, 3), (1, 5)
ASK = "for how in '<' '>' '<>'; do (eval \"exec 9$how/dev/null\") 2>&- && echo ok || echo refused; done"


def tree() -> Path:
    """Where the v2 tree is."""
    return Path(this_host().device_groups)


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
    return [ops.MakeGroup(Text(str(tree()))), ops.AllowDevices(Blob(assemble(rules)))]


def rule(number: tuple[int, int], access: DeviceAccess) -> Rule:
    return Rule(False, number[0], number[0], number[1], access)


def boxed(before: list[Op], script: str, *, after: list[Op] | None = None) -> Ended:
    """A box that has the whole host: nothing but the program stands in its way."""
    end = [ops.RemoveGroup()] if after is None else after
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
    before: list[Op] = [ops.MakeGroup(Text(str(tree())))]
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
    failing: list[Op] = [ops.OpenDirectory(ops.U32(1), Text("/nope"))]
    assert boxed([*allow(), *failing], "true").record["fail_errno"] == errno.ENOENT


@needs("device programs")
def test_group_is_removed_when_the_box_is_killed() -> None:
    parts = plan(
        [*allow(), ops.Start(U64(NEWPID))], [ops.BecomeInit()], shell("echo ready; sleep 1000"), after=[ops.RemoveGroup()]
    )
    with supervised(parts.bytes()) as one:
        one.read_ready()
        os.write(one.control, b"k")
        assert (one.record()["after_errno"], one.process.returncode) == (0, 137)


@needs("device programs")
def test_many_boxes_at_once_have_a_group_each(tmp_path: Path) -> None:
    file = tmp_path / "plan"
    script = "grep ^0: /proc/self/cgroup; sleep 0.2"
    parts = plan([*allow(), ops.Start(U64(NEWPID))], [ops.BecomeInit()], shell(script), after=[ops.RemoveGroup()])
    file.write_bytes(parts.bytes())
    started = [subprocess.Popen([LAUNCHER, "--plan", file], stdout=subprocess.PIPE, text=True) for _ in range(6)]
    outs = [process.communicate(timeout=30)[0] for process in started]
    assert ([process.returncode for process in started], len(set(outs))) == ([0] * 6, 6)


@needs("device programs")
@pytest.mark.parametrize("program", [b"", bytes(7), bytes(8 * 4097), assemble(())[:-8]], ids=["none", "odd", "long", "endless"])
def test_wrong_program_is_refused_and_the_group_removed(program: bytes) -> None:
    before: list[Op] = [ops.MakeGroup(Text(str(tree()))), ops.AllowDevices(Blob(program))]
    ended = boxed(before, "echo ran")
    assert (ended.out, ended.record["fail_op"], ended.status) == ("", ops.AllowDevices.TAG, 125)
    assert ended.record["fail_errno"] in (errno.EINVAL, errno.E2BIG, errno.EACCES)


def test_group_where_no_hierarchy_is_fails(tmp_path: Path) -> None:
    ended = boxed([ops.MakeGroup(Text(str(tmp_path / "nope")))], "echo ran")
    assert (ended.out, ended.record["fail_errno"], ended.record["after_errno"]) == ("", errno.ENOENT, 0)


@pytest.mark.parametrize("late", [[ops.MakeGroup(Text("/"))], [ops.AllowDevices(Blob(bytes(8)))]])
def test_group_after_the_start_is_refused_by_the_reader(late: list[Op]) -> None:
    ended = launch(plan([ops.Start(U64(NEWPID)), *late], [ops.BecomeInit()], shell("echo ran")))
    assert (ended.out, ended.record["fail_errno"]) == ("", errno.EBADMSG)


def test_program_without_a_group_is_refused_by_the_reader() -> None:
    assert boxed([ops.AllowDevices(Blob(bytes(8)))], "echo ran").record["fail_errno"] == errno.EBADMSG


def test_nothing_to_remove_is_no_fault() -> None:
    assert boxed([], "true").record["after_errno"] == 0
