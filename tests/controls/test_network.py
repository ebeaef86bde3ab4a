"""The network: none, loopback or the host's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandboxer.controls import network
from sandboxer.controls.network import Settings
from sandboxer.errors import ProfileError
from sandboxer.model.policy import Trait
from tests.controls.rooms import (
    ALL_NEW,
    ORDINARY,
    PRIVILEGED,
    WITHOUT_USER_NAMESPACES,
    both,
    lines,
    lowered,
    section,
    steps,
    under,
    understood,
)


def test_nothing_said_is_no_network_and_no_op() -> None:
    result = lowered(network, "", ORDINARY)
    assert (steps(result), lines(result)) == ("", "no network")


@pytest.mark.parametrize("host", [ORDINARY, PRIVILEGED])
def test_loopback_is_brought_up(host: object) -> None:
    result = lowered(network, "mode: loopback", host)  # type: ignore[arg-type]
    assert steps(result) == "network: bring up the loopback interface"
    assert lines(result) == "a loopback interface of its own, no other network"


def test_host_network_touches_nothing() -> None:
    result = lowered(network, "mode: host", ORDINARY, ALL_NEW | {Trait.HOST_NETWORK})
    assert (steps(result), lines(result)) == ("", "the host's network, as the profile says")


def test_joined_namespace_is_left_as_it_is() -> None:
    result = lowered(network, "", PRIVILEGED, ALL_NEW - {Trait.NEW_NET_NAMESPACE})
    assert (steps(result), lines(result)) == ("", "the network of the joined namespace")


def test_missing_namespace_is_reported_as_lost() -> None:
    host = replace(ORDINARY, namespaces=ORDINARY.namespaces - {"net"})
    expected = "weakened: the host's network - the job has the host's network instead of none"
    assert lines(lowered(network, "", host)) == expected
    assert lines(lowered(network, "", WITHOUT_USER_NAMESPACES)) == expected


def test_wider_parent_wins_and_a_layer_takes_it_back() -> None:
    assert understood(network, both(network, "mode: none", "mode: host")) == Settings("host")
    assert understood(network, under(network, "mode: host", "mode: loopback")) == Settings("loopback")
    assert understood(network, under(network, "", "mode: host")) == Settings("none")


def test_unknown_mode_names_the_known_ones() -> None:
    with pytest.raises(ProfileError, match=r"unknown network mode 'bridge'\n.*\n.*\n  try: one of none, loopback, host"):
        section(network, "mode: bridge")


def test_traits_follow_the_mode() -> None:
    assert [network.traits(understood(network, f"mode: {mode}")) for mode in network.MODES] == [
        frozenset(),
        {Trait.WANTS_LOOPBACK},
        {Trait.HOST_NETWORK},
    ]


def test_widens_tells_a_wider_mode_only() -> None:
    none, host = understood(network), understood(network, "mode: host")
    assert network.widens(none, host) == ("network.mode: host instead of none",)
    assert network.widens(host, none) == ()
