"""A policy met with a host that has no boxes: when that is tried, what refuses, and what the plan must be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandboxer.compile.in_place.monitored import lower_without_box, wants_no_box
from sandboxer.controls.room import Lack, Lowered, Room, Scene
from sandboxer.errors import HostError, InternalError
from sandboxer.model.host import Host
from sandboxer.model.op import U32, U64, Blob, KeepRoot, LandlockCreate, LandlockRestrict, LoadFilter, SetCapabilities, Start
from sandboxer.model.op import SetNoNewPrivs as NoNewPrivs
from sandboxer.model.plan import Plan
from sandboxer.model.policy import Enforce, Trait
from sandboxer.model.report import Status
from sandboxer.model.stage import Stage
from tests.compile.policies import PLACE, ROOT, USER, PretendRoom, make_policy, step

NONE = replace(USER, user_namespace_problem="somebody forbids them", user_namespace_mend="ask them")
BARE_ROOT = replace(ROOT, namespaces=ROOT.namespaces - {"user"})
LEAST = (
    step(Start(U64(0)), Stage.START),
    step(KeepRoot(), Stage.ROOT),
    step(SetCapabilities(U64(0), U64(0), U64(0)), Stage.CAPABILITIES),
    step(NoNewPrivs(), Stage.CAPABILITIES),
    step(LandlockCreate(U32(0), *[U64(0)] * 5), Stage.LANDLOCK),
    step(LandlockRestrict(U32(0), U32(0)), Stage.LANDLOCK),
    step(LoadFilter(U32(0), Blob(bytes(8))), Stage.FILTER),
)
LOST = Lack("the moon", "it is far", "", "the light of it", PLACE)


def giving(*steps: object, needs: tuple[Lack, ...] = (), **more: object) -> PretendRoom:
    return PretendRoom("test", needs, gives=lambda scene: Lowered(steps=steps, **more))  # type: ignore[arg-type]


def lowered(*rooms: Room, host: Host = NONE, enforce: Enforce = Enforce.BEST_EFFORT) -> Plan:
    policy = make_policy(settings={room.NAME: None for room in rooms}, enforce={room.NAME: enforce for room in rooms})
    return lower_without_box(policy, host, rooms)


@pytest.mark.parametrize(
    ("host", "enforce", "is_wanted"),
    [
        (NONE, Enforce.BEST_EFFORT, True),
        (NONE, Enforce.REQUIRED, False),
        (USER, Enforce.BEST_EFFORT, False),
        (ROOT, Enforce.BEST_EFFORT, False),
        (BARE_ROOT, Enforce.BEST_EFFORT, False),  # it makes the other namespaces by its capabilities
        (replace(ROOT, namespaces=frozenset({"pid"})), Enforce.BEST_EFFORT, True),
        (replace(ROOT, tried={"mount": 1}), Enforce.BEST_EFFORT, True),  # a filter or a module forbids it
    ],
)
def test_box_is_given_up_where_there_is_none_and_the_profile_lets_it(host: Host, enforce: Enforce, is_wanted: bool) -> None:
    assert wants_no_box(make_policy(enforce={"namespaces": enforce}), host) == is_wanted


def test_what_is_lost_is_told_behind_the_box_itself() -> None:
    plan = lowered(giving(*LEAST, lacks=(LOST,)))
    assert [(line.what, line.status, line.attempt) for line in plan.report.lines] == [
        ("the moon", Status.WEAKENED, "ask them"),
        ("the command runs without a box", Status.WEAKENED, "ask them"),
    ]
    assert not plan.is_in_place


def test_what_a_required_section_loses_refuses_with_both_ways_out() -> None:
    with pytest.raises(HostError) as caught:
        lowered(giving(*LEAST, lacks=(LOST,)), enforce=Enforce.REQUIRED)
    (problem,) = caught.value.problems
    assert problem.what == "without a box there is no keeping of: the moon"
    assert problem.why.endswith("the section `test` is required, and no box can be had here: somebody forbids them")
    assert problem.attempt == "ask them. If that may be lost: test: {enforce: best_effort}, or policies: [box/anywhere]"


def test_what_the_host_lacks_with_a_box_too_keeps_its_own_advice() -> None:
    mine = replace(LOST, attempt="another planet")
    plan = lowered(giving(*LEAST, lacks=(mine,), needs=(mine,)))
    assert plan.report.lines[0].attempt == "another planet"


def test_terminal_needs_a_box() -> None:
    with pytest.raises(HostError, match="a terminal of its own needs a box"):
        lower_without_box(make_policy(), NONE, (), has_terminal=True)


def test_rooms_see_a_monitor_and_none_of_the_traits_of_a_box() -> None:
    seen: list[Scene] = []

    def gives(scene: Scene) -> Lowered:
        seen.append(scene)
        return Lowered(steps=LEAST)

    room = PretendRoom("test", gives=gives)
    policy = make_policy(Trait.NEW_PID_NAMESPACE, Trait.HOST_NETWORK, settings={"test": None})
    for host in (NONE, replace(NONE, uid=0, capabilities=(1 << 21) - 1)):
        lower_without_box(policy, host, [room])
    assert [(scene.traits, scene.has_monitor, scene.becomes_command) for scene in seen] == [
        (frozenset({Trait.HOST_NETWORK}), True, True)
    ] * 2
    assert [scene.outside_uid for scene in seen] == [NONE.uid, NONE.box_id]


@pytest.mark.parametrize(
    ("steps", "fault"),
    [
        ((step(Start(U64(0x20000)), Stage.START), *LEAST[1:]), "namespaces are made where there are none"),
        ((LEAST[0], *LEAST[2:]), "the root is changed where there is no mount namespace|the root is never changed"),
        ((*LEAST[:4], LEAST[6]), "no Landlock domain is entered"),
        (LEAST[:6], "no system call filter is loaded"),
    ],
)
def test_plan_that_is_not_one_without_a_box_is_our_bug(steps: tuple[object, ...], fault: str) -> None:
    with pytest.raises(InternalError, match=fault):
        lowered(giving(*steps))
