"""sandboxer where people start it: in containers, on older kernels, where something is missing.

It works, or one message says what stands in the way, why, and what mends it.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.live.around import (
    ENOSYS,
    EPERM,
    MASKED_PROC,
    NEW_MOUNTS,
    READ_ONLY_GROUPS,
    READ_ONLY_SYS,
    ROOTLESS_ID,
    hiding,
    in_container,
    in_rootless_container,
)
from tests.live.boxes import Box, enforced, in_own_mounts
from tests.live.needs import needs

NO_NAMESPACES = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"'


def works(box: Box) -> None:
    assert box.output("sh", "-c", "echo works; ls / > /dev/null") == "works\n"


def refused(box: Box, *what: str) -> str:
    """The run is refused, and says all of this; whatever it says has a reason, and none is a bare error number."""
    said = box.refusal()
    for one in what:
        assert one in said, said
    assert said.count("sandboxer: ") <= said.count("\n  why: ") + said.count("weakened: "), said
    assert "Traceback" not in said
    assert not re.search(r"^\[Errno|Operation not permitted$", said, re.MULTILINE), said
    return said


@needs("root", "userns")
def test_container_as_it_is_started_is_named_with_the_option_that_mends_it(box: Box) -> None:
    box = replace(box, ahead=in_container(box.installation))
    said = refused(box, "a new user namespace", "a system call filter around this process forbids it")
    assert "try: docker run --security-opt seccomp=unconfined" in said


@needs("root", "userns", "every id")
@pytest.mark.parametrize("person", ["caller"], indirect=True)
def test_root_of_a_rootless_container_has_boxes_and_is_told_whose_files_are_not_its_to_map(box: Box) -> None:
    box = replace(box, ahead=in_rootless_container(box.installation))
    mode = box.person.home.stat().st_mode
    box.person.home.chmod(0o755)
    for path in (box.place, *box.place.rglob("*")):
        os.chown(path, ROOTLESS_ID, ROOTLESS_ID)
    refused(box, "cannot be shown as the job's own files", "a rootless container", "ids: {outside: ...}")
    os.chown(box.place, ROOTLESS_ID + 65534, ROOTLESS_ID + 65534)  # who the job is outside, where nobody else can be
    assert box.output("sh", "-c", "echo text > made; id -u; cat made") == "1000\ntext\n"
    box.person.home.chmod(mode)


@needs("root", "userns")
@pytest.mark.parametrize("person", ["ordinary"], indirect=True)
def test_masks_over_proc_are_named(box: Box) -> None:
    box = replace(box, ahead=in_own_mounts(MASKED_PROC))
    refused(box, "a /proc of the box's own cannot be mounted", "mount too revealing", "systempaths=unconfined")
    box.profile("override: [{path: filesystem.proc, value: none, reason: it needs none}]")
    works(box)


@needs("root", "userns")
@pytest.mark.parametrize("person", ["caller"], indirect=True)
def test_masks_over_proc_do_not_keep_root_from_one_of_the_box(box: Box) -> None:
    works(replace(box, ahead=in_own_mounts(MASKED_PROC)))


@needs("root", "userns")
@pytest.mark.parametrize("person", ["ordinary"], indirect=True)
def test_user_namespaces_that_are_forbidden_are_named_with_the_setting(box: Box) -> None:
    box = replace(box, ahead=(*box.person.prefix, "unshare", "--user", "--map-root-user", "sh", "-c", NO_NAMESPACES, "sh"))
    box = replace(box, person=replace(box.person, uid=0))  # in there; no words make it another
    refused(box, "user.max_user_namespaces is 0", "sudo sysctl -w user.max_user_namespaces=")


@needs("root", "userns")
@pytest.mark.parametrize("script", [READ_ONLY_GROUPS, READ_ONLY_SYS + READ_ONLY_GROUPS, "mount -t tmpfs none /sys"])
def test_groups_that_cannot_be_made_weaken_and_are_told(box: Box, script: str) -> None:
    box = replace(box, ahead=in_own_mounts(script))
    box.profile("limits: {memory: 1G, enforce: best_effort}")
    works(box)
    assert "sandboxer: weakened: limits: memory is not limited for the box as a whole" in box.run("true").stderr
    box.profile("limits: {memory: 1G, enforce: required}")
    refused(box, "memory")


@needs("root", "userns")
@pytest.mark.parametrize("person", ["ordinary"], indirect=True)
def test_proc_that_is_not_there_is_named(box: Box) -> None:
    box = replace(box, ahead=in_own_mounts("mount -t tmpfs none /proc"))
    refused(box, "there is no /proc here", "mount -t proc proc /proc")


@needs("root", "userns")
@pytest.mark.parametrize("person", ["caller"], indirect=True)
@pytest.mark.parametrize("answer", [errno.EPERM, errno.EACCES])
def test_pipe_that_root_may_not_give_away_is_written_all_the_same(box: Box, answer: int) -> None:
    """A root without CAP_CHOWN; a security module, where the pipe is of another domain."""
    works(replace(box, ahead=hiding(box.installation, ["fchown"], answer=answer)))


@needs("root", "userns")
def test_kernel_without_landlock_weakens_where_the_profile_lets_it(box: Box) -> None:
    box = replace(box, ahead=hiding(box.installation, ["landlock_create_ruleset"]))
    box.profile("landlock: {enforce: best_effort}")
    works(box)
    assert "sandboxer: weakened: landlock: Landlock cannot be used here" in box.run("true").stderr
    box.profile("landlock: {enforce: required}")
    refused(box, "Landlock cannot be used here")


@needs("root", "userns")
@pytest.mark.parametrize("person", ["ordinary"], indirect=True)
@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["mount_setattr"], "the kernel has no mount_setattr (before 5.12), or a container's filter hides it"),
        (["fsopen"], "the kernel has no fsopen (before 5.2), or a filter hides it"),
        (NEW_MOUNTS, "the kernel has no"),
        (["close_range"], "the kernel has no close_range (before 5.9), or a container's filter hides it"),
        (["seccomp"], "the kernel has no seccomp filters, or a filter around us hides seccomp(2)"),
        (["openat2"], "or a filter hides it"),
    ],
    ids=lambda value: value[0] if isinstance(value, list | tuple) else "",
)
def test_older_kernel_is_named_with_the_first_that_has_it(box: Box, names: Sequence[str], why: str) -> None:
    refused(replace(box, ahead=hiding(box.installation, names)), why)


@needs("root", "userns")
def test_no_limit_depends_on_calls_that_can_be_hidden(box: Box) -> None:
    box = replace(box, ahead=hiding(box.installation, ["pidfd_open", "pidfd_send_signal"]))
    box.profile("limits: {wall: 300ms, grace: 0}")
    done, report = box.told("sleep", "600")
    assert (done.returncode, report["reason"]) == (124, "wall_timeout")
    box.profile("")
    done, report = box.told("true")
    assert done.returncode == 0
    assert enforced(report, "seccomp")


@needs("root", "userns")
def test_settings_of_the_kernel_that_are_read_only_leave_user_namespaces_to_the_filter(box: Box) -> None:
    box = replace(box, ahead=in_own_mounts("mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys"))
    box.profile("override: [{path: filesystem.proc, value: none, reason: what covers it is in the way of one}]")
    works(box)
    assert "sandboxer: weakened: namespaces: more could be made in the box: user" in box.run("true").stderr


KINDS = ("mnt", "pid", "net", "ipc", "uts", "user", "cgroup", "time")
LOOK = f"seen.update((kind, os.readlink(f'/proc/self/ns/{{kind}}')) for kind in {KINDS})"


@needs("root", "userns", "timens")
@pytest.mark.parametrize("answer", [ENOSYS, EPERM])
def test_clone3_that_is_hidden_costs_a_box_nothing(box: Box, answer: int) -> None:
    box = replace(box, ahead=hiding(box.installation, ["clone3"], answer=answer))
    inside = box.look(LOOK)
    assert [kind for kind in KINDS if inside[kind] == os.readlink(f"/proc/self/ns/{kind}")] == []
    box.profile("namespaces: {time_offsets: {boottime: 2h}}")
    seen = box.look("seen.update(boot=time.clock_gettime(time.CLOCK_BOOTTIME))")
    assert 7200 <= seen["boot"] - time.clock_gettime(time.CLOCK_BOOTTIME) + 60 < 7300


@needs("root", "userns", "v2 groups")
@pytest.mark.parametrize("person", ["caller"], indirect=True)
@pytest.mark.parametrize("answer", [ENOSYS, EPERM])
def test_clone3_that_is_hidden_leaves_no_job_outside_of_its_v2_group(box: Box, answer: int) -> None:
    box.profile("namespaces: {cgroup: host}\nlimits: {cpu_time: 1h}")
    plain = box.output("grep", "^0:", "/proc/self/cgroup")
    assert re.search(r"/sandboxer/\d+-\d+-\d+$", plain)
    box = replace(box, ahead=hiding(box.installation, ["clone3"], answer=answer))
    with box.leaves_nothing():
        found = box.output("grep", "^0:", "/proc/self/cgroup")
    assert re.sub(r"\d+", "", found) == re.sub(r"\d+", "", plain)


@needs("root", "userns", "timens")
@pytest.mark.parametrize("person", ["ordinary"], indirect=True)
def test_clone3_that_is_hidden_takes_a_pid_1_of_ours_for_a_new_clock(box: Box) -> None:
    box = replace(box, ahead=hiding(box.installation, ["clone3"]))
    box.profile("process: {init: false}")
    refused(box, "a new time namespace", "a filter around this process hides clone3")
    box.profile("process: {init: false}\nnamespaces: {time: host}")
    works(box)
