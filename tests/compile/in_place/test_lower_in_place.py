"""A policy met with a process that has no box: what refuses, what is told, and which plans are no plans in place."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandboxer.compile.in_place.lower import lower_in_place
from sandboxer.controls import ROOMS, landlock
from sandboxer.controls.room import Lack, Lowered, Room, Scene, Shown, Use
from sandboxer.errors import HostError, InternalError
from sandboxer.model.op import IN_PLACE, U32, U64, Blob, LoadFilter, MakePrivate, Op, SetCapabilities, SetNoNewPrivs
from sandboxer.model.plan import Plan
from sandboxer.model.policy import Enforce, Trait
from sandboxer.model.report import Status
from sandboxer.model.stage import Stage
from tests.compile.policies import PLACE, USER, PretendRoom, make_policy, step

LEAST = (
    step(SetCapabilities(U64(0), U64(0), U64(0)), Stage.CAPABILITIES),
    step(SetNoNewPrivs(), Stage.CAPABILITIES),
    step(LoadFilter(U32(0), Blob(bytes(8))), Stage.FILTER),
)
LOST = Lack("the moon", "it is far", "a ladder", "the light of it", PLACE)


def lowered(*rooms: Room, enforce: Enforce = Enforce.REQUIRED, may_weaken: bool = False) -> Plan:
    policy = make_policy(settings={room.NAME: None for room in rooms}, enforce={room.NAME: enforce for room in rooms})
    return lower_in_place(policy, USER, rooms, becomes_command=False, may_weaken=may_weaken)


def giving(*steps: object, **more: object) -> PretendRoom:
    return PretendRoom("test", gives=lambda scene: Lowered(steps=steps, **more))  # type: ignore[arg-type]


def test_what_a_required_section_loses_refuses_with_what_that_is() -> None:
    with pytest.raises(HostError) as caught:
        lowered(giving(*LEAST, lacks=(LOST,)))
    (problem,) = caught.value.problems
    assert (problem.what, problem.where) == ("in place there is no keeping of: the moon", PLACE)
    assert problem.why == "the light of it: it is far; the section `test` is required"
    attempt = "without --in-place, or `sandboxer.run`; or a ladder"
    assert problem.attempt == f"{attempt}. If that may be lost: test: {{enforce: best_effort}}, or --weaken (weaken=True)"


@pytest.mark.parametrize(("enforce", "may_weaken"), [(Enforce.BEST_EFFORT, False), (Enforce.REQUIRED, True)])
def test_what_may_be_lost_is_told(enforce: Enforce, may_weaken: bool) -> None:
    plan = lowered(giving(*LEAST, lacks=(LOST,)), enforce=enforce, may_weaken=may_weaken)
    assert [(line.status, line.what, line.lost) for line in plan.report.lines] == [
        (Status.WEAKENED, "the moon", "the light of it")
    ]
    assert plan.is_in_place


def test_all_that_is_lost_is_told_at_once() -> None:
    other = PretendRoom("other", gives=lambda scene: Lowered(lacks=(replace(LOST, what="the sun"),)))
    with pytest.raises(HostError) as caught:
        lowered(giving(*LEAST, lacks=(LOST,)), other)
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(
    ("steps", "fault"),
    [
        ((*LEAST[:2],), "filters are not there, or not last"),
        ((*LEAST, step(SetNoNewPrivs(), Stage.FILTER)), "filters are not there, or not last"),
        (LEAST[1:], "SetCapabilities is not there, or too late"),
        ((LEAST[0], LEAST[2]), "SetNoNewPrivs is not there, or too late"),
        ((*LEAST, step(MakePrivate(), Stage.PRIVATE)), "MakePrivate is no op in place"),
    ],
)
def test_plan_that_would_do_less_or_more_than_narrow_is_our_bug(steps: tuple[object, ...], fault: str) -> None:
    with pytest.raises(InternalError, match=fault):
        lowered(giving(*steps))


def test_plan_that_shows_paths_and_enters_no_domain_is_our_bug() -> None:
    with pytest.raises(InternalError, match="a Landlock domain is not entered"):
        lowered(giving(*LEAST, shown=(Shown("/usr", Use.READ),)))


def test_rooms_see_none_of_the_traits_of_a_box() -> None:
    seen: list[Scene] = []

    def gives(scene: Scene) -> Lowered:
        seen.append(scene)
        return Lowered(steps=LEAST)

    policy = make_policy(Trait.NEW_PID_NAMESPACE, Trait.HAS_INIT, Trait.HOST_NETWORK, settings={"test": None})
    lower_in_place(policy, USER, [PretendRoom("test", gives=gives)], becomes_command=True, may_weaken=False)
    assert (seen[0].traits, seen[0].becomes_command, seen[0].capabilities) == (frozenset({Trait.HOST_NETWORK}), True, 0)


def test_every_room_says_what_it_keeps() -> None:
    assert all(callable(room.in_place) for room in ROOMS)
    assert landlock.in_place is not landlock.lower


def test_ops_in_place_only_narrow() -> None:
    names = {kind.__name__ for kind in IN_PLACE}
    assert not {name for name in names if name.startswith(("Mount", "Make", "Unshare", "Join", "SetIds", "Open", "Write"))}
    assert all(issubclass(kind, Op) for kind in IN_PLACE)
