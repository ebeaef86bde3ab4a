"""The section understood: defaults, home directories, and what is wrong by its text alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandboxer.controls.filesystem.fields import Tmpfs
from sandboxer.controls.filesystem.settings import Settings
from sandboxer.errors import ProfileError

Understood = Callable[[str], Settings]


def test_nothing_said_is_nothing_shown(understood: Understood) -> None:
    said = understood("{}")
    assert said.grants == ()
    assert said.proc.value == "none"
    assert said.working_directory.value == "/"
    assert said.root_size_bytes == 1024 * 1024


def test_home_is_replaced_everywhere(understood: Understood) -> None:
    said = understood(
        "{read: [~/a], hide: [~/b], mounts: [{from: ~/c, to: ~/d}], tmpfs: [~/e], overlay: [~/f], working_directory: ~/g,"
        " files: [{path: ~/h, text: x}], symlinks: [{path: ~/i, target: ~/j}]}"
    )
    assert said.read[0].value.path == "/home/user/a"
    assert said.hide[0].value == "/home/user/b"
    assert (said.mounts[0].value.source, said.mounts[0].value.target) == ("/home/user/c", "/home/user/d")
    assert said.tmpfs[0].value.path == "/home/user/e"
    assert said.overlay[0].value.path == "/home/user/f"
    assert said.working_directory.value == "/home/user/g"
    assert said.files[0].value.path == "/home/user/h"
    assert (said.symlinks[0].value.path, said.symlinks[0].value.target) == ("/home/user/i", "~/j")


def test_place_of_a_value_is_kept(understood: Understood) -> None:
    assert understood("read:\n  - /usr\n").read[0].place.line == 2


@pytest.mark.parametrize("field", ["read", "write", "execute"])
def test_root_as_a_grant_is_refused_with_advice(understood: Understood, field: str) -> None:
    with pytest.raises(ProfileError, match=r"e\.g\. /usr"):
        understood(f"{field}: [/]")


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("read: [/proc/cpuinfo]", "proc: fresh"),
        ("write: [/dev/null]", "devices"),
        ("tmpfs: [/dev/shm]", "devices"),
        ("mounts: [{from: /usr, to: /proc/x}]", "proc: fresh"),
        ("hide: [/proc/keys]", "proc_mask"),
        ("files: [{path: /.sandboxer/x, text: x}]", "another path"),
    ],
)
def test_paths_of_other_rooms_are_refused_with_advice(understood: Understood, text: str, advice: str) -> None:
    with pytest.raises(ProfileError, match=advice):
        understood(text)


def test_path_made_in_two_ways_is_refused(understood: Understood) -> None:
    with pytest.raises(ProfileError, match="made in two ways"):
        understood("{tmpfs: [/x], files: [{path: /x, text: a}]}")


def test_tmpfs_said_twice_is_the_wider_one(understood: Understood) -> None:
    said = understood("tmpfs: [{path: /x, size: 1M}, {path: /x, size: 2M}, {path: /x, size: 64K, execute: true}]")
    assert [item.value for item in said.tmpfs] == [Tmpfs("/x", 2 * 1024 * 1024, 0o755, True)]


def test_tmpfs_with_two_modes_is_refused(understood: Understood) -> None:
    with pytest.raises(ProfileError, match="made in two ways"):
        understood('tmpfs: [{path: /x, mode: "0700"}, {path: /x, mode: "0755"}]')


def test_every_problem_is_reported_at_once(understood: Understood) -> None:
    with pytest.raises(ProfileError) as caught:
        understood("{read: [/], tmpfs: [/dev], hide: [/]}")
    assert len(caught.value.problems) == 3
