"""What a profile shows of a pretended host: links, missing paths, mount points, and what is denied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from sandboxer.controls.filesystem.gather import Gathering
from sandboxer.controls.filesystem.settings import Settings
from sandboxer.errors import ProfileError
from sandboxer.model.host import Host
from tests.controls.filesystem.conftest import fact

Understood = Callable[[str], Settings]


def gather(settings: Settings, host: Host) -> Gathering:
    found = Gathering(settings, host)
    found.gather()
    return found


def test_grant_through_a_link_shows_the_target_and_makes_the_link(understood: Understood, user_host: Host) -> None:
    found = gather(understood("execute: [/bin]"), user_host)
    assert [show.target for show in found.tree.shows] == ["/usr/bin"]
    assert found.new_links["/bin"].text == "usr/bin"


PLANTED = {"/home/user/project/out": "-> /srv/data", "/home/user/project/in": "-> data", "/home/user/out": "-> /srv/data"}


@pytest.fixture
def planted(user_host: Host) -> Host:
    """A project in which links lie: one out of it, one within it; and one beside it."""
    return replace(user_host, paths={**user_host.paths, **{path: fact(words) for path, words in PLANTED.items()}})


@pytest.mark.parametrize("grant", ["read: [out]", "execute: [out]", "write: [., out]", "read: [out/inner]", "mounts: [out]"])
def test_link_that_a_job_may_have_made_leads_no_grant_out(grant: str, understood: Understood, planted: Host) -> None:
    text = grant.replace("out", "/home/user/project/out").replace("[.", "[/home/user/project")
    text = text.replace("mounts: [/home/user/project/out]", "mounts: [{from: /home/user/project/out, to: /data}]")
    if "write" not in text:
        text = f"write: [/home/user/project]\n{text}"
    with pytest.raises(ProfileError, match=r"leads to /srv/data.*through the link /home/user/project/out"):
        gather(understood(text), planted)


def test_optional_grant_through_such_a_link_is_left_out(understood: Understood, planted: Host) -> None:
    found = gather(understood("write: [/home/user/project]\nread: ['/home/user/project/out?']"), planted)
    assert [show.target for show in found.tree.shows] == ["/home/user/project"]
    assert "which a job may have made" in found.unused[0][0]


@pytest.mark.parametrize(
    "text",
    [
        "write: [/home/user/project]\nread: [/home/user/project/in]",
        "write: [/home/user/project]\nread: [/home/user/out]",
        "read: [/home/user/project, /home/user/project/out]",
    ],
)
def test_link_that_no_job_made_or_that_stays_within_is_followed(text: str, understood: Understood, planted: Host) -> None:
    assert gather(understood(text), planted).tree.shows


def test_link_inside_a_shown_directory_is_not_made_again(understood: Understood, user_host: Host) -> None:
    found = gather(understood("read: [/etc, /etc/localtime]"), user_host)
    assert "/etc/localtime" not in found.new_links
    assert {show.target for show in found.tree.shows} == {"/etc", "/usr/share/zoneinfo/UTC"}


@pytest.mark.parametrize("path", ["/home/user", "~/", "/home"])
def test_home_cannot_be_granted_for_writing(path: str, understood: Understood, user_host: Host) -> None:
    with pytest.raises(ProfileError, match="holds the caller's home directory"):
        gather(understood(f"write: ['{path}']"), user_host)


@pytest.mark.parametrize("text", ["read: [/home/user]", "write: [/home/user/project]"])
def test_home_for_reading_and_what_lies_below_it_can_be_granted(text: str, understood: Understood, user_host: Host) -> None:
    assert gather(understood(text), user_host).tree.shows


def test_missing_path_is_refused_with_a_hint(understood: Understood, user_host: Host) -> None:
    with pytest.raises(ProfileError, match=r"/nope does not exist(.|\n)*/nope\? if"):
        gather(understood("read: [/nope]"), user_host)


def test_missing_optional_path_is_left_out_and_reported(understood: Understood, user_host: Host) -> None:
    found = gather(understood('read: ["/nope?", /usr]'), user_host)
    assert [path for path, _ in found.absent] == ["/nope"]
    assert [show.target for show in found.tree.shows] == ["/usr"]


def test_link_of_a_missing_optional_path_is_not_made(understood: Understood, user_host: Host) -> None:
    assert gather(understood('read: ["/bin/nope?"]'), user_host).new_links == {}


def test_link_loop_is_refused(understood: Understood, user_host: Host) -> None:
    with pytest.raises(ProfileError, match="too many symbolic links"):
        gather(understood("read: [/loop]"), user_host)


def test_every_missing_path_is_reported_at_once(understood: Understood, user_host: Host) -> None:
    with pytest.raises(ProfileError) as caught:
        gather(understood("{read: [/no, /nope], write: [/never]}"), user_host)
    assert len(caught.value.problems) == 3


def test_two_sources_at_one_mount_point_are_refused(understood: Understood, user_host: Host) -> None:
    with pytest.raises(ProfileError, match="would show two things"):
        gather(understood("mounts: [{from: /usr, to: /x}, {from: /srv, to: /x}]"), user_host)


def test_tmpfs_over_a_grant_of_the_same_path_is_refused(understood: Understood, user_host: Host) -> None:
    with pytest.raises(ProfileError, match="made empty"):
        gather(understood("{read: [/srv], tmpfs: [/srv]}"), user_host)


def test_grant_below_a_hidden_path_is_refused_with_both_places(understood: Understood, user_host: Host) -> None:
    with pytest.raises(ProfileError, match=r"test.yaml:2:8: /srv/data/inner can never be seen(.|\n)*test.yaml:1:8"):
        gather(understood("hide: [/srv/data]\nread: [/srv/data/inner]\n"), user_host)


def test_optional_grant_below_a_hidden_path_is_left_out(understood: Understood, user_host: Host) -> None:
    found = gather(understood('{hide: [/srv/data], read: ["/srv/data/inner?", /srv]}'), user_host)
    assert [show.target for show in found.tree.shows] == ["/srv"]
    assert "left out" in found.unused[0][0]


def test_hidden_path_is_hidden_wherever_it_is_shown(understood: Understood, user_host: Host) -> None:
    text = "{read: [/srv], mounts: [{from: /srv/data, to: /mnt}], hide: [/srv/data/secret]}"
    found = gather(understood(text), user_host)
    assert set(found.hidden) == {"/srv/data/secret", "/mnt/secret"}


def test_hidden_path_by_its_name_in_the_box_is_hidden(understood: Understood, user_host: Host) -> None:
    found = gather(understood("{mounts: [{from: /srv/data, to: /mnt}], hide: [/mnt/secret]}"), user_host)
    assert set(found.hidden) == {"/mnt/secret"}


def test_hidden_path_through_a_link_hides_the_target(understood: Understood, user_host: Host) -> None:
    found = gather(understood("{read: [/home/user/project], hide: [/home/user/link/note]}"), user_host)
    assert set(found.hidden) == {"/home/user/project/note"}


def test_hidden_path_that_is_missing_needs_nothing(understood: Understood, user_host: Host) -> None:
    found = gather(understood("{read: [/srv], hide: [/srv/none, /etc]}"), user_host)
    assert found.hidden == {}
    assert [path for path, _ in found.not_shown] == ["/srv/none", "/etc"]


def test_link_in_a_directory_of_the_host_is_left_to_the_host(understood: Understood, user_host: Host) -> None:
    found = gather(understood("{read: [/srv], symlinks: [{path: /srv/x, target: /tmp}, {path: /y, target: /tmp}]}"), user_host)
    assert set(found.new_links) == {"/y"}
    assert "/srv/x" in found.unused[0][0]


def test_writing_in_an_overlay_reaches_the_host_and_reading_adds_nothing(understood: Understood, user_host: Host) -> None:
    text = "{overlay: [/home/user/project], write: [/home/user/project/data], read: [/home/user/project/bin]}"
    found = gather(understood(text), user_host)
    assert {show.target for show in found.tree.shows} == {"/home/user/project", "/home/user/project/data"}


def test_executing_a_part_of_an_overlay_is_refused(understood: Understood, user_host: Host) -> None:
    with pytest.raises(ProfileError, match=r"execute: \[/home/user/project\]"):
        gather(understood("{overlay: [/home/user/project], execute: [/home/user/project/bin]}"), user_host)
    gather(understood("{overlay: [/home/user/project], execute: [/home/user/project, /home/user/project/bin]}"), user_host)


def test_overlay_that_is_granted_for_writing_is_refused(understood: Understood, user_host: Host) -> None:
    with pytest.raises(ProfileError, match="is an overlay"):
        gather(understood("{overlay: [/srv/data], write: [/srv/data]}"), user_host)


def test_overlay_over_a_file_is_refused(understood: Understood, user_host: Host) -> None:
    with pytest.raises(ProfileError, match="not a directory"):
        gather(understood("overlay: [/srv/data/secret]"), user_host)
