"""A policy met with the calling process, which gets no box: what it can keep of it, and what would be lost. Pure.

What is lost of a required section refuses, unless the caller says that it may be lost; of a best_effort one it is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from sandboxer.compile.check import check_policy
from sandboxer.compile.in_place.rooms import gather, scene_without_box
from sandboxer.compile.lower import Gathered, assemble
from sandboxer.controls.room import Lack, Room, Scene
from sandboxer.errors import InternalError, Problem
from sandboxer.model.host import Host
from sandboxer.model.op import IN_PLACE, LandlockCreate, LandlockRestrict, LoadFilter, SetCapabilities, SetNoNewPrivs
from sandboxer.model.plan import Plan
from sandboxer.model.policy import Policy

_ELSE = "without --in-place, or `sandboxer.run`"


def lower_in_place(policy: Policy, host: Host, rooms: Sequence[Room], *, becomes_command: bool, may_weaken: bool) -> Plan:
    """The plan of a policy for the calling process.

    becomes_command: the process executes a command then; else it goes on. may_weaken: what cannot be kept is told, and no
    reason to refuse. Raises: HostError with everything that required sections lack; ProfileError for what contradicts itself.
    """
    check_policy(policy, host)
    scene = replace(scene_without_box(policy, host), becomes_command=becomes_command)
    scene = replace(scene, outside_uid=host.uid, outside_gid=host.gid)
    gathered = Gathered()
    scene = gather(policy, scene, rooms, gathered, _ELSE, None if may_weaken else _refusal)
    plan = replace(assemble(policy, gathered, rooms), is_in_place=True)
    check_plan_in_place(plan, scene)
    return plan


def _refusal(room: Room, lack: Lack) -> Problem:
    """What is required and cannot be had."""
    why = f"{lack.lost}: {lack.why}; the section `{room.NAME}` is required"
    attempt = f"{lack.attempt}. If that may be lost: {room.NAME}: {{enforce: best_effort}}, or --weaken (weaken=True)"
    return Problem(f"in place there is no keeping of: {lack.what}", where=lack.place, why=why, attempt=attempt)


def check_plan_in_place(plan: Plan, scene: Scene) -> None:
    """Raises: InternalError for a plan that would do more than narrow its process, or less than it says."""
    faults = list(_faults(plan, scene))
    if faults:
        attempt = "report this with the profile; nothing was changed"
        raise InternalError([Problem(f"the plan of {plan.profile} is wrong: {fault}", attempt=attempt) for fault in faults])


def _faults(plan: Plan, scene: Scene) -> Iterator[str]:
    kinds = [type(step.op) for step in plan.inside]
    if plan.before or plan.after:
        yield "something stands outside of a process that has no outside"
    yield from (f"{kind.__name__} is no op in place" for kind in kinds if kind not in IN_PLACE)
    filters = [number for number, kind in enumerate(kinds) if kind is LoadFilter]
    if not filters or filters != list(range(filters[0], len(kinds))):
        yield "the system call filters are not there, or not last"
    needed = (SetNoNewPrivs, SetCapabilities)
    yield from (
        f"{kind.__name__} is not there, or too late" for kind in needed if kind not in kinds[: filters[0] if filters else 0]
    )
    domains = kinds.count(LandlockRestrict)
    if domains != kinds.count(LandlockCreate) or (scene.shown and not domains):
        yield "a Landlock domain is not entered"
