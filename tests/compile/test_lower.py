"""A policy meets a host: refusals, weakening, the order of the steps, and what rooms may read of each other."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from sandboxer.compile.lower import lower_policy, make_scene
from sandboxer.controls.room import Lack, Lowered, Room, Scene, Shown, Use
from sandboxer.errors import HostError, ProfileError
from sandboxer.model.op import U32, MakeDirectory, SetUmask, Text
from sandboxer.model.plan import Plan, Step
from sandboxer.model.policy import Enforce, Policy, Trait
from sandboxer.model.report import Line, Status
from sandboxer.model.stage import Stage
from tests.compile.policies import PLACE, ROOT, USER, PretendRoom, least_steps, make_policy, said, step

LEAST = PretendRoom("least", gives=lambda scene: Lowered(least_steps()))
LACK = Lack("no time namespaces", "the kernel is too old", "use a newer one", "the clocks of the host are seen")


def lowered(rooms: Sequence[Room], policy: Policy | None = None, **enforce: Enforce) -> Plan:
    policy = policy or make_policy(settings={room.NAME: None for room in rooms}, enforce=enforce)
    return lower_policy(policy, USER, rooms)


def giving(name: str, *steps: Step, **more: object) -> PretendRoom:
    return PretendRoom(name, gives=lambda scene: Lowered(steps, **more))  # type: ignore[arg-type]


def test_lack_of_a_required_section_is_refused() -> None:
    with pytest.raises(HostError) as caught:
        lowered([LEAST, PretendRoom("clocks", (LACK,))])
    problem = caught.value.problems[0]
    assert (problem.what, problem.attempt) == ("no time namespaces", "use a newer one")
    assert problem.why == "the kernel is too old; the section `clocks` is required"


def test_lacks_of_all_required_sections_are_told_at_once() -> None:
    with pytest.raises(HostError) as caught:
        lowered([LEAST, PretendRoom("clocks", (LACK, LACK)), PretendRoom("other", (LACK,))])
    assert len(caught.value.problems) == 3


def test_lack_without_a_place_is_shown_where_its_section_was_said() -> None:
    policy = make_policy(settings={"least": None, "clocks": None}, said={"clocks": said(time="new")})
    with pytest.raises(HostError) as caught:
        lowered([LEAST, PretendRoom("clocks", (LACK,))], policy)
    assert caught.value.problems[0].where == PLACE


def test_lack_of_a_best_effort_section_weakens_and_is_reported() -> None:
    plan = lowered([LEAST, PretendRoom("clocks", (LACK,))], clocks=Enforce.BEST_EFFORT)
    line = plan.report.lines[0]
    assert (line.status, line.control, line.lost) == (Status.WEAKENED, "clocks", "the clocks of the host are seen")
    assert plan.report.is_weakened


def test_plan_without_lacks_is_not_weakened() -> None:
    assert not lowered([LEAST]).report.is_weakened


def test_weakening_that_a_room_tells_twice_is_reported_once() -> None:
    line = Line("clocks", Status.WEAKENED, LACK.what, LACK.lost)
    room = PretendRoom("clocks", (LACK,), gives=lambda scene: Lowered(lines=(line,)))
    assert len(lowered([LEAST, room], clocks=Enforce.BEST_EFFORT).report.lines) == 1


def test_steps_are_sorted_by_stage_and_stay_in_the_order_of_their_room() -> None:
    first, second = (step(MakeDirectory(Text(path), U32(0)), Stage.MOUNTS) for path in ("/b", "/a"))
    late = step(SetUmask(U32(0)), Stage.PLACE)
    plan = lowered([giving("one", late, first, second), LEAST])
    ours = [one.op for one in plan.inside if isinstance(one.op, MakeDirectory | SetUmask)]
    assert ours == [first.op, second.op, late.op]


def test_steps_are_in_their_lists() -> None:
    plan = lowered([LEAST])
    assert ([one.stage for one in plan.before], plan.after) == ([Stage.START], ())


def test_report_follows_the_order_of_the_rooms() -> None:
    rooms = [giving(name, lines=(Line(name, Status.ENFORCED, "it holds"),)) for name in ("b", "a")]
    assert [line.control for line in lowered([LEAST, *rooms]).report.lines] == ["b", "a"]


def test_recipe_joins_what_rooms_pass_and_set() -> None:
    rooms = [giving("one", passed=("A", "B"), set=(("X", "1"),)), giving("two", passed=("A",), set=(("Y", "2"),))]
    recipe = lowered([LEAST, *rooms]).recipe
    assert (recipe.passed, recipe.set, recipe.terminal) == (("A", "B"), (("X", "1"), ("Y", "2")), False)


def test_terminal_is_known_to_rooms_and_to_the_recipe() -> None:
    seen: list[Scene] = []

    def look(scene: Scene) -> Lowered:
        seen.append(scene)
        return Lowered(least_steps())

    policy = make_policy(Trait.FRESH_DEV, settings={"least": None}, said={"devices": said(dev="minimal")})
    plan = lower_policy(policy, USER, [PretendRoom("least", gives=look)], has_terminal=True)
    assert plan.recipe.terminal
    assert Trait.HAS_TERMINAL in seen[0].traits


@pytest.mark.parametrize("is_watched", [True, False])
def test_rooms_know_whether_somebody_watches(is_watched: bool) -> None:
    seen: list[Scene] = []

    def look(scene: Scene) -> Lowered:
        seen.append(scene)
        return Lowered(least_steps())

    lower_policy(make_policy(settings={"least": None}), USER, [PretendRoom("least", gives=look)], is_watched=is_watched)
    assert seen[0].is_watched is is_watched


def test_scene_has_the_word_of_its_own_section() -> None:
    seen: dict[str, Enforce] = {}

    def room(name: str) -> PretendRoom:
        def look(scene: Scene) -> Lowered:
            seen[name] = scene.enforce
            return Lowered()

        return PretendRoom(name, gives=look)

    lowered([LEAST, room("strict"), room("lax")], lax=Enforce.BEST_EFFORT)
    assert seen == {"strict": Enforce.REQUIRED, "lax": Enforce.BEST_EFFORT}


def test_policy_that_contradicts_itself_is_refused_ahead_of_the_host() -> None:
    policy = make_policy(Trait.FRESH_PROC, settings={"clocks": None})
    with pytest.raises(ProfileError):
        lowered([PretendRoom("clocks", (LACK,))], policy)


def test_scene_of_a_privileged_caller_has_the_ids_that_the_profile_says() -> None:
    ids = SimpleNamespace(user=7, group=8, outside=4321, name="joe")
    scene = make_scene(make_policy(settings={"ids": ids}), ROOT)
    assert (scene.inside_uid, scene.inside_gid, scene.user_name) == (7, 8, "joe")
    assert (scene.outside_uid, scene.outside_gid) == (4321, 4321)


def test_scene_of_an_ordinary_user_stands_for_that_user() -> None:
    scene = make_scene(make_policy(settings={"ids": SimpleNamespace(outside=4321)}), USER)
    assert (scene.outside_uid, scene.outside_gid) == (USER.uid, USER.gid)


def test_what_a_room_shows_is_seen_by_the_rooms_after_it() -> None:
    seen: list[tuple[Shown, ...]] = []

    def look(scene: Scene) -> Lowered:
        seen.append(scene.shown)
        return Lowered()

    usr, tmp = Shown("/usr", Use.READ), Shown("/tmp", Use.READ | Use.MAKE)
    shows = [giving("files", shown=(usr,)), PretendRoom("one", gives=look), giving("more", shown=(tmp,))]
    lowered([LEAST, *shows, PretendRoom("two", gives=look)])
    assert seen == [(usr,), (usr, tmp)]
