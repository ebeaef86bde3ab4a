"""Where a box runs, how it shares processors and disks with others, how large its own file systems are; each with its twin."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.boxes import Box
from tests.live.needs import give_up, needs, this_host
from tests.live.test_group_limits import files_of_group

WHERE = """
seen["first"] = sorted(os.sched_getaffinity(0))
try:
    os.sched_setaffinity(0, range(8192))
except OSError as error:
    seen["error"] = error.errno
seen["then"] = sorted(os.sched_getaffinity(0))
"""
HOW = """
seen["policy"], seen["niceness"] = os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)
try:
    os.setpriority(os.PRIO_PROCESS, 0, seen["niceness"] - 1)
except OSError as error:
    seen["back"] = error.errno
"""
FILL = """
try:
    with open({path!r}, "wb") as file:
        while True:
            file.write(bytes(65536))
except OSError as error:
    seen["error"] = error.errno
os._exit({status})
"""


# ── processors ────────────────────────────────────────────────────────────────────────────────────────────────────────


@needs("group of cpuset")
def test_box_runs_on_its_processors_and_takes_no_others(grouped: Box) -> None:
    own = sorted(os.sched_getaffinity(0))
    grouped.profile(f"limits: {{cpuset: {own[-1]}}}")
    seen = grouped.look(WHERE)
    assert (seen["first"], seen["then"]) == ([own[-1]], [own[-1]])
    grouped.profile(f"limits: {{cpuset: '{own[0]}-{own[-1]}'}}")
    assert grouped.look(WHERE)["then"] == own


@needs("group of cpuset")
def test_processors_that_the_caller_has_not_are_refused(grouped: Box) -> None:
    grouped.profile("limits: {cpuset: 8000}")
    assert "the caller can run on none of these processors" in grouped.refusal()
    grouped.profile("limits: {cpuset: '0,8000'}") if 0 in os.sched_getaffinity(0) else None
    done, report = grouped.told("true")
    assert done.returncode == 0
    assert any(line["what"].startswith("cpuset: 0, for the whole box") for line in report["enforcement"])


def test_box_gives_way_and_cannot_take_it_back(box: Box) -> None:
    box.profile("limits: {scheduler: idle, niceness: 7}")
    assert box.look(HOW) == {"policy": os.SCHED_IDLE, "niceness": 7, "back": 13}
    box.profile("limits: {scheduler: batch}")
    assert box.look(HOW)["policy"] == os.SCHED_BATCH
    box.profile("")
    seen = box.look(HOW)
    assert (seen["policy"], seen["niceness"]) == (os.SCHED_OTHER, os.getpriority(os.PRIO_PROCESS, 0))


# ── disks ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def shared_disk(tmp_path: Path) -> Iterator[str]:
    """A disk of the test's own that the kernel shares by weight; its group file."""
    if os.geteuid() != 0:
        give_up("only root can make a disk")
    image = tmp_path / "image"
    image.write_bytes(b"")
    os.truncate(image, 1 << 20)
    made = subprocess.run(["losetup", "--find", "--show", str(image)], capture_output=True, text=True, check=False)
    if made.returncode:
        give_up(f"no loop device can be had: {made.stderr.strip()}")
    device = made.stdout.strip()
    queue = Path("/sys/block", os.path.basename(device), "queue/scheduler")
    try:
        queue.write_text("bfq")
        yield "io.bfq.weight" if this_host().hierarchy_of("io") else "blkio.bfq.weight"
    finally:
        queue.write_text("none")
        subprocess.run(["losetup", "--detach", device], check=True)


@needs("group of io", "a disk scheduler bfq")
def test_box_has_its_share_of_disks(grouped: Box, shared_disk: str) -> None:
    controller = "io" if this_host().hierarchy_of("io") else "blkio"
    grouped.profile("limits: {io_weight: 30}")
    (shown,) = files_of_group(grouped, controller, shared_disk).values()
    assert shown.split()[-1] == "30"
    grouped.profile("limits: {io_read: 1G}")
    (shown,) = files_of_group(grouped, controller, shared_disk).values()
    assert shown.split()[-1] == "100"


@needs("group of io")
def test_share_of_disks_without_a_disk_that_is_shared_is_refused(grouped: Box) -> None:
    if this_host().io_weights:
        give_up("a disk here is shared by weight")
    grouped.profile("limits: {io_weight: 30}")
    message = grouped.refusal()
    assert "no disk here is shared by weight" in message
    assert "queue/scheduler" in message


# ── the box's own file systems ────────────────────────────────────────────────────────────────────────────────────────

OWN = "devices: {dev: minimal}\nfilesystem: {tmpfs: [/tmp, {path: /scratch, size: 128K}], overlay: ['${cwd}/over']}\n"


@needs("overlay")
@pytest.mark.parametrize("path", ["/tmp/x", "/dev/shm/x", "over/x"])
def test_box_that_fills_its_own_disk_is_told_so(box: Box, path: str) -> None:
    box.directory("over")
    box.profile(OWN + "limits: {disk: 1M}")
    done, report = box.told(*box.python(FILL.format(path=path, status=3)))
    where = str(box.place / "over") if path.startswith("over") else os.path.dirname(path)
    assert (done.returncode, report["reason"]) == (3, "disk_quota")
    assert report["detail"] == f"the box's own file system {where} was full"
    assert (1 << 20) * 0.9 < report["usage"]["disk_bytes"] <= 1 << 20
    done, report = box.told(*box.python(FILL.format(path=path, status=0)))
    assert (done.returncode, report["reason"]) == (0, "exited")


def test_disk_that_is_not_full_is_no_reason(box: Box) -> None:
    box.profile("filesystem: {tmpfs: [/tmp]}\nlimits: {disk: 1M}")
    done, report = box.told(*box.python("write('/tmp/x', 'x' * 100000); os._exit(3)"))
    assert (done.returncode, report["reason"], report["usage"]["disk_bytes"]) == (3, "exited", 102400)


def test_smaller_size_of_a_file_system_holds_and_is_the_reason(box: Box) -> None:
    box.profile("filesystem: {tmpfs: [{path: /scratch, size: 128K}]}\nlimits: {disk: 1M}")
    _, report = box.told(*box.python(FILL.format(path="/scratch/x", status=1)))
    assert (report["reason"], report["usage"]["disk_bytes"]) == ("disk_quota", 131072)
    assert "/scratch was full" in report["detail"]


def test_file_that_does_not_fit_is_whole_up_to_there(box: Box) -> None:
    box.profile("filesystem: {tmpfs: [/tmp]}\nlimits: {disk: 256K}")
    done = box.run("sh", "-c", "yes > /tmp/x; stat -c %s /tmp/x")
    assert done.stdout == "262144\n"
