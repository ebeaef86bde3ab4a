"""What the section shows, in the words that other rooms understand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from sandboxer.controls.room import Lowered, Use
from sandboxer.model.host import Host, PathFact, PathKind
from sandboxer.model.policy import Enforce, Trait

READ = Use.LIST | Use.READ
WRITE = READ | Use.CHANGE | Use.MAKE | Use.CONNECT
ALWAYS = {"/": Use.LIST, "/etc/passwd": Use.READ, "/etc/group": Use.READ}
Shows = Callable[..., dict[str, Use]]


@pytest.fixture
def shows(lowered: Callable[..., Lowered], user_host: Host) -> Shows:
    """Path -> use; what every box has is left out."""

    def show(text: str, host: Host = user_host, **scene: object) -> dict[str, Use]:
        found = {item.path: item.use for item in lowered(text, host, **scene).shown}
        assert {path: found.pop(path) for path in ALWAYS} == ALWAYS
        return found

    return show


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("read: [/usr]", {"/usr": READ}),
        ("execute: [/usr]", {"/usr": READ | Use.EXECUTE}),
        ("write: [/srv/data]", {"/srv/data": WRITE}),
        ("{write: [/srv/data], execute: [/srv/data]}", {"/srv/data": WRITE | Use.EXECUTE}),
        ("read: [/etc/hosts]", {"/etc/hosts": Use.READ}),
        ("write: [~/project/note]", {"/home/user/project/note": Use.READ | Use.CHANGE | Use.CONNECT}),
        ("tmpfs: [/tmp]", {"/tmp": WRITE}),
        ("tmpfs: [{path: /tmp, execute: true}]", {"/tmp": WRITE | Use.EXECUTE}),
        ("files: [{path: /etc/motd, text: hello}]", {"/etc/motd": Use.READ}),
        ("proc: fresh", {"/proc": READ | Use.CHANGE}),
        ("overlay: [{path: ~/project, changes: discard}]", {"/home/user/project": WRITE}),
        ("mounts: [{from: /srv/data, to: /data, access: [read]}]", {"/data": READ}),
    ],
)
def test_grant_shows_what_its_mount_allows(shows: Shows, text: str, expected: dict[str, Use]) -> None:
    assert shows(text) == expected


def test_path_is_that_in_the_box_and_has_no_link_in_it(shows: Shows) -> None:
    assert shows("{read: [/bin], symlinks: [{path: /etc/link, target: /usr}]}").keys() == {"/usr/bin"}


def test_pins_and_covers_and_what_stays_read_only_show_nothing_more(shows: Shows) -> None:
    text = "{write: [~/project], read_only: [~/project/.git], hide: [~/project/data]}"
    assert shows(text) == {"/home/user/project": WRITE, "/home/user/project/.git": READ}


def test_socket_is_there_to_be_spoken_to_and_a_directory_is_not(shows: Shows, user_host: Host) -> None:
    host = user_host.with_paths({"/srv/socket": PathFact(PathKind.SOCKET)})
    assert shows("read: [/srv/socket, /srv/data]", host) == {"/srv/socket": Use.READ | Use.CONNECT, "/srv/data": READ}


def test_proc_that_cannot_be_mounted_is_not_shown(lowered: Callable[..., Lowered], user_host: Host) -> None:
    host = replace(user_host, has_fresh_proc=False)
    assert "/proc" not in {item.path for item in lowered("proc: fresh", host, enforce=Enforce.BEST_EFFORT).shown}


def test_joined_mount_namespace_shows_nothing(lowered: Callable[..., Lowered], user_host: Host) -> None:
    assert lowered("{}", user_host, traits=frozenset({Trait.JOINED_MOUNT_NAMESPACE})).shown == ()
