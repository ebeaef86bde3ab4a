"""Parsers of /proc texts, on pretended files and against the kernel's own answers."""

from __future__ import annotations

import os
import subprocess

import pytest

from sandboxer.kernel import proc
from sandboxer.kernel.proc import (
    MountTable,
    cgroup_layout,
    find_number,
    find_text,
    is_chrooted,
    own_cgroup,
    parse_kernel_version,
    parse_mountinfo,
    parse_status,
    parse_subids,
    unescape,
)
from sandboxer.model.host import IdRange

MOUNTINFO = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw,discard
30 27 0:27 /sub /mnt/with\\040space ro,nosuid,nodev - tmpfs my\\011source rw,size=4k
31 27 0:30 / /srv rw - ext4 /dev/vdb rw
32 31 0:31 / /srv rw - xfs /dev/vdc rw
broken line
"""


def test_mountinfo_optional_fields_are_passed_over() -> None:
    root = parse_mountinfo(MOUNTINFO)[1]
    assert (root.point, root.filesystem, root.source, root.super_options) == ("/", "ext4", "/dev/vda", ("rw", "discard"))


def test_mountinfo_escapes_are_undone() -> None:
    mount = parse_mountinfo(MOUNTINFO)[2]
    assert (mount.point, mount.source, mount.root) == ("/mnt/with space", "my\tsource", "/sub")


def test_mountinfo_broken_line_is_left_out() -> None:
    assert len(parse_mountinfo(MOUNTINFO)) == 5


def test_unescape_leaves_other_backslashes() -> None:
    assert unescape(r"a\b\134c") == r"a\b\c"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "ext4"),
        ("/etc/passwd", "ext4"),
        ("/proc/self", "proc"),
        ("/process", "ext4"),
        ("/mnt/with space/x", "tmpfs"),
        ("/srv/x", "xfs"),
    ],
)
def test_mount_table_takes_the_longest_and_last_mount(path: str, expected: str) -> None:
    assert MountTable(parse_mountinfo(MOUNTINFO)).filesystem_of(path) == expected


def test_mount_table_without_a_root_knows_nothing() -> None:
    assert MountTable(()).filesystem_of("/etc") == ""


@pytest.mark.parametrize("path", ["/", "/proc", "/dev", "/tmp", "/usr/bin", "/dev/shm"])
def test_mount_table_agrees_with_stat(path: str) -> None:
    found = MountTable(parse_mountinfo(find_text("/proc/self/mountinfo") or "")).filesystem_of(path)
    said = subprocess.check_output(["findmnt", "-n", "-o", "FSTYPE", "--target", path], text=True).split()
    assert found == said[-1]


def test_status_fields_are_stripped() -> None:
    assert parse_status("Name:\tx\nCapEff:\t00ff\n")["CapEff"] == "00ff"


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [(("cgroup2",), "v2"), (("cgroup",), "v1"), (("cgroup", "cgroup2"), "hybrid"), (("ext4",), "none")],
)
def test_cgroup_layout_follows_the_mounts(kinds: tuple[str, ...], expected: str) -> None:
    text = "".join(f"{n} 1 0:{n} / /m{n} rw - {kind} x rw\n" for n, kind in enumerate(kinds, 2))
    assert cgroup_layout(parse_mountinfo(text)) == expected


def test_own_cgroup_is_the_v2_line() -> None:
    assert own_cgroup("4:memory:/x\n0::/user.slice/a:b\n") == "/user.slice/a:b"


def test_own_cgroup_on_v1_is_empty() -> None:
    assert own_cgroup("4:memory:/x\n") == ""


def test_chroot_is_seen_by_a_missing_root_mount() -> None:
    assert is_chrooted(parse_mountinfo("22 27 0:21 / /proc rw - proc proc rw\n"))


def test_no_chroot_is_seen_by_a_root_mount() -> None:
    assert not is_chrooted(parse_mountinfo(MOUNTINFO))


@pytest.mark.parametrize(("release", "expected"), [("6.18.44-x", (6, 18)), ("5.4", (5, 4)), ("odd", (0, 0))])
def test_kernel_version_is_major_and_minor(release: str, expected: tuple[int, int]) -> None:
    assert parse_kernel_version(release) == expected


def test_find_number_of_a_missing_sysctl_is_none() -> None:
    assert find_number("/proc/sys/kernel/none_such") is None


def test_find_number_of_a_sysctl_is_its_value() -> None:
    assert find_number("/proc/sys/kernel/pid_max") == int(subprocess.check_output(["cat", "/proc/sys/kernel/pid_max"]))


def test_find_text_of_a_directory_is_none() -> None:
    assert find_text(os.sep) is None


SUBUID = "root:1:10\nuser:100000:65536\n1000:300000:5\nother:7:7\n# note\nuser:x:1\nuser:1:0\nuser:4294967295:9\n"


def test_subids_are_found_by_name_and_by_number() -> None:
    assert parse_subids(SUBUID, "user", 1000) == (IdRange(100000, 65536), IdRange(300000, 5))


def test_subids_of_a_stranger_are_none() -> None:
    assert parse_subids(SUBUID, "nobody", 9) == ()


def test_subids_of_root_are_those_of_its_row() -> None:
    assert parse_subids(SUBUID, "root", 0) == (IdRange(1, 10),)


@pytest.mark.parametrize("text", ["", "\n", "user\n", "user:1\n", "user:-1:5\n", "user:1:²\n", "user:0:5\n", "user:1:2:3\n"])
def test_subids_of_a_broken_file_are_none(text: str) -> None:
    assert parse_subids(text, "user", 1000) == ()


def test_subids_that_reach_the_last_id_are_left_out() -> None:
    assert parse_subids("user:4294967290:9\n", "user", 1000) == ()


def test_subids_just_below_the_last_id_are_kept() -> None:
    assert parse_subids("user:4294967290:5\n", "user", 1000) == (IdRange(4294967290, 5),)


def test_own_namespace_is_named_as_the_kernel_does() -> None:
    assert {proc.own_namespace(kind).split(":")[0] for kind in ("mount", "net")} == {"mnt", "net"}


def test_namespace_that_the_kernel_lacks_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(proc.NAMESPACE_FILES, "net", "no-such-kind")
    assert proc.own_namespace("net") == ""
