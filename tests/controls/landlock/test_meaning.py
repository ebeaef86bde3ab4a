"""Walls out of a section and its layers, and what each of them handles in which box."""

from __future__ import annotations

import pytest

from sandboxer.abi.landlock import Kind
from sandboxer.controls import landlock
from sandboxer.controls.landlock.meaning import ALL, OF_KIND, Settings, has_network, missing_rights
from sandboxer.controls.room import Scope
from sandboxer.errors import ProfileError
from sandboxer.model.place import Place
from sandboxer.model.policy import Layer, Trait
from tests.controls.rooms import ALL_NEW, both, section

PLACE = Place("test.yaml", 1, 1)
NETWORK = OF_KIND[Kind.NETWORK]


def settings(text: str = "", *layers: str) -> Settings:
    made = tuple(
        Layer(f"layer {number}", PLACE, {"landlock": section(landlock, layer)}) for number, layer in enumerate(layers, start=1)
    )
    found = landlock.understand(section(landlock, text), Scope("/home/user/project", "/home/user", layers=made))
    assert isinstance(found, Settings)
    return found


def test_nothing_said_is_one_wall_that_handles_everything() -> None:
    (wall,) = settings().walls
    assert (wall.unhandled, dict(wall.ports), wall.handled(ALL_NEW)) == (frozenset(), {}, ALL)


def test_name_of_a_kind_stands_for_all_of_its_rights() -> None:
    (wall,) = settings("unhandled: [filesystem, signal]").walls
    assert wall.handled(ALL_NEW) == ALL - OF_KIND[Kind.FILESYSTEM] - {"signal"}


def test_two_files_leave_alone_what_either_does() -> None:
    found = landlock.understand(both(landlock, "unhandled: [signal]", "unhandled: [execute]"), Scope("/", "/"))
    assert isinstance(found, Settings)
    assert found.walls[0].unhandled == {"signal", "execute"}


@pytest.mark.parametrize("trait", [Trait.HOST_NETWORK, Trait.WANTS_LOOPBACK])
def test_network_that_is_given_is_not_handled_but_for_a_list_of_ports(trait: Trait) -> None:
    assert has_network(ALL_NEW | {trait})
    assert settings().walls[0].handled(ALL_NEW | {trait}) == ALL - NETWORK
    assert settings("connect_tcp: [443]").walls[0].handled(ALL_NEW | {trait}) == ALL - NETWORK | {"connect_tcp"}


def test_network_namespace_that_is_joined_is_a_network() -> None:
    assert has_network(ALL_NEW - {Trait.NEW_NET_NAMESPACE})
    assert not has_network(ALL_NEW)


def test_files_of_a_joined_mount_namespace_are_not_handled() -> None:
    assert settings().walls[0].handled(ALL_NEW | {Trait.JOINED_MOUNT_NAMESPACE}) == ALL - OF_KIND[Kind.FILESYSTEM]


def test_layer_without_unhandled_is_about_its_ports_only() -> None:
    _, wall = settings("", "connect_tcp: [443]").walls
    assert (wall.wanted, wall.ports) == ({"connect_tcp"}, {"connect_tcp": frozenset({443})})


def test_layer_with_unhandled_handles_all_else() -> None:
    _, wall = settings("unhandled: [network]", "unhandled: []").walls
    assert wall.wanted == ALL


def test_layer_that_asks_for_no_right_is_no_wall() -> None:
    found = settings("", "least_abi: 6\nlog: true")
    assert (len(found.walls), found.least_abi, found.walls[0].log) == (1, 6, True)


def test_layer_never_lowers_what_is_required_nor_stops_the_log() -> None:
    found = settings("least_abi: 6\nlog: true", "least_abi: 3\nlog: false\nconnect_tcp: []")
    assert (found.least_abi, [wall.log for wall in found.walls]) == (6, [True, True])


def test_more_walls_than_the_kernel_stacks_are_refused() -> None:
    assert len(settings("", *["bind_tcp: []"] * 15).walls) == 16
    with pytest.raises(ProfileError, match="17 Landlock domains"):
        settings("", *["bind_tcp: []"] * 16)


def test_missing_rights_are_those_of_this_box_only() -> None:
    wall = settings("unhandled: [ioctl_dev]").walls[0]
    assert missing_rights(wall, ALL_NEW | {Trait.HOST_NETWORK}, 3) == ("resolve_unix", "abstract_unix_socket", "signal")
    assert missing_rights(wall, ALL_NEW, 10) == ()


@pytest.mark.parametrize("text", ["unhandled: [fly]", "bind_tcp: [65536]", "bind_tcp: [-1]", "least_abi: 1", "least_abi: 12"])
def test_what_is_no_right_no_port_and_no_abi_is_refused(text: str) -> None:
    with pytest.raises(ProfileError):
        section(landlock, text)
