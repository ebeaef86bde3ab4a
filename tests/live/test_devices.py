"""The box's /dev: few nodes, terminals and shared memory of its own; more only where the profile says so."""

from __future__ import annotations

import os
import stat
from dataclasses import replace

import pytest

from tests.live.boxes import Box, in_own_mounts
from tests.live.needs import needs, this_host
from tests.live.users import Installation, Person

PLAIN = ("filesystem/runtime", "filesystem/proc", "syscalls/application", "filesystem/project-write")
NODES = ["fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero"]


def test_minimal_dev_has_these_and_they_work(box: Box) -> None:
    seen = box.look("""
seen["names"] = sorted(os.listdir("/dev"))
seen["kinds"] = [stat.S_ISCHR(os.stat(f"/dev/{name}").st_mode) for name in ("null", "zero", "full", "random", "urandom", "tty")]
with open("/dev/zero", "rb") as zero, open("/dev/urandom", "rb") as random:
    seen["bytes"] = [zero.read(4).hex(), len(random.read(8))]
seen["write"] = [attempt(write, "/dev/null"), attempt(write, "/dev/full")]
seen["links"] = [os.readlink(f"/dev/{name}") for name in ("stdin", "stdout", "stderr", "fd", "ptmx")]
seen["shm"] = attempt(write, "/dev/shm/file")
seen["pty"] = [os.ttyname(fd) for fd in os.openpty()[1:]]
seen["flags"] = {name: mounts()[f"/dev/{name}"] for name in ("pts", "shm")}
""")
    assert seen.pop("names") == NODES
    assert seen.pop("flags") == {
        "pts": [["noexec", "nosuid", "rw"], "devpts"], "shm": [["nodev", "noexec", "nosuid", "rw"], "tmpfs"],
    }  # fmt: skip
    assert seen == {
        "kinds": [True] * 6, "bytes": ["00000000", 8], "write": ["ok", "ENOSPC"], "shm": "ok", "pty": ["/dev/pts/0"],
        "links": ["/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2", "/proc/self/fd", "pts/ptmx"],
    }  # fmt: skip


def test_terminals_of_the_host_are_not_among_those_of_the_box(box: Box) -> None:
    first, second = os.openpty()
    try:
        assert os.ttyname(second).startswith("/dev/pts/")
        seen = box.look("seen.update(names=os.listdir('/dev/pts'))")
    finally:
        os.close(first)
        os.close(second)
    assert seen == {"names": ["ptmx"]}


def test_job_cannot_make_devices_and_can_make_pipes(box: Box) -> None:
    seen = box.look("""
number = os.makedev(1, 3)
seen["node"] = attempt(os.mknod, "/tmp/null", 0o666 | stat.S_IFCHR, number)
seen["block"] = attempt(os.mknod, "disk", 0o666 | stat.S_IFBLK, number)
seen.update(pipe=attempt(os.mkfifo, "/tmp/pipe"), file=attempt(os.mknod, "/tmp/file", 0o600 | stat.S_IFREG))
seen.update(dev=[attempt(write, "/dev/new"), attempt(os.unlink, "/dev/null"), attempt(os.rename, "/dev/null", "/dev/zero")])
""")
    assert seen == {"node": "EPERM", "block": "EPERM", "pipe": "ok", "file": "ok", "dev": ["EROFS", "EROFS", "EROFS"]}


def test_shared_memory_is_no_larger_than_said(box: Box) -> None:
    box.profile("devices: {shm_size: 1M}")
    seen = box.look("""
seen.update(small=attempt(write, "/dev/shm/a", "x" * 800_000), large=attempt(write, "/dev/shm/b", "x" * 800_000))
""")
    assert seen == {"small": "ok", "large": "ENOSPC"}


def test_without_devices_there_is_no_dev(box: Box) -> None:
    box.profile(policies=PLAIN)
    assert box.look("seen['dev'] = os.path.exists('/dev')") == {"dev": False}


@needs("root")
def test_further_device_is_there_only_where_it_is_allowed(box: Box) -> None:
    look = (
        "seen['read'] = attempt(read, '/dev/kmsg') if not os.path.exists('/dev/kmsg') else open('/dev/kmsg', 'rb').read(2).hex()"
    )
    box = replace(box, ahead=in_own_mounts("mount --bind /dev/zero /dev/kmsg"))
    assert box.look(look) == {"read": "ENOENT"}
    box.profile("devices: {allow: [/dev/kmsg, /dev/nothing-of-that-name?]}")
    assert box.look(look) == {"read": "0000"}


@needs("root")
def test_device_that_the_job_could_not_open_is_refused_to_root(caller: Person, installation: Installation) -> None:
    box = Box(caller, installation, caller.directory(f"work-{os.urandom(4).hex()}"))
    box.profile("devices: {allow: [/dev/console]}")
    assert "the job could not open /dev/console" in box.refusal()


def test_further_device_that_is_missing_is_refused(box: Box) -> None:
    box.profile("devices: {allow: [/dev/nothing-of-that-name]}")
    assert "/dev/nothing-of-that-name does not exist" in box.refusal()


# ── modes, and the program behind the mounts ──────────────────────────────────────────────────────────────────────────


OPEN = """
for name, flags in (("r", os.O_RDONLY), ("w", os.O_WRONLY), ("rw", os.O_RDWR)):
    seen[name] = attempt(os.open, "/dev/kmsg", flags)
"""


def given(box: Box, mode: str, more: str = "") -> Box:
    """A box whose only device is /dev/zero, in a mode, under the name of one that every host has."""
    box.profile(f"devices: {{allow: [{{path: /dev/kmsg, mode: {mode}}}]{more}}}", policies=PLAIN)
    return replace(box, ahead=in_own_mounts("mount --bind /dev/zero /dev/kmsg"))


@needs("device programs")
@pytest.mark.parametrize("mode", ["r", "w", "rw"])
def test_device_is_open_to_what_the_mode_says(caller: Person, installation: Installation, mode: str) -> None:
    box = given(Box(caller, installation, caller.directory(f"work-{os.urandom(4).hex()}")), mode)
    box.profile(f"devices: {{allow: [{{path: /dev/kmsg, mode: {mode}}}]}}", policies=PLAIN)
    assert box.look(OPEN) == {
        name: "ok" if name in (mode, *mode) and len(name) <= len(mode) else "EPERM" for name in ("r", "w", "rw")
    }


@needs("v1 groups")
@pytest.mark.parametrize("mode", ["r", "w", "rw"])
def test_mode_holds_by_the_list_of_v1_where_there_is_no_v2_tree(caller: Person, installation: Installation, mode: str) -> None:
    box = Box(caller, installation, caller.directory(f"work-{os.urandom(4).hex()}"))
    box = replace(box, ahead=in_own_mounts("mount --bind /dev/zero /dev/kmsg; umount -a -t cgroup2"))
    box.profile(f"devices: {{allow: [{{path: /dev/kmsg, mode: {mode}}}]}}", policies=PLAIN)
    seen, report = box.look(OPEN), box.told("true")[1]
    assert seen == {name: "ok" if name in (mode, *mode) and len(name) <= len(mode) else "EPERM" for name in ("r", "w", "rw")}
    (line,) = [line["what"] for line in report["enforcement"] if line["control"] == "devices"]
    assert line.endswith("a device list refuses every other one, whatever leads to it")


@needs("root")
def test_mode_is_refused_to_an_ordinary_user_and_reported_where_that_is_allowed(
    ordinary: Person, installation: Installation
) -> None:
    box = given(Box(ordinary, installation, ordinary.directory(f"work-{os.urandom(4).hex()}")), "r")
    assert "/dev/kmsg cannot be limited to mode r" in box.refusal()
    box = given(box, "r", ", enforce: best_effort")
    done, report = box.told("true")
    assert done.returncode == 0
    (lost,) = [line["lost"] for line in report["enforcement"] if line["control"] == "devices" and line["status"] == "weakened"]
    assert lost == "/dev/kmsg can be written too"


@pytest.mark.parametrize("further", [False, True], ids=["minimal", "further"])
def test_report_says_which_walls_hold(box: Box, further: bool) -> None:
    if further:
        box = given(box, "rw")
    _, report = box.told("true")
    (line,) = [line for line in report["enforcement"] if line["control"] == "devices" and line["status"] == "enforced"]
    has_program = further and not this_host().device_program_problem and box.person.uid == 0
    assert line["what"].endswith("refuses every other one, whatever leads to it" if has_program else "its mounts alone hold that")


# ── mknod, with everything that a profile can give to it ──────────────────────────────────────────────────────────────

WIDE = """
landlock: {unhandled: [filesystem]}
ids: {user: 0, group: 0}
capabilities: {keep: [mknod, sys_admin, dac_override, fowner], ambient: [mknod, sys_admin, dac_override, fowner]}
seccomp: {allow: [mknod, mknodat, mount, umount2, unshare, mount_setattr, open_tree, move_mount, fsopen, fsconfig, fsmount]}
"""
MAKE = """
places = ["/tmp", os.getcwd(), "/dev/shm", "over"]
kinds = {
    "null": (stat.S_IFCHR, 1, 3), "memory": (stat.S_IFCHR, 1, 1), "disk": (stat.S_IFBLK, 8, 0), "no-block": (stat.S_IFBLK, 0, 0),
}
for name, (kind, major, minor) in kinds.items():
    made = [attempt(os.mknod, f"{place}/{name}", 0o666 | kind, os.makedev(major, minor)) for place in places]
    there = [os.open(place, os.O_PATH) for place in places]
    made += [attempt(lambda: os.mknod(f"{name}-at", 0o666 | kind, os.makedev(major, minor), dir_fd=fd)) for fd in there]
    seen[name] = sorted(set(made))
seen["pipes"] = [attempt(os.mkfifo, f"{place}/pipe") for place in places]
"""


@needs("overlay")
def test_root_of_the_box_with_all_it_can_have_makes_no_node(box: Box) -> None:
    """Two walls: the user namespace, where no id is root of the machine, and the program, where root starts the box."""
    box.directory("over")
    box.profile(WIDE + "filesystem: {overlay: ['${cwd}/over']}\n")
    seen = box.look(MAKE)
    assert seen == {"null": ["EPERM"], "memory": ["EPERM"], "disk": ["EPERM"], "no-block": ["EPERM"], "pipes": ["ok"] * 4}


@needs("overlay", "landlock>=1")
def test_landlock_refuses_every_node_ahead_of_the_others(box: Box) -> None:
    """A third wall, where the kernel has it. Not every kernel holds a whiteout for a device there; see the next test."""
    box.directory("over")
    box.profile(WIDE.replace("unhandled: [filesystem]", "") + "filesystem: {overlay: ['${cwd}/over']}\n")
    seen = box.look(MAKE + "seen['whiteout'] = attempt(os.mknod, '/tmp/none', 0o666 | stat.S_IFCHR, 0)")
    assert seen.pop("pipes") == ["ok"] * 4
    assert seen.pop("whiteout") in ("EACCES", "ok")
    assert set(map(str, seen.values())) == {"['EACCES']"}


@needs("overlay")
def test_whiteout_is_the_one_node_that_can_be_made_and_it_leads_nowhere(box: Box) -> None:
    """A character device 0:0 needs no right: overlays of ordinary users live on it. include/linux/fs.h, WHITEOUT_DEV."""
    box.directory("over")
    box.profile(WIDE + "filesystem: {overlay: ['${cwd}/over']}\n")
    seen = box.look("""
for place in ("/tmp", "over", "/dev/shm"):
    made = attempt(os.mknod, f"{place}/none", 0o666 | stat.S_IFCHR, 0)
    seen[place] = [made, attempt(read, f"{place}/none")]
""")
    assert {tuple(found) for place, found in seen.items() if place != "over"} == {("ok", "EACCES")}
    assert seen["over"][1] in ("EACCES", "ENOENT", "ENXIO")


def test_mounts_of_the_job_give_no_devices(box: Box) -> None:
    """In a namespace of its own root of the box may mount: a tmpfs, in which it can make no node. Where root starts the box, the
    flags of the mounts are locked; an ordinary user's box has made them itself, and a job with CAP_SYS_ADMIN may change them."""
    box.profile(WIDE)
    seen = box.look("""
NEWUSER, NEWNS, BIND, REMOUNT, NOSUID, NOEXEC = 0x10000000, 0x20000, 4096, 32, 2, 8
def mount(source, target, kind, flags):
    if libc.mount(source, target, kind, ctypes.c_ulong(flags), None):
        raise OSError(ctypes.get_errno(), "")
os.mkdir("/tmp/mine")
seen["unshare"] = raw(272, NEWNS)
seen["tmpfs"] = attempt(mount, b"tmpfs", b"/tmp/mine", b"tmpfs", 0)
seen["node"] = attempt(os.mknod, "/tmp/mine/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
seen["devtmpfs"] = attempt(mount, b"dev", b"/tmp/mine", b"devtmpfs", 0)
seen["remount"] = attempt(mount, None, os.getcwd().encode(), None, BIND | REMOUNT | NOSUID | NOEXEC)
""")
    locked = "EPERM" if box.person.uid == 0 else "ok"
    assert seen == {"unshare": 0, "tmpfs": "ok", "node": "EPERM", "devtmpfs": "EPERM", "remount": locked}


@needs("root")
@pytest.mark.parametrize("text", ["", WIDE], ids=["plain", "wide"])
def test_node_that_lies_in_a_granted_tree_is_not_opened(box: Box, text: str) -> None:
    """Somebody with the right to do that put it there. The twin is the box's own."""
    os.mknod(box.place / "zero", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    (box.place / "zero").chmod(0o666)
    box.profile(text)
    seen = box.look("seen.update(there=attempt(os.open, 'zero', os.O_RDONLY), own=attempt(os.open, '/dev/zero', os.O_RDONLY))")
    assert seen == {"there": "EACCES", "own": "ok"}


def test_owner_of_a_node_cannot_change_it_through_the_box(box: Box) -> None:
    """Its mount is read-only, which takes nothing from the device itself."""
    seen = box.look("""
seen.update(mode=attempt(os.chmod, "/dev/null", 0o600), time=attempt(os.utime, "/dev/null"), write=attempt(write, "/dev/null"))
""")
    assert seen["mode"] in ("EROFS", "EPERM")
    assert (seen["time"], seen["write"]) == ("EROFS", "ok")
