"""Whole sections as readable lists of ops, for pretended hosts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandboxer.abi.mount import MountAttr
from sandboxer.controls.filesystem.lower import attributes_of
from sandboxer.controls.filesystem.tree import Access
from sandboxer.controls.room import Lowered, Use
from sandboxer.errors import HostError, ProfileError
from sandboxer.model.host import Host, PathFact, PathKind
from sandboxer.model.op import (
    MakeFile,
    MakeRoot,
    MountFilesystem,
    MountOverlay,
    OpenTree,
    PivotRoot,
    SetMountAttributes,
    SetWorkingDirectory,
    ShowSpace,
)  # fmt: skip
from sandboxer.model.policy import Enforce, Trait
from sandboxer.model.report import Status
from sandboxer.model.stage import Stage

Lower = Callable[..., Lowered]
Listing = Callable[..., list[str]]


def test_read_is_ro_nosuid_nodev_noexec() -> None:
    quiet = MountAttr.NOSUID | MountAttr.NODEV
    assert attributes_of(Access.READ) == quiet | MountAttr.RDONLY | MountAttr.NOEXEC
    assert attributes_of(Access.READ | Access.EXECUTE) == quiet | MountAttr.RDONLY
    assert attributes_of(Access.READ | Access.WRITE) == quiet | MountAttr.NOEXEC
    assert attributes_of(Access.READ | Access.WRITE | Access.EXECUTE) == quiet


def test_nothing_said_is_an_empty_sealed_root(lowered: Lower, user_host: Host) -> None:
    steps = sorted(lowered("{}", user_host).steps, key=lambda step: step.stage)
    kinds = [type(step.op).__name__ for step in steps]
    assert kinds == ["MakeStage", "MakeRoot", "MakeFile", "MakeFile", "SetMountAttributes", "PivotRoot", "SetWorkingDirectory"]
    root = next(step.op for step in steps if isinstance(step.op, MakeRoot))
    assert (root.mode, root.size_bytes) == (0o755, 1024 * 1024)
    seal = next(step for step in steps if isinstance(step.op, SetMountAttributes))
    assert seal.stage is Stage.SEAL
    assert isinstance(seal.op, SetMountAttributes)
    assert seal.op.attributes == MountAttr.RDONLY | MountAttr.NOSUID | MountAttr.NODEV | MountAttr.NOEXEC


def test_stages_are_in_their_places(lowered: Lower, root_host: Host) -> None:
    steps = lowered("{write: [/srv/data], working_directory: /srv/data}", root_host).steps
    stages = {type(step.op).__name__: step.stage for step in steps}
    assert stages["MakeIdmap"] is Stage.PREPARE
    assert stages["OpenTree"] is Stage.SOURCES
    assert stages["Attach"] is Stage.MOUNTS
    assert stages[PivotRoot.__name__] is Stage.PIVOT
    assert stages[SetWorkingDirectory.__name__] is Stage.PLACE


def test_a_usual_profile_for_an_ordinary_user_reads_as_this(listing: Listing, user_host: Host) -> None:
    text = """
execute: [/usr, /bin, "/lib64?"]
read: [/etc/localtime]
write: [~/project]
read_only: [~/project/.git]
tmpfs: [/tmp]
hide: [~/project/note]
working_directory: ~/project
"""
    assert listing(text, user_host) == [
        "take /home/user/project from the host (attributes 0xe)",
        "take /home/user/project/.git from the host (attributes 0xf)",
        "take /usr from the host (attributes 0x7)",
        "make the directory /.sandboxer (mode 0)",
        "make the directory /.sandboxer/directory (mode 0)",
        "make the file /.sandboxer/file (mode 0)",
        "make the link /bin -> usr/bin",
        "make the link /etc/localtime -> /usr/share/zoneinfo/UTC",
        "make the directory /home/user/project (mode 755)",
        "show it at /home/user/project",
        "show it at /home/user/project/.git",
        "cover /home/user/project/note with /.sandboxer/file (attributes 0xf)",
        "make the directory /tmp (mode 755)",
        "mount tmpfs on /tmp (('size=67108864', 'nr_inodes=16384', 'mode=1777', 'uid=1000', 'gid=1000'), attributes 0xe)",
        "make the directory /usr (mode 755)",
        "show it at /usr",
        "let the monitor see how full /tmp is",
    ]


def test_the_same_for_root_translates_the_owner(listing: Listing, root_host: Host) -> None:
    text = "{write: [/srv/data, /home/user/project], read: [/usr], tmpfs: [/tmp]}"
    assert listing(text, root_host) == [
        "prepare an id mapping for mounts (uid 1000 65534 1, gid 1000 65534 1)",
        "prepare an id mapping for mounts (uid 33 65534 1, gid 33 65534 1)",
        "take /home/user/project from the host (attributes 0xe)",
        "take /srv/data from the host (attributes 0xe)",
        "take /usr from the host (attributes 0xf)",
        "make the directory /home/user/project (mode 755)",
        "show it at /home/user/project",
        "make the directory /srv/data (mode 755)",
        "show it at /srv/data",
        "make the directory /tmp (mode 755)",
        "mount tmpfs on /tmp (('size=67108864', 'nr_inodes=16384', 'mode=1777', 'uid=65534', 'gid=65534'), attributes 0xe)",
        "make the directory /usr (mode 755)",
        "show it at /usr",
        "let the monitor see how full /tmp is",
    ]


def test_one_owner_needs_one_mapping(lowered: Lower, root_host: Host) -> None:
    steps = lowered("{write: [/srv/data], mounts: [{from: /srv/data/inner, to: /m, access: [write]}]}", root_host).steps
    assert sum(type(step.op).__name__ == "MakeIdmap" for step in steps) == 1


def test_directories_are_taken_with_their_submounts_and_files_alone(lowered: Lower, user_host: Host) -> None:
    steps = lowered("read: [/srv/data, /etc/hosts]", user_host).steps
    assert {step.op.path: step.op.recursive for step in steps if isinstance(step.op, OpenTree)} == {
        "/srv/data": 1,
        "/etc/hosts": 0,
    }


def test_every_op_of_a_statement_has_its_place(lowered: Lower, user_host: Host) -> None:
    steps = lowered("read:\n  - /srv/data\n", user_host).steps
    taken = next(step for step in steps if isinstance(step.op, OpenTree))
    assert taken.place is not None
    assert taken.place.line == 2


def test_executable_tmpfs_is_said_so(listing: Listing, user_host: Host) -> None:
    assert "attributes 0x6)" in listing("tmpfs: [{path: /x, execute: true}]", user_host)[-2]
    assert "attributes 0xe)" in listing("tmpfs: [/x]", user_host)[-2]


def test_tmpfs_inodes_are_bounded_with_its_size(listing: Listing, user_host: Host) -> None:
    assert "nr_inodes=1024" in listing("tmpfs: [{path: /x, size: 64K}]", user_host)[-2]
    assert "nr_inodes=262144" in listing("tmpfs: [{path: /x, size: 1G}]", user_host)[-2]


def test_nothing_of_the_boxs_own_is_larger_than_limits_disk(lowered: Lower, user_host: Host) -> None:
    text = "{tmpfs: [{path: /x, size: 4M}, {path: /y, size: 64K}], overlay: [/srv/data]}"
    steps = lowered(text, user_host, disk_bytes=1 << 20).steps
    sizes = [step.op.options[0] for step in steps if isinstance(step.op, MountFilesystem)]
    assert sizes == ["size=1048576", "size=65536"]
    assert [step.op.size_bytes for step in steps if isinstance(step.op, MountOverlay)] == [1 << 20]
    assert {step.op.path for step in steps if isinstance(step.op, ShowSpace)} == {"/x", "/y", "/srv/data"}
    assert all(step.stage > Stage.MOUNTS for step in steps if isinstance(step.op, ShowSpace))


def test_file_over_the_host_is_bound_from_the_private_directory(listing: Listing, user_host: Host) -> None:
    assert listing("{read: [/etc], files: [{path: /etc/hosts, text: x}]}", user_host)[-2:] == [
        "make the file /.sandboxer/file-0 (mode 644)",
        "cover /etc/hosts with /.sandboxer/file-0 (attributes 0xf)",
    ]


def test_passwd_names_the_job(lowered: Lower, user_host: Host) -> None:
    made = {step.op.path: step.op.content for step in lowered("{}", user_host).steps if isinstance(step.op, MakeFile)}
    assert b"sandbox:x:1000:1000:sandbox:/home/sandbox:/bin/sh\n" in made["/etc/passwd"]
    assert b"root:x:0:0:" in made["/etc/passwd"]
    assert b"sandbox:x:1000:\n" in made["/etc/group"]
    assert "/etc/hosts" not in made


def test_hosts_comes_with_loopback(lowered: Lower, user_host: Host) -> None:
    steps = lowered("{}", user_host, traits=frozenset({Trait.WANTS_LOOPBACK})).steps
    assert any(isinstance(step.op, MakeFile) and step.op.path == "/etc/hosts" for step in steps)


def test_directories_in_memory_of_a_joined_user_namespace_belong_to_whoever_mounts_them(lowered: Lower, user_host: Host) -> None:
    text = "{tmpfs: [/tmp], overlay: [/srv/data]}"
    own = " ".join(step.op.say() for step in lowered(text, user_host).steps)
    joined = " ".join(step.op.say() for step in lowered(text, user_host, traits=frozenset({Trait.NEW_USER_NAMESPACE})).steps)
    assert "uid=1000" in own
    assert "uid=" not in joined


def test_foreign_owner_without_idmapped_mounts_is_refused(lowered: Lower, root_host: Host) -> None:
    old = Host(uid=0, gid=0, capabilities=root_host.capabilities, paths=root_host.paths, has_idmapped_mounts=False)
    with pytest.raises(HostError, match=r"Linux 5\.12"):
        lowered("write: [/srv/data]", old)
    lowered("read: [/srv/data]", old)


def test_foreign_owner_without_idmapped_mounts_best_effort_is_reported(lowered: Lower, root_host: Host) -> None:
    old = Host(uid=0, gid=0, capabilities=root_host.capabilities, paths=root_host.paths, has_idmapped_mounts=False)
    found = lowered("write: [/srv/data]", old, enforce=Enforce.BEST_EFFORT)
    assert not any(type(step.op).__name__ == "MakeIdmap" for step in found.steps)
    assert [line.status for line in found.lines] == [Status.ENFORCED, Status.WEAKENED]


def test_root_too_small_for_its_files_is_refused(lowered: Lower, user_host: Host) -> None:
    text = f"{{root_size: 64K, files: [{{path: /x, text: {'a' * 40000}}}]}}"
    with pytest.raises(ProfileError, match="root is too small"):
        lowered(text, user_host)


def test_too_many_mounts_are_refused(lowered: Lower, user_host: Host) -> None:
    mounts = ", ".join(f"{{from: /srv/data, to: /m{number}}}" for number in range(129))
    with pytest.raises(ProfileError, match="129 mounts"):
        lowered(f"mounts: [{mounts}]", user_host)


def test_report_names_what_can_be_changed_and_what_had_no_effect(lowered: Lower, user_host: Host) -> None:
    lines = lowered('{write: [/srv/data], read: ["/nope?"], hide: [~/.ssh]}', user_host).lines
    assert lines[0].what == "host trees shown: 1, hidden: 0; the host's files can be changed in: /srv/data"
    assert [(line.status, line.what) for line in lines[1:]] == [
        (Status.UNUSED, "not on this host, and left out: /nope"),
        (Status.UNUSED, "nothing of it is in the box anyway: /home/user/.ssh"),
    ]


def test_long_report_lines_are_cut(lowered: Lower, user_host: Host) -> None:
    hidden = ", ".join(f"/n{number}" for number in range(10))
    assert lowered(f"hide: [{hidden}]", user_host).lines[-1].what.endswith("/n5 and 4 more")


def test_report_says_where_the_job_writes_as_root(lowered: Lower, root_host: Host) -> None:
    told = [line.what for line in lowered("write: [/srv, /home/user/project]", root_host).lines]
    assert "what the job makes in /srv belongs to root on the host" in told
    assert not any("makes in /home/user/project" in line for line in told)


def test_read_only_link_that_the_job_could_replace_refuses_the_start(lowered: Lower, user_host: Host) -> None:
    """A link is no mount point: what it leads to would stay as it is, and the link would not."""
    text = "{write: [/work], read_only: [/work/link]}"
    more = {"/work": PathFact(PathKind.DIRECTORY, uid=1000), "/work/link": PathFact(PathKind.SYMLINK, target="real")}
    host = user_host.with_paths({**more, "/work/real": PathFact(PathKind.DIRECTORY, uid=1000)})
    with pytest.raises(HostError, match="/work/link cannot be kept read-only"):
        lowered(text, host)
    lines = lowered(text, host, enforce=Enforce.BEST_EFFORT).lines
    assert [line.what for line in lines if line.status is Status.WEAKENED] == ["/work/link cannot be kept read-only"]


def test_read_only_path_that_is_missing_is_reported_as_what_it_is(lowered: Lower, user_host: Host) -> None:
    lines = lowered("{write: [/srv/data], read_only: [/srv/data/none, /etc/none]}", user_host).lines
    assert [line.what for line in lines if line.status is Status.UNUSED] == [
        "nothing of it is in the box anyway: /etc/none",
        "not there to be kept read-only, so the job can make it: /srv/data/none",
    ]


def test_what_is_hidden_and_what_an_overlay_keeps_is_told_as_held(lowered: Lower, user_host: Host) -> None:
    text = """
      read: [/srv]
      hide: [/srv/data/secret]
      overlay: [/home/user/project]
      read_only: [/home/user/project/.git]
      proc: fresh
    """
    held = {item.path: item for item in lowered(text, user_host).held}
    assert (held["/srv/data/secret"].use, held["/srv/data/secret"].is_directory) == (Use(0), False)
    assert held["/home/user/project/.git"].is_directory
    assert held["/home/user/project/.git"].use & (Use.CHANGE | Use.MAKE | Use.READ) == Use.READ
    assert held["/proc/sys"].use == Use.LIST | Use.READ
    assert held["/proc/acpi"].use == Use(0)
    assert lowered("read: [/srv]", user_host).held == ()
