"""Namespaces as the job meets them: its own, the host's where a profile says so, and existing ones that it joins."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.live.boxes import GROUND, Box
from tests.live.needs import needs
from tests.live.users import Installation, Person

KINDS = ("mnt", "pid", "net", "ipc", "uts", "user", "cgroup", "time")
SHARED = ("ipc", "uts", "cgroup", "time")
LOOK = f"seen.update((kind, os.readlink(f'/proc/self/ns/{{kind}}')) for kind in {KINDS})"
JOINED = """\
kind: profile
name: box
description: A profile of a test.
policies: [syscalls/application]
namespaces: {{mount: /proc/{pid}/ns/mnt}}
"""
WITHOUT_PROC = ("filesystem/runtime", "syscalls/application", "filesystem/project-write")


def outside(pid: int | str = "self") -> dict[str, str]:
    return {kind: os.readlink(f"/proc/{pid}/ns/{kind}") for kind in KINDS}


@contextmanager
def holder(person: Person, *flags: str) -> Iterator[int]:
    """A process of that person's in new namespaces; its pid."""
    words = [*person.prefix, "unshare", *flags, "sh", "-c", "echo $$; exec sleep 1000"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        process.stdout.readline()
        yield process.pid
    finally:
        process.kill()
        process.communicate()


def test_every_namespace_is_the_boxs_own(box: Box) -> None:
    with box.leaves_nothing():
        inside = box.look(LOOK)
    assert [kind for kind in KINDS if inside[kind] == outside()[kind]] == []


def test_namespaces_that_the_profile_shares_are_the_hosts(box: Box) -> None:
    box.profile(f"namespaces: {{{', '.join(f'{kind}: host' for kind in SHARED)}}}")
    inside = box.look(LOOK)
    assert [kind for kind in KINDS if inside[kind] == outside()[kind]] == ["ipc", "uts", "cgroup", "time"]


def test_own_pid_namespace_hides_the_hosts_processes(box: Box) -> None:
    seen = box.look(f"seen.update(pid=os.getpid(), reach=attempt(os.kill, {os.getpid()}, 0))")
    assert seen == {"pid": 2, "reach": "ESRCH"}


def test_shared_pid_namespace_shows_them_where_the_profile_says_so(box: Box) -> None:
    box.profile("namespaces: {pid: host}\nprocess: {init: false}\n", policies=WITHOUT_PROC)
    seen = box.look(f"seen.update(pid=os.getpid(), reach=attempt(os.kill, {os.getpid()}, 0))")
    assert seen["pid"] > 2
    assert seen["reach"] in ("ok", "EPERM")


def test_shared_pid_namespace_with_a_fresh_proc_is_refused(box: Box) -> None:
    box.profile("namespaces: {pid: host}\nprocess: {init: false}\n")
    assert "a fresh /proc needs a pid namespace of its own" in box.refusal()


@needs("timens")
def test_clocks_are_shifted_by_what_the_profile_says(box: Box) -> None:
    look = "seen.update(boot=time.clock_gettime(time.CLOCK_BOOTTIME), monotonic=time.monotonic(), wall=time.time())"
    plain = box.look(look)
    assert abs(plain["boot"] - time.clock_gettime(time.CLOCK_BOOTTIME)) < 100
    box.profile("namespaces: {time_offsets: {boottime: 2h, monotonic: 1h}}")
    shifted = box.look(look)
    assert 7200 <= shifted["boot"] - plain["boot"] < 7300
    assert 3600 <= shifted["monotonic"] - plain["monotonic"] < 3700
    assert shifted["wall"] - plain["wall"] < 100


def test_time_offsets_without_a_time_namespace_are_refused(box: Box) -> None:
    box.profile("namespaces: {time: host, time_offsets: {boottime: 2h}}")
    assert "time_offsets with time: host" in box.refusal()


@needs("root")
def test_root_joins_a_network_namespace_by_path(caller: Person, installation: Installation) -> None:
    box = Box(caller, installation, caller.directory(f"join-{os.urandom(4).hex()}"))
    with holder(caller, "--net") as pid:
        box.profile(f"namespaces: {{net: /proc/{pid}/ns/net}}")
        inside = box.look(LOOK)
        assert inside["net"] == outside(pid)["net"]
        assert [kind for kind in KINDS if inside[kind] == outside(pid)[kind]] == ["net"]


@needs("root")
def test_box_in_a_joined_mount_namespace_sees_the_files_of_that_one(caller: Person, installation: Installation) -> None:
    box = Box(caller, installation, caller.directory(f"join-{os.urandom(4).hex()}"))
    with holder(caller, "--mount") as pid:
        box.policy("", name="interpreter")
        box.write(".sandboxer/profiles/box.yaml", JOINED.format(pid=pid))
        script = "mount -t tmpfs -o mode=755 none /tmp; echo seen > /tmp/marker"
        subprocess.run(["nsenter", "--target", str(pid), "--mount", "sh", "-euc", script], check=True)
        assert box.output("cat", "/tmp/marker") == "seen\n"
        assert "Permission denied" in box.run("touch", "/tmp/marker").stderr
    assert not Path("/tmp/marker").exists()


@needs("userns")
def test_ordinary_user_joins_namespaces_with_the_user_namespace_that_owns_them(
    ordinary: Person, installation: Installation
) -> None:
    box = Box(ordinary, installation, ordinary.directory(f"join-{os.urandom(4).hex()}"))
    with holder(ordinary, "--user", "--map-root-user", "--net") as pid:
        box.profile(f"namespaces: {{user: /proc/{pid}/ns/user, net: /proc/{pid}/ns/net}}")
        inside = box.look(LOOK)
        assert [kind for kind in KINDS if inside[kind] == outside(pid)[kind]] == ["net", "user"]


@needs("root")
def test_ordinary_user_cannot_join_a_namespace_of_others(ordinary: Person, installation: Installation) -> None:
    box = Box(ordinary, installation, ordinary.directory(f"join-{os.urandom(4).hex()}"))
    box.profile("namespaces: {net: /proc/1/ns/net}")
    assert "joining a net namespace needs privilege over it" in box.refusal()


@pytest.mark.parametrize("kind", ["mount", "user", "net"])
def test_namespace_that_must_be_own_cannot_be_the_hosts(box: Box, kind: str) -> None:
    box.profile(f"namespaces: {{{kind}: host}}")
    assert f"namespaces: {{{kind}: host}}" in box.refusal()


def youngest(pid: int) -> int:
    """The last one of a line of processes, each of which has one child."""
    while children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        pid = int(children[0])
    return pid


MAKE = """\
seen["made"] = os.system("unshare --user true 2> /dev/null")
seen["most"] = open("/proc/sys/user/max_user_namespaces").read().strip()
"""


@needs("userns", "proc")
def test_no_user_namespace_can_be_made_in_a_box(box: Box) -> None:
    before = Path("/proc/sys/user/max_user_namespaces").read_text()
    seen = box.look(MAKE)
    assert (seen["made"] != 0, seen["most"]) == (True, "0")
    assert Path("/proc/sys/user/max_user_namespaces").read_text() == before


@needs("userns", "proc")
def test_job_makes_user_namespaces_where_its_filter_lets_it(box: Box) -> None:
    box.profile("", policies=(*GROUND, "syscalls/namespaces"))
    seen = box.look(MAKE)
    assert (seen["made"], seen["most"] != "0") == (0, True)


@needs("userns")
def test_another_box_joins_a_box_in_which_none_can_be_made(ordinary: Person, installation: Installation) -> None:
    box = Box(ordinary, installation, ordinary.directory(f"join-{os.urandom(4).hex()}"))
    box.profile("")
    words = box.words(["sh", "-c", "echo ready; exec sleep 1000"])
    first = subprocess.Popen(words, cwd=box.place, env=ordinary.environment(), stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout
        assert first.stdout.readline() == "ready\n"
        pid = youngest(first.pid)
        box.profile(f"namespaces: {{user: /proc/{pid}/ns/user, net: /proc/{pid}/ns/net}}", name="second")
        inside = box.look(LOOK, profile="second")
        assert [kind for kind in KINDS if inside[kind] == outside(pid)[kind]] == ["net", "user"]
    finally:
        first.kill()
        first.communicate()
