"""outside/device.c: the device program of the box's control group, on the real kernel."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from sandboxer.abi.ebpf import DeviceAccess
from sandboxer.controls.devices.program import Rule, assemble
from sandboxer.controls.devices.settings import READ, WRITE
from sandboxer.model import op as ops
from sandboxer.model.op import Blob, Op
from tests.launcher.groups import allow, boxed, make, nothing_left, own, tree
from tests.live.needs import needs

__all__ = ["nothing_left"]

pytestmark = pytest.mark.usefixtures("nothing_left")
NULL, ZERO = (1, 3), (1, 5)
ASK = "for how in '<' '>' '<>'; do (eval \"exec 9$how/dev/null\") 2>&- && echo ok || echo refused; done"


def rule(number: tuple[int, int], access: DeviceAccess) -> Rule:
    return Rule(False, number[0], number[0], number[1], access)


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
@pytest.mark.parametrize("program", [b"", bytes(7), bytes(8 * 4097), assemble(())[:-8]], ids=["none", "odd", "long", "endless"])
def test_wrong_program_is_refused_and_the_group_removed(program: bytes) -> None:
    before: list[Op] = [make(), ops.AllowDevices(Blob(program))]
    ended = boxed(before, "echo ran")
    assert (ended.out, ended.record["fail_op"], ended.status) == ("", ops.AllowDevices.TAG, 125)
    assert ended.record["fail_errno"] in (errno.EINVAL, errno.E2BIG, errno.EACCES)


def test_program_without_a_group_is_refused_by_the_reader() -> None:
    assert boxed([ops.AllowDevices(Blob(bytes(8)))], "echo ran").record["fail_errno"] == errno.EBADMSG
