"""The box's /dev: few nodes, terminals and shared memory of its own; more only where the profile says so."""

from __future__ import annotations

import os
from dataclasses import replace

from tests.live.boxes import Box, in_own_mounts
from tests.live.needs import needs
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
