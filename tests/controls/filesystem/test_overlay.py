"""Overlays: where the changes go, for root and for an ordinary user."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from sandboxer.abi.mount import MountAttr
from sandboxer.controls import filesystem
from sandboxer.controls.filesystem.settings import Settings
from sandboxer.controls.room import Lowered
from sandboxer.errors import ProfileError
from sandboxer.model.host import Host
from sandboxer.model.op import NO_SLOT, MakeIdmap, MountOverlay, OpenTree
from sandboxer.model.policy import Enforce
from sandboxer.model.stage import Stage

Lower = Callable[..., Lowered]


def the_overlay(found: Lowered) -> MountOverlay:
    return next(step.op for step in found.steps if isinstance(step.op, MountOverlay))


def test_discarded_changes_go_to_a_private_tmpfs_of_the_job(lowered: Lower, user_host: Host) -> None:
    op = the_overlay(lowered("overlay: [{path: /srv/data, size: 8M}]", user_host))
    assert op.upper_slot == NO_SLOT
    assert op.size_bytes == 8 * 1024 * 1024
    assert (op.uid, op.gid) == (1000, 1000)
    assert op.options == ("userxattr",)


def test_discarded_changes_for_root_belong_to_the_outside_id(lowered: Lower, root_host: Host) -> None:
    found = lowered("overlay: [/srv/data]", root_host)
    op = the_overlay(found)
    assert (op.uid, op.gid) == (65534, 65534)
    assert op.options == ()
    assert [step.op.uid_map for step in found.steps if isinstance(step.op, MakeIdmap)] == ["33 65534 1"]


def test_kept_changes_go_to_the_directory(lowered: Lower, user_host: Host) -> None:
    found = lowered("overlay: [{path: /srv/data, changes: keep, keep: /srv/kept}]", user_host)
    trees = {step.op.slot: step.op.path for step in found.steps if isinstance(step.op, OpenTree)}
    op = the_overlay(found)
    assert trees[op.lower_slot] == "/srv/data"
    assert trees[op.upper_slot] == "/srv/kept"
    assert [step.op.path for step in found.steps if step.stage is Stage.CLEAN] == ["/srv/kept/work"]


def test_discarded_changes_leave_nothing_to_clean(lowered: Lower, user_host: Host) -> None:
    assert not [step for step in lowered("overlay: [/srv/data]", user_host).steps if step.stage is Stage.CLEAN]


def test_kept_changes_for_root_map_the_kernels_own_files_too(lowered: Lower, root_host: Host) -> None:
    found = lowered("overlay: [{path: /srv/data, changes: keep, keep: /srv/kept}]", root_host)
    assert [step.op.uid_map for step in found.steps if isinstance(step.op, MakeIdmap)] == ["33 65534 1", "1000 65534 1\n0 0 1"]


def test_kept_changes_without_their_directories_are_refused_with_the_command(lowered: Lower, user_host: Host) -> None:
    with pytest.raises(ProfileError, match="mkdir -p /home/user/project/upper"):
        lowered("overlay: [{path: /srv/data, changes: keep, keep: ~/project}]", user_host)


def test_kept_changes_behind_a_link_of_their_own_are_refused(lowered: Lower, user_host: Host) -> None:
    """A job that may write in the directory chooses where that leads; the way to the directory is the profile's own."""
    with pytest.raises(ProfileError, match="/srv/led/upper is a symbolic link"):
        lowered("overlay: [{path: /srv/data, changes: keep, keep: /srv/led}]", user_host)
    assert the_overlay(lowered("overlay: [{path: /srv/data, changes: keep, keep: /srv/moved}]", user_host))


@pytest.mark.parametrize(("kernel", "has_it"), [((5, 12), False), ((5, 14), True)])
def test_layer_of_kept_changes_follows_no_link(lowered: Lower, user_host: Host, kernel: tuple[int, int], has_it: bool) -> None:
    found = lowered("overlay: [{path: /srv/data, changes: keep, keep: /srv/kept}]", replace(user_host, kernel=kernel))
    upper = next(step.op for step in found.steps if isinstance(step.op, OpenTree) and step.op.path == "/srv/kept")
    assert bool(upper.attributes & MountAttr.NOSYMFOLLOW) is has_it


def test_mentions_the_directories_of_kept_changes(understood: Callable[[str], Settings]) -> None:
    said = understood("overlay: [{path: /srv/data, changes: keep, keep: /srv/kept}]")
    assert {"/srv/kept", "/srv/kept/upper", "/srv/kept/work"} <= filesystem.mentions(said)


def test_part_of_an_overlay_is_frozen_by_a_bind_of_itself(listing: Callable[..., list[str]], user_host: Host) -> None:
    lines = listing("{overlay: [/home/user/project], read_only: [/home/user/project/.git]}", user_host)
    assert lines[-1] == "let the monitor see how full /home/user/project is"
    assert lines[-2] == "cover /home/user/project/.git with /home/user/project/.git (attributes 0x1)"


def test_no_overlay_on_this_host_is_a_lack_and_best_effort_reads(
    understood: Callable[[str], Settings], lowered: Lower, user_host: Host
) -> None:
    without = replace(user_host, has_overlay=False)
    text = "overlay: [/srv/data]"
    assert [lack.what for lack in filesystem.need(understood(text), without)] == ["overlays cannot be mounted"]
    assert filesystem.need(understood(text), user_host) == ()
    trees = [step.op for step in lowered(text, without, enforce=Enforce.BEST_EFFORT).steps if isinstance(step.op, OpenTree)]
    assert [(tree.path, tree.attributes) for tree in trees] == [("/srv/data", 0xF)]
