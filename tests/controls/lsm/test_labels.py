"""What both rooms that give labels say of a host, of what is not loaded, and of a process without a box."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from sandboxer.controls.lsm import apparmor, selinux
from sandboxer.controls.room import Room, Scene, Shown, Use
from sandboxer.model.host import Host, Unloaded
from sandboxer.model.policy import Enforce
from sandboxer.model.report import Status
from tests.controls.rooms import ALL_NEW, ORDINARY, understood

SCENE = Scene(ORDINARY, ALL_NEW, shown=(Shown("/srv", Use.LIST | Use.READ),))


@dataclass(frozen=True)
class Label:
    """A room, how it is asked for a label that is made, that label's name, how many steps give it, and a host without any."""

    room: Room
    text: str
    name: str
    steps: int
    without: Host
    what: str


APPARMOR = Label(
    apparmor,
    "profile: generate",
    apparmor.make_label(SCENE).name,
    1,
    replace(ORDINARY, apparmor_problem="the kernel has none", apparmor_mend="boot with it"),
    "an AppArmor label without a box",
)
SELINUX = Label(
    selinux,
    "type: generate",
    selinux.make_module(SCENE).domain,
    2,
    replace(ORDINARY, selinux_problem="the kernel has none", selinux_mend="boot with it"),
    "an SELinux domain without a box",
)
BOTH = pytest.mark.parametrize("label", [APPARMOR, SELINUX], ids=["apparmor", "selinux"])


def unloaded(name: str) -> Scene:
    return replace(SCENE, host=replace(ORDINARY, unloaded=(Unloaded(name, "", "load it"),)))


@pytest.mark.parametrize(
    ("label", "text"),
    [
        *((APPARMOR, text) for text in ("", "profile: none", "mode: complain")),
        *((SELINUX, text) for text in ("", "type: none", "categories: none")),
    ],
    ids=lambda item: item or "nothing" if isinstance(item, str) else item.room.NAME,
)
def test_nothing_said_is_no_label_no_word_and_no_need(label: Label, text: str) -> None:
    settings = understood(label.room, text)
    assert label.room.need(settings, label.without) == ()
    lowered = label.room.lower(settings, SCENE)
    assert (lowered.steps, lowered.lines, label.room.explain(settings)) == ((), (), ())
    assert label.room.traits(settings) == frozenset()


@BOTH
def test_host_without_the_security_module_lacks_it_and_one_with_it_lacks_nothing(label: Label) -> None:
    settings = understood(label.room, label.text)
    (lack,) = label.room.need(settings, label.without)
    assert (lack.why, lack.attempt) == ("the kernel has none", "boot with it")
    assert lack.place is not None
    assert label.room.lower(settings, replace(SCENE, host=label.without, enforce=Enforce.BEST_EFFORT)).steps == ()
    assert label.room.need(settings, ORDINARY) == ()


@BOTH
def test_best_effort_label_that_is_not_loaded_is_weakened(label: Label) -> None:
    scene = replace(unloaded(label.name), enforce=Enforce.BEST_EFFORT)
    lowered = label.room.lower(understood(label.room, label.text), scene)
    (line,) = lowered.lines
    assert (line.status, line.attempt, lowered.steps) == (Status.WEAKENED, "load it", ())


@BOTH
def test_another_label_that_is_not_loaded_is_nobodys_business(label: Label) -> None:
    assert len(label.room.lower(understood(label.room, label.text), unloaded("other")).steps) == label.steps


@BOTH
def test_process_without_a_box_lacks_a_label_that_is_wanted_and_no_other(label: Label) -> None:
    lowered = label.room.in_place(understood(label.room, label.text), SCENE)
    assert (lowered.steps, [lack.what for lack in lowered.lacks]) == ((), [label.what])
    assert label.room.in_place(understood(label.room, ""), SCENE).lacks == ()
