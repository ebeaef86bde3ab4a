"""A policy meets a host: every room says what it lacks, then gives its ops; sorted by stage they are the plan. Pure.

What the host cannot give of a required section refuses the start, all of it at once. What it cannot give of a best_effort
section becomes a line of the report. This module knows no control by name but `ids`, `process` and `capabilities`, whose names
and numbers every room may read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sandboxer.compile.check import check_plan, check_policy
from sandboxer.controls.room import Lack, Lowered, Room, Scene, Want
from sandboxer.errors import HostError, Problem
from sandboxer.model.host import Hierarchy, Host
from sandboxer.model.op import (
    U32,
    AwaitOutside,
    EnterGroups,
    MakeGroup,
    MoveChild,
    ReadSpaces,
    RemoveGroups,
    ShowSpace,
    SweepGroups,
    Text,
    TextList,
)
from sandboxer.model.place import Place
from sandboxer.model.plan import Plan, Recipe, Step
from sandboxer.model.policy import Enforce, Policy, Trait
from sandboxer.model.report import Line, Report, Status
from sandboxer.model.stage import Stage
from sandboxer.units import UNLIMITED

CPUSET_FILES = ("cpuset.cpus", "cpuset.mems")
"""What a new v1 group has none of, and no process may enter without. cpuset(7)."""


@dataclass(slots=True)
class Gathered:
    """What the rooms gave so far."""

    steps: list[Step] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    set: list[tuple[str, str]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    groups: dict[str, tuple[Want, ...]] = field(default_factory=dict)

    def add(self, room: str, lowered: Lowered) -> None:
        if lowered.groups:
            self.groups[room] = lowered.groups
        self.steps += lowered.steps
        self.lines += lowered.lines
        self.passed += lowered.passed
        self.set += lowered.set


def lower_policy(
    policy: Policy, host: Host, rooms: Sequence[Room], *, has_terminal: bool = False, is_watched: bool = False
) -> Plan:
    """The plan of a policy for a host.

    has_terminal: the command gets a pseudo-terminal; that is the caller's wish and no right, so no profile says it.
    is_watched: the caller wants to hear of what is refused, which stays the same.
    Raises: HostError with everything that required sections lack; ProfileError for what contradicts itself.
    """
    if has_terminal:
        policy = replace(policy, traits=policy.traits | {Trait.HAS_TERMINAL})
    check_policy(policy, host)
    gathered = Gathered()
    scene = replace(make_scene(policy, host), is_watched=is_watched)
    _ask_for_needs(policy, host, rooms, gathered)
    _lower_rooms(policy, scene, rooms, gathered)
    first, last = group_steps(gathered.groups, host)
    gathered.steps = [*first, *gathered.steps, *_look_at_spaces(gathered.steps), *last]
    plan = assemble(policy, gathered, rooms)
    check_plan(plan, policy.traits)
    return plan


def find_scene(policy: Policy, host: Host, rooms: Sequence[Room]) -> Scene:
    """The scene behind the last room: with everything that the box shows and holds back.

    Raises: as `lower_policy`, for a box that cannot be has nothing to show.
    """
    check_policy(policy, host)
    gathered = Gathered()
    _ask_for_needs(policy, host, rooms, gathered)
    return _lower_rooms(policy, make_scene(policy, host), rooms, gathered)


def _ask_for_needs(policy: Policy, host: Host, rooms: Sequence[Room], gathered: Gathered) -> None:
    """What the host lacks: lines for best_effort sections. Raises: HostError with everything that required ones lack."""
    for room in rooms:
        lacks = room.need(policy.settings[room.NAME], host)
        if lacks and policy.enforce.get(room.NAME, Enforce.REQUIRED) is Enforce.REQUIRED:
            gathered.problems += (_refusal(room, lack, policy) for lack in lacks)
        else:
            gathered.lines += (weakened(room, lack) for lack in lacks)
    if gathered.problems:
        raise HostError(gathered.problems)


def _lower_rooms(policy: Policy, scene: Scene, rooms: Sequence[Room], gathered: Gathered) -> Scene:
    """Each room's part, in order; each reads what those before it show."""
    for room in rooms:
        enforce = policy.enforce.get(room.NAME, Enforce.REQUIRED)
        lowered = room.lower(policy.settings[room.NAME], _with_enforce(scene, enforce))
        gathered.add(room.NAME, lowered)
        scene = replace(scene, shown=scene.shown + lowered.shown, held=scene.held + lowered.held)
    return scene


def make_scene(policy: Policy, host: Host) -> Scene:
    """What rooms may read of each other. The ids come from the room `ids`; the host's own stand outside for an ordinary user."""
    ids = policy.settings.get("ids")
    outside = _number(getattr(ids, "outside", None), host.box_id)
    return Scene(
        host=host,
        traits=policy.traits,
        layers=policy.layers,
        inside_uid=_number(getattr(ids, "user", None), 1000),
        inside_gid=_number(getattr(ids, "group", None), 1000),
        outside_uid=outside if host.is_privileged else host.uid,
        outside_gid=outside if host.is_privileged else host.gid,
        user_name=str(getattr(ids, "name", "sandbox")),
        host_name=str(getattr(policy.settings.get("process"), "hostname", "sandbox")),
        capabilities=_number(getattr(policy.settings.get("capabilities"), "held", None), 0),
        disk_bytes=_number(getattr(policy.settings.get("limits"), "disk_bytes", None), UNLIMITED),
    )


def _number(value: object, default: int) -> int:
    return value if isinstance(value, int) else default


def _with_enforce(scene: Scene, enforce: Enforce) -> Scene:
    return scene if scene.enforce is enforce else replace(scene, enforce=enforce)


def _refusal(room: Room, lack: Lack, policy: Policy) -> Problem:
    why = f"{lack.why}; the section `{room.NAME}` is required" if lack.why else f"the section `{room.NAME}` is required"
    return Problem(lack.what, where=lack.place or _first_place(policy, room.NAME), why=why, attempt=lack.attempt)


def _first_place(policy: Policy, control: str) -> Place | None:
    """Where the section was first said, for a lack that has no place of its own."""
    section = policy.said.get(control)
    places = [item.place for items in section.said.values() for item in items] if section else []
    return min(places) if places else None


def weakened(room: Room, lack: Lack) -> Line:
    return Line(room.NAME, Status.WEAKENED, lack.what, lack.lost, lack.why, lack.attempt, lack.place)


def group_steps(wants: Mapping[str, Sequence[Want]], host: Host) -> tuple[list[Step], list[Step]]:
    """The control groups that the rooms want, made and entered; and removed.

    The first list comes ahead of every other step of its stage, the second behind. wants: by the room that says so.
    """
    first: list[Step] = []
    rows = [(room, want) for room, found in wants.items() for want in found]
    # That of `pids` comes first, for nearly every box has it: what a killed launcher left is seen there by the next one.
    ordered = sorted(host.hierarchies, key=lambda tree: "pids" not in tree.controllers)
    trees = [tree for tree in ordered if any(want.group == tree.group for _, want in rows)]
    for tree in trees:
        mine = [(room, want) for room, want in rows if want.group == tree.group]
        room, want = mine[0]
        first.append(Step(_make(tree, sorted({want.controller for _, want in mine} - {""})), Stage.PREPARE, room, want.place))
    if not rows:
        return [], []
    room, want = rows[0]
    if host.hides_clone3 and any(tree.is_v2 for tree in trees):
        first += [Step(MoveChild(), Stage.MEET, room, want.place), Step(AwaitOutside(), Stage.ENTER, room, want.place)]
    if any(not tree.is_v2 for tree in trees):
        first.append(Step(EnterGroups(), Stage.ENTER, room, want.place))
    last = [Step(RemoveGroups(), Stage.CLEAN, room, want.place)]
    others = [tree for tree in host.hierarchies if tree not in trees]
    if others:
        words = (word for tree in others for word in (tree.mount, _controller_of(tree), f"{tree.levels}-"))
        last.append(Step(SweepGroups(TextList(tuple(words))), Stage.CLEAN, room, want.place))
    return first, last


def _controller_of(tree: Hierarchy) -> str:
    """What finds the hierarchy in /proc/self/cgroup: one of v1's controllers; nothing for v2."""
    return "" if tree.is_v2 else tree.controllers[0]


def _look_at_spaces(steps: Sequence[Step]) -> list[Step]:
    """One step for all file systems that the monitor was shown."""
    shown = [step for step in steps if isinstance(step.op, ShowSpace)][:1]
    return [Step(ReadSpaces(), Stage.CLEAN, step.control, step.place) for step in shown]


def _make(tree: Hierarchy, controllers: list[str]) -> MakeGroup:
    enable = tuple(f"+{name}" for name in controllers) if tree.is_v2 else ()
    controller = _controller_of(tree)
    inherited = () if tree.is_v2 or "cpuset" not in controllers else CPUSET_FILES
    return MakeGroup(U32(tree.group), Text(tree.mount), Text(controller), U32(tree.levels), TextList(enable), TextList(inherited))


def assemble(policy: Policy, gathered: Gathered, rooms: Sequence[Room]) -> Plan:
    ordered = sorted(gathered.steps, key=lambda step: step.stage)
    lists = {name: tuple(step for step in ordered if step.stage.list_name == name) for name in ("before", "inside", "after")}
    order = {room.NAME: number for number, room in enumerate(rooms)}
    lines = sorted(_unique(gathered.lines), key=lambda line: order.get(line.control, len(order)))
    recipe = Recipe(
        passed=tuple(dict.fromkeys(gathered.passed)),
        set=tuple(dict(gathered.set).items()),
        terminal=Trait.HAS_TERMINAL in policy.traits,
    )
    return Plan(policy.name, lists["before"], lists["inside"], lists["after"], recipe, Report(tuple(lines)))


def _unique(lines: Iterable[Line]) -> list[Line]:
    """A room that reports in `lower` what it said in `need` already says it once."""
    seen: dict[tuple[str, str, Status], Line] = {}
    for line in lines:
        seen.setdefault((line.control, line.what, line.status), line)
    return list(seen.values())
