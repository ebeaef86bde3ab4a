"""What the rooms keep without a box, asked of all of them: for the calling process, and for a child under a monitor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sandboxer.compile.lower import Gathered, make_scene, weakened
from sandboxer.controls.room import Lack, Room, Scene
from sandboxer.errors import HostError, Problem
from sandboxer.model.host import Host
from sandboxer.model.policy import Enforce, Policy, Trait

Refuse = Callable[[Room, Lack], Problem]
_TRAITS = frozenset({Trait.HOST_NETWORK, Trait.USES_KEYRINGS})
"""Those of a policy that mean something without a box."""


def scene_without_box(policy: Policy, host: Host) -> Scene:
    """The scene ahead of the first room."""
    return replace(make_scene(policy, host), traits=policy.traits & _TRAITS, capabilities=0)


def gather(policy: Policy, scene: Scene, rooms: Sequence[Room], gathered: Gathered, box: str, refuse: Refuse | None) -> Scene:
    """What every room keeps, and the scene behind the last of them.

    box: how a box can be had, which would keep all. refuse: words for what a required section loses; None: it may be lost.
    Raises: HostError with everything that required sections lose.
    """
    for room in rooms:
        enforce = policy.enforce.get(room.NAME, Enforce.REQUIRED)
        lowered = room.in_place(policy.settings[room.NAME], replace(scene, enforce=enforce))
        hosts = room.need(policy.settings[room.NAME], scene.host)  # a box would not give these either
        lacks = [lack if lack in hosts else _with_box(lack, box) for lack in lowered.lacks]
        if refuse and enforce is Enforce.REQUIRED:
            gathered.problems += (refuse(room, lack) for lack in lacks)
        gathered.lines += (weakened(room, lack) for lack in lacks)
        gathered.add(room.NAME, lowered)
        scene = replace(scene, shown=scene.shown + lowered.shown)
    if gathered.problems:
        raise HostError(gathered.problems)
    return scene


def _with_box(lack: Lack, box: str) -> Lack:
    return replace(lack, attempt=f"{box}; or {lack.attempt}" if lack.attempt else box)
