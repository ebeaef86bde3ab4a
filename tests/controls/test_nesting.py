"""What nobody can make more of in the box, as the room of namespaces has it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandboxer.controls import namespaces
from sandboxer.controls.room import Scene
from sandboxer.model.host import Host
from sandboxer.model.policy import Trait
from tests.controls.rooms import ALL_NEW, BARE_ROOT, ORDINARY, PRIVILEGED, lines, lowered, steps, understood

BAR = "limits: let no more namespaces be made"
SYS_ADMIN = 1 << 21


@pytest.mark.parametrize("host", [ORDINARY, PRIVILEGED], ids=["ordinary", "privileged"])
def test_no_more_user_namespaces_can_be_made_in_the_boxs_own(host: Host) -> None:
    found = lowered(namespaces, "", host)
    assert f"{BAR} (flags 0x10000000)" in steps(found)
    assert "no more can be made in the box: user" in lines(found)


def test_job_that_its_filter_lets_make_namespaces_makes_them() -> None:
    found = lowered(namespaces, "", ORDINARY, ALL_NEW | {Trait.MAKES_NAMESPACES})
    assert BAR not in steps(found)
    assert "no more" not in lines(found)


@pytest.mark.parametrize(("said", "host"), [("user: /proc/7/ns/user", ORDINARY), ("", BARE_ROOT)], ids=["joined", "none"])
def test_user_namespace_of_others_is_never_barred(said: str, host: Host) -> None:
    assert BAR not in steps(lowered(namespaces, said, host))


def test_job_that_could_make_other_kinds_makes_none_either_but_what_mounts_are_made_in() -> None:
    scene = Scene(ORDINARY, ALL_NEW, capabilities=SYS_ADMIN)
    found = namespaces.lower(understood(namespaces), scene)
    assert f"{BAR} (flags 0x7e000080)" in steps(found)
    assert "no more can be made in the box: pid, net, ipc, uts, user, cgroup, time" in lines(found)


def test_host_that_has_its_settings_read_only_bars_nothing_and_says_so() -> None:
    found = lowered(namespaces, "", replace(ORDINARY, can_bar_namespaces=False))
    assert BAR not in steps(found)
    assert "weakened: more could be made in the box: user - the filter alone keeps the job" in lines(found)
