"""How a box starts where clone3 is hidden, as the room of namespaces has it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandboxer.controls import namespaces
from sandboxer.controls.room import Scene
from sandboxer.errors import HostError
from sandboxer.model.host import Host
from sandboxer.model.policy import Enforce, Trait
from tests.controls.rooms import ALL_NEW, ORDINARY, PRIVILEGED, lines, lowered, steps, text, understood

HIDDEN = replace(ORDINARY, missing_calls=("clone3",))
WITHOUT_INIT = ALL_NEW - {Trait.HAS_INIT}


def test_ordinary_user_gets_a_new_clock_with_the_fork_of_pid_1() -> None:
    assert steps(lowered(namespaces, "", HIDDEN)) == text(
        """
        start: start the child in new namespaces, without clone3 (clone flags 0x7e020000)
        join: enter new namespaces (flags 0x80)
        private: cut mounts off from the host's
        limits: let no more namespaces be made (flags 0x10000000)
        """
    )


def test_privileged_caller_gets_it_in_the_same_way() -> None:
    shown = steps(lowered(namespaces, "", replace(PRIVILEGED, missing_calls=("clone3",))))
    assert shown.splitlines()[:2] == [
        "start: start the child in new namespaces, without clone3 (clone flags 0x20020000)",
        "join: enter new namespaces (flags 0x80)",
    ]


@pytest.mark.parametrize("host", [ORDINARY, PRIVILEGED], ids=["ordinary", "privileged"])
def test_shifted_clocks_are_shifted_as_ever(host: Host) -> None:
    found = [
        steps(lowered(namespaces, "time_offsets: {boottime: 1h}", one, ALL_NEW | {Trait.SHIFTS_CLOCKS}))
        for one in (host, replace(host, missing_calls=("clone3",)))
    ]
    assert found[0] == found[1].replace(", without clone3", "")


def test_other_missing_calls_start_as_ever() -> None:
    assert steps(lowered(namespaces, "", replace(ORDINARY, missing_calls=("fsopen",)))) == steps(
        lowered(namespaces, "", ORDINARY)
    )


def test_box_without_a_pid_1_of_ours_has_no_new_clock_and_is_refused_where_it_has_to() -> None:
    scene = Scene(HIDDEN, WITHOUT_INIT)
    with pytest.raises(HostError, match="a new time namespace"):
        namespaces.lower(understood(namespaces), scene)
    found = namespaces.lower(understood(namespaces), replace(scene, enforce=Enforce.BEST_EFFORT))
    assert "0x80)" not in steps(found)
    assert "weakened: a new time namespace - the box shares with the host the offsets of its clocks" in lines(found)


def test_box_without_a_pid_1_of_ours_starts_where_the_clock_is_the_hosts_or_clone3_is_there() -> None:
    assert "weakened" not in lines(lowered(namespaces, "time: host", HIDDEN, WITHOUT_INIT))
    assert "clone flags 0x7e020080" in steps(lowered(namespaces, "", ORDINARY, WITHOUT_INIT))
