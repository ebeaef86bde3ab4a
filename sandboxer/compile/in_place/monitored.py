"""A policy met with a host that can give no box: a child under a monitor keeps what needs no namespace. Pure.

It is for a profile whose section `namespaces` is best_effort. What its other sections lose so refuses the start where they are
required, all of it at once; of best_effort ones it is told. Landlock and the filters are never lost: without them there is no
start.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from sandboxer.compile.check import check_plan, check_policy
from sandboxer.compile.in_place.rooms import gather, scene_without_box
from sandboxer.compile.lower import Gathered, assemble, group_steps
from sandboxer.controls.room import Lack, Room, Scene
from sandboxer.errors import HostError, InternalError, Problem
from sandboxer.model.host import Host
from sandboxer.model.op import KeepRoot, LandlockRestrict, Start, StartByClone
from sandboxer.model.plan import Plan
from sandboxer.model.policy import Enforce, Policy
from sandboxer.model.report import Line, Status

NAMESPACES = "namespaces"
ANYWHERE = "box/anywhere"
"""The policy in which no section requires a box."""


def wants_no_box(policy: Policy, host: Host) -> bool:
    """Whether the profile gives up the box where the host has none."""
    return not host.has_boxes and policy.enforce.get(NAMESPACES) is Enforce.BEST_EFFORT


def lower_without_box(
    policy: Policy, host: Host, rooms: Sequence[Room], *, has_terminal: bool = False, is_watched: bool = False
) -> Plan:
    """The plan of a policy for a host where a box cannot be had; parameters as of `lower_policy`.

    Raises: HostError with everything that required sections lose; ProfileError for what contradicts itself.
    """
    check_policy(policy, host)
    problem = host.user_namespace_problem or "the kernel has no namespaces for it"
    mend = host.user_namespace_mend or "sandboxer check"
    if has_terminal:
        raise HostError(Problem("a terminal of its own needs a box", why=f"no box can be had here: {problem}", attempt=mend))
    lost = "nothing hides the names of the host's files; Landlock and the filter hold the rest"
    gathered = Gathered(lines=[Line(NAMESPACES, Status.WEAKENED, "the command runs without a box", lost, problem, mend)])
    scene = replace(find_scene(policy, host), is_watched=is_watched)

    def refuse(room: Room, lack: Lack) -> Problem:
        why = f"{lack.lost}: {lack.why}; the section `{room.NAME}` is required, and no box can be had here: {problem}"
        attempt = f"{lack.attempt}. If that may be lost: {room.NAME}: {{enforce: best_effort}}, or policies: [{ANYWHERE}]"
        return Problem(f"without a box there is no keeping of: {lack.what}", where=lack.place, why=why, attempt=attempt)

    gather(policy, scene, rooms, gathered, mend, refuse)
    first, last = group_steps(gathered.groups, host)
    gathered.steps = [*first, *gathered.steps, *last]
    plan = assemble(policy, gathered, rooms)
    check_plan(plan, scene.traits)
    faults = list(_faults(plan))
    if faults:
        attempt = "report this with the profile; nothing was started"
        raise InternalError([Problem(f"the plan of {plan.profile} is wrong: {fault}", attempt=attempt) for fault in faults])
    return plan


def find_scene(policy: Policy, host: Host, rooms: Sequence[Room] = ()) -> Scene:
    """The scene behind these rooms; ahead of the first for none."""
    scene = replace(scene_without_box(policy, host), becomes_command=True, has_monitor=True)
    if host.can_become_other:
        number = getattr(policy.settings.get("ids"), "outside", None)
        scene = replace(scene, outside_uid=number or host.box_id, outside_gid=number or host.box_id)
    return gather(policy, scene, rooms, Gathered(), "", None) if rooms else scene


def _faults(plan: Plan) -> Iterator[str]:
    if any(isinstance(step.op, Start | StartByClone) and int(step.op.clone_flags) for step in plan.before):
        yield "namespaces are made where there are none"
    if not any(isinstance(step.op, LandlockRestrict) for step in plan.inside):
        yield "no Landlock domain is entered"
    if not any(isinstance(step.op, KeepRoot) for step in plan.inside):
        yield "the root is changed where there is no mount namespace"
