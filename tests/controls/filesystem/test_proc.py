"""/proc: when it is mounted, and what of it is covered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from sandboxer.controls import filesystem
from sandboxer.controls.filesystem.settings import Settings
from sandboxer.controls.room import Lowered, Scene
from sandboxer.errors import ProfileError
from sandboxer.model.host import Host, PathFact, PathKind
from sandboxer.model.policy import Enforce, Trait

Listing = Callable[..., list[str]]


def below_proc(lines: list[str]) -> list[str]:
    return [line for line in lines if " /proc" in line]


def test_no_proc_is_mounted_unless_said(listing: Listing, user_host: Host) -> None:
    assert below_proc(listing("{}", user_host)) == []


def test_fresh_proc_covers_what_exists(listing: Listing, user_host: Host) -> None:
    assert below_proc(listing("proc: fresh", user_host)) == [
        "make the directory /proc (mode 555)",
        "mount proc on /proc ((), attributes 0xe)",
        "cover /proc/sys with /proc/sys (attributes 0xf)",
        "cover /proc/acpi with /.sandboxer/directory (attributes 0xf)",
        "cover /proc/kcore with /.sandboxer/file (attributes 0xf)",
        "cover /proc/keys with /.sandboxer/file (attributes 0xf)",
    ]


def test_proc_of_processes_needs_no_cover(listing: Listing, user_host: Host) -> None:
    assert listing("proc: processes", user_host)[-2:] == [
        "make the directory /proc (mode 555)",
        "mount proc on /proc (('subset=pid',), attributes 0xe)",
    ]


def test_file_that_only_root_may_open_needs_no_cover(listing: Listing, user_host: Host) -> None:
    closed = user_host.with_paths({"/proc/kcore": PathFact(PathKind.FILE, mode=0o400)})
    lines = listing("proc: fresh", closed)
    assert not any("kcore" in line for line in lines)
    assert any("/proc/keys" in line for line in lines)


def test_said_mask_and_read_only_path_are_added(listing: Listing, user_host: Host) -> None:
    host = user_host.with_paths({"/proc/mine": PathFact(PathKind.FILE), "/proc/other": PathFact(PathKind.FILE, mode=0o666)})
    lines = listing("{proc: fresh, proc_mask: [/proc/mine], proc_read_only: [/proc/other]}", host)
    assert "cover /proc/mine with /.sandboxer/file (attributes 0xf)" in lines
    assert "cover /proc/other with /proc/other (attributes 0xf)" in lines


def test_masks_below_a_mask_are_left_out(listing: Listing, user_host: Host) -> None:
    host = user_host.with_paths({"/proc/sys/kernel": PathFact(PathKind.DIRECTORY)})
    lines = below_proc(listing("{proc: fresh, proc_mask: [/proc/sys, /proc/sys/kernel]}", host))
    assert [line for line in lines if "/proc/sys" in line] == ["cover /proc/sys with /.sandboxer/directory (attributes 0xf)"]


def test_proc_without_a_pid_namespace_is_refused(understood: Callable[[str], Settings], user_host: Host) -> None:
    with pytest.raises(ProfileError, match="pid: new"):
        filesystem.lower(understood("proc: fresh"), Scene(user_host, frozenset()))
    filesystem.lower(understood("proc: fresh"), Scene(user_host, frozenset({Trait.NEW_PID_NAMESPACE})))


def test_refused_fresh_proc_is_a_lack_and_best_effort_has_none(
    understood: Callable[[str], Settings], lowered: Callable[..., Lowered], user_host: Host
) -> None:
    covered = replace(user_host, has_fresh_proc=False)
    assert [lack.what for lack in filesystem.need(understood("proc: fresh"), covered)] == [
        "a /proc of the box's own cannot be mounted"
    ]
    assert filesystem.need(understood("proc: fresh"), user_host) == ()
    steps = lowered("proc: fresh", covered, enforce=Enforce.BEST_EFFORT).steps
    assert not any("mount proc" in step.op.say() for step in steps)
