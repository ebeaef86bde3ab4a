"""The pieces: as few as possible, in order, and never a mount point made on the host."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sandboxer.controls.filesystem.fields import MadeFile
from sandboxer.controls.filesystem.layout import lay_out
from sandboxer.controls.filesystem.pieces import Bind, Cover, Fill, Freeze, Layout, NewFile
from sandboxer.controls.filesystem.settings import Placed, Settings
from sandboxer.controls.filesystem.tree import Access
from sandboxer.errors import ProfileError
from sandboxer.model.host import Host, PathFact, PathKind
from sandboxer.model.place import built_in

Understood = Callable[[str], Settings]
RW = Access.READ | Access.WRITE


def lay(settings: Settings, host: Host) -> Layout:
    return lay_out(settings, host, outside=(65534, 65534))


def binds(layout: Layout) -> dict[str, Access]:
    return {piece.target: piece.access for piece in layout.pieces if isinstance(piece, Bind)}


def test_grant_inside_a_grant_of_the_same_right_needs_no_mount(understood: Understood, user_host: Host) -> None:
    assert binds(lay(understood("read: [/srv, /srv/data, /srv/data/inner]"), user_host)) == {"/srv": Access.READ}


def test_more_rights_below_are_a_mount_of_their_own(understood: Understood, user_host: Host) -> None:
    assert binds(lay(understood("{read: [/srv], write: [/srv/data]}"), user_host)) == {"/srv": Access.READ, "/srv/data": RW}


def test_read_only_below_a_writable_directory_is_a_mount_of_its_own(understood: Understood, user_host: Host) -> None:
    found = binds(lay(understood("{write: [/srv], read_only: [/srv/data], execute: [/srv/data/inner]}"), user_host))
    assert found == {"/srv": RW, "/srv/data": Access.READ, "/srv/data/inner": Access.READ | Access.EXECUTE}


def test_directories_above_a_read_only_path_are_pinned_so_that_nobody_renames_them(
    understood: Understood, user_host: Host
) -> None:
    layout = lay(understood("{write: [/srv], read_only: [/srv/data/secret]}"), user_host)
    assert binds(layout) == {"/srv": RW, "/srv/data": RW, "/srv/data/secret": Access.READ}
    assert [piece.target for piece in layout.pieces if isinstance(piece, Bind) and piece.is_pin] == ["/srv/data"]


def test_directories_above_a_hidden_path_need_no_pin(understood: Understood, user_host: Host) -> None:
    assert binds(lay(understood("{write: [/srv], hide: [/srv/data/secret]}"), user_host)) == {"/srv": RW}


def test_mount_points_are_made_in_the_root_and_in_tmpfs(understood: Understood, user_host: Host) -> None:
    layout = lay(understood("{tmpfs: [/tmp], mounts: [{from: /srv/data, to: /tmp/d}, {from: /etc/hosts, to: /h}]}"), user_host)
    assert {piece.target: piece.make for piece in layout.pieces} == {"/h": "file", "/tmp": "directory", "/tmp/d": "directory"}


def test_mount_point_missing_in_a_directory_of_the_host_is_refused(understood: Understood, user_host: Host) -> None:
    with pytest.raises(ProfileError, match="nothing is ever made there"):
        lay(understood("{read: [/srv], tmpfs: [/srv/new]}"), user_host)


def test_mount_point_that_is_there_is_used_as_it_is(understood: Understood, user_host: Host) -> None:
    layout = lay(understood("{read: [/srv], tmpfs: [/srv/data]}"), user_host)
    fill = next(piece for piece in layout.pieces if isinstance(piece, Fill))
    assert fill.make == ""


def test_directory_over_a_file_is_refused(understood: Understood, user_host: Host) -> None:
    with pytest.raises(ProfileError, match="cannot be covered with a directory"):
        lay(understood("{read: [/srv], tmpfs: [/srv/data/secret]}"), user_host)


def test_mount_point_below_a_mount_is_looked_up_in_its_source(understood: Understood, user_host: Host) -> None:
    layout = lay(understood("{mounts: [{from: /srv/data, to: /m}], tmpfs: [/m/inner]}"), user_host)
    assert [piece.target for piece in layout.pieces] == ["/m", "/m/inner"]


def test_hidden_path_is_covered_by_its_kind(understood: Understood, user_host: Host) -> None:
    layout = lay(understood("{read: [/home/user], hide: [~/.ssh, ~/.netrc]}"), user_host)
    covers = {piece.target: piece.is_directory for piece in layout.pieces if isinstance(piece, Cover)}
    assert covers == {"/home/user/.netrc": False, "/home/user/.ssh": True}


def test_hidden_path_that_is_granted_itself_is_not_shown_at_all(understood: Understood, user_host: Host) -> None:
    assert lay(understood("{read: [~/.ssh], hide: [~/.ssh]}"), user_host).pieces == ()


def test_hidden_path_below_a_hidden_path_is_covered_once(understood: Understood, user_host: Host) -> None:
    layout = lay(understood("{read: [/srv], hide: [/srv/data, /srv/data/secret]}"), user_host)
    assert [piece.target for piece in layout.pieces if isinstance(piece, Cover)] == ["/srv/data"]


def test_read_only_part_of_an_overlay_is_frozen(understood: Understood, user_host: Host) -> None:
    layout = lay(understood("{overlay: [/home/user/project], read_only: [/home/user/project/.git]}"), user_host)
    assert [type(piece) for piece in layout.pieces] == [Bind, Freeze]


def test_executable_overlay_keeps_the_right_of_the_grant(understood: Understood, user_host: Host) -> None:
    layout = lay(understood("{overlay: [/srv/data], execute: [/srv/data]}"), user_host)
    assert binds(layout) == {"/srv/data": RW | Access.EXECUTE}


def test_file_over_a_file_of_the_host_covers_it(understood: Understood, user_host: Host) -> None:
    layout = lay(understood("{read: [/etc], files: [{path: /etc/hosts, text: x}, {path: /new, text: why}]}"), user_host)
    found = {piece.target: piece.covers_host for piece in layout.pieces if isinstance(piece, NewFile)}
    assert found == {"/etc/hosts": True, "/new": False}


@pytest.mark.parametrize(
    ("text", "is_made"),
    [("{}", True), ("read: [/etc]", False), ("read: [/etc/passwd]", False), ("files: [{path: /etc/passwd, text: x}]", False)],
)
def test_built_in_file_gives_way_to_what_is_said(understood: Understood, user_host: Host, text: str, is_made: bool) -> None:
    ours = Placed(MadeFile("/etc/passwd", "ours"), built_in("passwd"))
    layout = lay_out(understood(text), user_host, outside=(1, 1), built_in=(ours,))
    assert any(isinstance(piece, NewFile) and piece.file.text == "ours" for piece in layout.pieces) is is_made


def test_owner_is_translated_for_root_and_writing_only(understood: Understood, root_host: Host, user_host: Host) -> None:
    text = "{read: [/srv], write: [/srv/data]}"
    owners = {piece.target: piece.owner for piece in lay(understood(text), root_host).pieces if isinstance(piece, Bind)}
    assert owners == {"/srv": None, "/srv/data": (33, 33)}
    assert all(piece.owner is None for piece in lay(understood(text), user_host).pieces if isinstance(piece, Bind))


def test_owner_who_is_the_job_needs_no_translation(understood: Understood, root_host: Host) -> None:
    layout = lay_out(understood("write: [/srv/data]"), root_host, outside=(33, 33))
    assert [piece.owner for piece in layout.pieces if isinstance(piece, Bind)] == [None]


def test_reading_as_owner_is_translated(understood: Understood, root_host: Host) -> None:
    layout = lay(understood("read: [{path: /srv/data, as_owner: true}]"), root_host)
    assert [piece.owner for piece in layout.pieces if isinstance(piece, Bind)] == [(33, 33)]


@pytest.mark.parametrize(
    "text",
    [
        "{read: [/srv], working_directory: /srv/data}",
        "{read: [/srv/data], working_directory: /srv}",
        "{tmpfs: [/tmp], working_directory: /tmp}",
        "{proc: fresh, working_directory: /proc}",
        "{read: [/home/user/link], working_directory: /home/user/link/data}",
    ],
)
def test_working_directory_that_is_shown_is_used(understood: Understood, user_host: Host, text: str) -> None:
    assert lay(understood(text), user_host).working_directory


@pytest.mark.parametrize(
    "text",
    [
        "{read: [/srv], working_directory: /etc}",
        "{read: [/srv], working_directory: /srv/none}",
        "{read: [/srv], working_directory: /srv/data/secret}",
        "{tmpfs: [/tmp], working_directory: /tmp/x}",
        "{read: [/srv], hide: [/srv/data], working_directory: /srv/data}",
    ],
)
def test_working_directory_that_is_not_shown_is_refused(understood: Understood, user_host: Host, text: str) -> None:
    with pytest.raises(ProfileError, match="not in the box"):
        lay(understood(text), user_host)


@pytest.mark.parametrize(
    ("text", "makeable"),
    [
        ("{write: [/srv], read_only: [/srv/none]}", ["/srv/none"]),
        ("{read: [/srv], read_only: [/srv/none]}", []),
        ("{write: [/srv], read_only: [/srv/data, /srv/data/none]}", []),
        ("{overlay: [/srv], read_only: [/srv/none]}", []),
        ("{write: [/srv/data], read_only: [/etc/none]}", []),
    ],
)
def test_read_only_path_that_the_job_could_make_is_told_apart(
    understood: Understood, user_host: Host, text: str, makeable: list[str]
) -> None:
    assert [path for path, _ in lay(understood(text), user_host).makeable] == makeable


@pytest.mark.parametrize(
    ("text", "replaceable"),
    [
        ("{write: [/home/user/other], read_only: [/home/user/other/link]}", ["/home/user/other/link"]),
        ("{read: [/home/user/other], read_only: [/home/user/other/link]}", []),
        ("{write: [/home/user/other], read_only: [/home/user/other, /home/user/other/link]}", []),
        ("{overlay: [/home/user/other], read_only: [/home/user/other/link]}", []),
    ],
)
def test_read_only_path_behind_a_link_that_the_job_could_replace_is_told(
    understood: Understood, user_host: Host, text: str, replaceable: list[str]
) -> None:
    more = {"/home/user/other": PathFact(PathKind.DIRECTORY), "/home/user/other/link": PathFact(PathKind.SYMLINK, target="real")}
    host = user_host.with_paths({**user_host.paths, **more, "/home/user/other/real": PathFact(PathKind.DIRECTORY)})
    assert [path for path, _ in lay(understood(text), host).replaceable] == replaceable
