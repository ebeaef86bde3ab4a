"""How much the job may use. The rows are in `table`, control groups in `groups`; here is what all of them have in common.

An rlimit can only go down: where the caller's own hard limit is lower, that one holds, and the report says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from sandboxer.abi.rlimits import Rlimit
from sandboxer.abi.signals import Signal
from sandboxer.controls import parse
from sandboxer.controls.limits.groups import Held, cpu_clock, data_stand_in, group_ops, held, is_wanted, lacks
from sandboxer.controls.limits.row import Row, Unit
from sandboxer.controls.limits.table import BY_WORD, ROWS, STOP_SIGNALS
from sandboxer.controls.room import Lack, Lowered, Scene, Scope
from sandboxer.controls.said import number, own, places_of
from sandboxer.errors import Problem, ProfileError
from sandboxer.model.host import Host
from sandboxer.model.node import Node, Scalar
from sandboxer.model.op import U32, U64, ArmWallClock, LimitOutput, Op, SetRlimit, SetScheduling
from sandboxer.model.place import Place
from sandboxer.model.plan import Step
from sandboxer.model.policy import Policy, Trait
from sandboxer.model.report import Line, Status
from sandboxer.model.section import Field, Section
from sandboxer.model.stage import Stage
from sandboxer.units import UNLIMITED, show_bytes, show_cpu_list, show_duration_ms, show_milli_cpus

NAME = "limits"
TITLE = "how much the job may use"
STACKED = False

COUNTED_BY_NAMESPACE = (5, 14)
"""From this kernel on RLIMIT_NPROC counts in each user namespace. Source: kernel/ucount.c, commit 21d1c5e386bc."""

POLICIES = (0, 3, 5)
"""SCHED_OTHER, SCHED_BATCH, SCHED_IDLE, as `scheduler` has its words. Source: include/uapi/linux/sched.h."""

NO_DUMP = 1
"""RLIMIT_CORE of 1 stops dumps to files and to core_pattern's program; 0 does not stop the latter. Source: fs/coredump.c."""


def _reader(row: Row) -> parse.Read[int]:
    match row.unit:
        case Unit.BYTES:
            return parse.size_bytes(least=row.least, most=row.most, can_be_unlimited=row.can_be_unlimited)
        case Unit.DURATION:
            return parse.duration_ms(least_ms=row.least, most_ms=row.most, can_be_unlimited=row.can_be_unlimited)
        case Unit.CPUS:
            return parse.milli_cpus(least=row.least, most=row.most, can_be_unlimited=row.can_be_unlimited)
        case Unit.PROCESSORS:
            return parse.cpu_list(most=row.most, can_be_unlimited=row.can_be_unlimited)
        case Unit.WORD:
            word = parse.name_in(row.words, row.word)
            return lambda node: row.words.index(word(node))
        case Unit.COUNT:
            count = parse.integer(least=row.least, most=row.most)

            def read(node: Node) -> int:
                if row.can_be_unlimited and isinstance(node, Scalar) and node.value == "unlimited":
                    return UNLIMITED
                return count(node)

            return read


def show(row: Row, value: int) -> str:
    """A value of the row as a profile would say it."""
    match row.unit:
        case Unit.BYTES:
            return show_bytes(value)
        case Unit.DURATION:
            return show_duration_ms(value)
        case Unit.CPUS:
            return show_milli_cpus(value)
        case Unit.PROCESSORS:
            return show_cpu_list(value)
        case Unit.WORD:
            return row.words[value]
        case Unit.COUNT:
            return "unlimited" if value == UNLIMITED else str(value)


def _shape(row: Row) -> dict[str, object]:
    match row.unit:
        case Unit.CPUS:
            return {"type": ["number", "string"]}
        case Unit.WORD:
            return {"type": "string", "allowed": list(row.words)}
        case _:
            return {"type": ["integer", "string"]}


def _words(row: Row) -> str:
    """What can be said, with its bounds."""
    least, most = show(row, row.least), show(row, row.most)
    match row.unit:
        case Unit.BYTES:
            text = f"size from {least}"
        case Unit.DURATION:
            text = f"duration from {least}"
        case Unit.CPUS:
            text = f"number or percentage from {least}"
        case Unit.PROCESSORS:
            text = "list of processors"
        case Unit.WORD:
            text = ", ".join(row.words)
        case Unit.COUNT:
            text = f"number from {least} to {most}"
    return f"{text}, or unlimited" if row.can_be_unlimited else text


def _field(row: Row) -> Field:
    return Field(
        row.word,
        row.merge,
        _shape(row),
        parse.one(_reader(row)),
        row.help,
        default=show(row, row.default),
        absent=row.default,
        say=partial(show, row),
        words=_words(row),
        kept=" and ".join(row.keepers),
    )


FIELDS: tuple[Field, ...] = tuple(_field(row) for row in ROWS)


@dataclass(frozen=True, slots=True)
class Settings:
    """values: one for each row, in the row's unit; UNLIMITED where there is no limit."""

    values: Mapping[str, int]
    places: Mapping[str, Place] = field(default_factory=dict, compare=False)

    @property
    def disk_bytes(self) -> int:
        """How large a file system of the box's own can be; UNLIMITED: as large as it says itself."""
        return self.values["disk"]

    @property
    def wall_ms(self) -> int:
        """How long the box can live; UNLIMITED: as long as it likes."""
        return self.values["wall"]


def understand(section: Section, scope: Scope) -> Settings:
    """The typed settings: what was said, and the default of every other row."""
    found = Settings({row.word: number(section, row.word, row.default) for row in ROWS}, places_of(section))
    if not found.values["cpuset"]:
        why = "the files that speak of it name no processor in common"
        raise ProfileError(Problem("cpuset leaves no processor", where=found.places["cpuset"], why=why))
    return found


def settings(policy: Policy) -> Settings:
    """This room's settings of a policy."""
    return own(Settings, policy.settings[NAME])


def traits(settings: object) -> frozenset[Trait]:
    """None."""
    return frozenset()


def mentions(settings: object) -> frozenset[str]:
    """No paths."""
    return frozenset()


def need(settings: object, host: Host) -> tuple[Lack, ...]:
    """A process limit that would count the processes of others; limits of the whole box without a group to keep them."""
    mine = own(Settings, settings)
    return (*_process_lacks(mine, host), *lacks(mine.values, mine.places, host))


def _process_lacks(mine: Settings, host: Host) -> tuple[Lack, ...]:
    is_held = any(limit.row.word == "processes" for limit in held(mine.values, mine.places, host, has_init=False))
    if is_held or mine.values["processes"] == UNLIMITED or not (why := _shared_count(host)):
        return ()
    attempt = "a kernel of 5.14 or newer, with user namespaces"
    lost = "the limit counts all processes of the job's host user, not only the box's"
    return (Lack("a process limit for the box alone", why, attempt, lost, mine.places.get("processes")),)


def _shared_count(host: Host) -> str:
    if not host.has_user_namespaces:
        return "there is no user namespace to count in"
    if host.kernel < COUNTED_BY_NAMESPACE:
        return f"kernel {host.kernel[0]}.{host.kernel[1]} counts processes by host user"
    return ""


def lower(settings: object, scene: Scene) -> Lowered:
    """One op for each rlimit, what control groups keep, and the wall clock."""
    mine = own(Settings, settings)
    kept = held(mine.values, mine.places, scene.host, has_init=Trait.HAS_INIT in scene.traits)
    clock = cpu_clock(mine.values, mine.places, scene.host)
    writes, reads, wants = group_ops(kept, clock[1] if clock else None)
    steps = [Step(op, Stage.PREPARE, NAME, place) for op, place in writes]
    steps += [Step(op, Stage.CLEAN, NAME, place) for op, place in reads]
    lines: list[Line] = []
    by_group = {limit.row.word: limit for limit in kept}
    for row in ROWS:
        value, place = mine.values[row.word], mine.places.get(row.word)
        limit = by_group.get(row.word)
        if row.rlimit is not None:
            asked = data_stand_in(mine.values, kept) if row.word == "data" else value
            is_second = limit is not None or (row.is_clock and clock is not None)
            op = _set_rlimit(row, row.rlimit, asked, scene, is_second=is_second)
            steps.append(Step(op, Stage.LIMITS, NAME, place))
        if clock is not None and row.is_clock and value != UNLIMITED:
            lines.append(Line(NAME, Status.ENFORCED, f"{row.word}: {show(row, value)}, for the whole box", place=place))
        elif limit is not None:
            lines.append(_group_line(limit))
        elif row.rlimit is not None:
            lines.append(_line(row, asked, op, place))
    scheduling, told = _scheduling(mine)
    steps += scheduling
    lines += told
    steps += [Step(op, Stage.CLOCK, NAME, mine.places.get("wall")) for op in _clock(mine)]
    steps += [Step(clock[0], Stage.CLOCK, NAME, clock[1].place)] if clock else []
    if mine.disk_bytes != UNLIMITED:
        what = f"disk: {show_bytes(mine.disk_bytes)}, for each file system of the box's own"
        lines.append(Line(NAME, Status.ENFORCED, what, place=mine.places.get("disk")))
    output, place = mine.values["output"], mine.places.get("output")
    if output != UNLIMITED:
        steps.append(Step(LimitOutput(U64(output)), Stage.CLOCK, NAME, place))
        lines.append(Line(NAME, Status.ENFORCED, f"output: {show_bytes(output)}", place=place))
    wall = show(BY_WORD["wall"], mine.wall_ms)
    what = (
        "wall: unlimited"
        if mine.wall_ms == UNLIMITED
        else f"wall: {wall}, then {show_duration_ms(mine.values['grace'])} of grace"
    )
    lines.append(Line(NAME, Status.ENFORCED, what, place=mine.places.get("wall")))
    return Lowered(tuple(steps), tuple(lines), groups=wants)


def _group_line(limit: Held) -> Line:
    what = f"{limit.row.word}: {show(limit.row, limit.value)}, for the whole box (cgroup {'v2' if limit.tree.is_v2 else 'v1'})"
    return Line(NAME, Status.ENFORCED, what, place=limit.place)


def _set_rlimit(row: Row, rlimit: Rlimit, value: int, scene: Scene, *, is_second: bool) -> SetRlimit:
    """is_second: a control group keeps the limit too. It is to be reached first, for it counts what it refuses."""
    _, ceiling = scene.host.rlimits.get(rlimit.name.lower(), (UNLIMITED, UNLIMITED))
    soft = hard = value
    if row.unit is Unit.DURATION and value != UNLIMITED:
        soft = -(-value // 1000) + is_second
        hard = soft + 1
    elif rlimit is Rlimit.NPROC and value != UNLIMITED:
        soft = hard = value + (Trait.HAS_INIT in scene.traits) + is_second
    elif rlimit is Rlimit.CORE and value == 0:
        soft = hard = NO_DUMP
    return SetRlimit(U32(rlimit), U64(min(soft, ceiling)), U64(min(hard, ceiling)))


def _line(row: Row, value: int, op: SetRlimit, place: Place | None) -> Line:
    what = f"{row.word}: {show(row, value)}"
    scale = 1000 if row.unit is Unit.DURATION else 1
    if op.soft * scale < value and op.soft != UNLIMITED:
        what = f"{row.word}: {show(row, op.soft * scale)}, the caller's own hard limit (the profile allows {show(row, value)})"
    if row.rlimit is Rlimit.CPU and value != UNLIMITED:
        what += " for each process"
    return Line(NAME, Status.ENFORCED, what, place=place)


def _scheduling(mine: Settings) -> tuple[list[Step], list[Line]]:
    said = [word for word in ("scheduler", "niceness") if mine.values[word]]
    if not said:
        return [], []
    policy = POLICIES[mine.values["scheduler"]]
    op = SetScheduling(U32(policy), U32(mine.values["niceness"]))
    lines = [
        Line(NAME, Status.ENFORCED, f"{word}: {show(BY_WORD[word], mine.values[word])}", place=mine.places.get(word))
        for word in said
    ]
    return [Step(op, Stage.LIMITS, NAME, mine.places.get(said[0]))], lines


def _clock(mine: Settings) -> tuple[Op, ...]:
    if mine.wall_ms == UNLIMITED:
        return ()
    grace_ms = mine.values["grace"]
    signal = STOP_SIGNALS[mine.values["stop_signal"]] if grace_ms else Signal.SIGKILL
    return (ArmWallClock(U64(mine.wall_ms), U64(grace_ms), U32(signal)),)


_BY_MONITOR = {
    "wall": "nothing ends it by the clock",
    "output": "what it writes to its outputs is not bounded",
}


def in_place(settings: object, scene: Scene) -> Lowered:
    """What rlimits keep, each process for itself; there is no group to count a whole, and no monitor to end it. setrlimit(2).

    A soft limit never goes up: a process that is confined already is not given anything back. Under a monitor there are both.
    """
    mine, host = own(Settings, settings), scene.host
    if scene.has_monitor:
        return _under_monitor(mine, scene)
    steps, lines = [], []
    for row in ROWS:
        value, place = mine.values[row.word], mine.places.get(row.word)
        if row.rlimit is None:
            continue
        asked = data_stand_in(mine.values, ()) if row.word == "data" else value
        op = _set_rlimit(row, row.rlimit, asked, scene, is_second=False)
        now, _ = host.rlimits.get(row.rlimit.name.lower(), (UNLIMITED, UNLIMITED))
        # A core limit of 1 is less than one of 0, which leaves the program of core_pattern.
        soft = op.soft if (row.rlimit, op.soft) == (Rlimit.CORE, NO_DUMP) else min(op.soft, now)
        steps.append(Step(replace(op, soft=U64(soft)), Stage.LIMITS, NAME, place))
        line = _line(row, asked, op, place)
        if row.rlimit is not Rlimit.NPROC:
            lines.append(line)
        elif host.uid != 0:
            lines.append(replace(line, what=f"{line.what}, all processes of the user counted"))
    scheduling, told = _scheduling(mine)
    found = list(lacks(mine.values, mine.places, _without_groups(host)))
    if host.uid == 0 and mine.values["processes"] != UNLIMITED:
        found.append(_unheld(mine))
    for word, lost in _BY_MONITOR.items():
        if mine.values[word] != UNLIMITED:
            why = "there is no monitor"
            found.append(Lack(f"{word} is not limited", why, "", lost, mine.places.get(word)))
    return Lowered((*steps, *scheduling), (*lines, *told), lacks=tuple(found))


def _under_monitor(mine: Settings, scene: Scene) -> Lowered:
    """As for a box, but processes are those of the user for an rlimit: it stands where no group counts them, and not for root.

    There is no file system of the box's own for `disk` to bound.
    """
    is_held = any(limit.row.word == "processes" for limit in held(mine.values, mine.places, scene.host, has_init=False))
    is_lost = scene.outside_uid == 0 and not is_held and mine.values["processes"] != UNLIMITED
    kept = replace(mine, values={**mine.values, "disk": UNLIMITED, **({"processes": UNLIMITED} if is_lost else {})})
    lowered = lower(kept, scene)
    steps = tuple(step for step in lowered.steps if not (is_held and _is_of_processes(step.op)))
    found = (*need(kept, scene.host), *((_unheld(mine),) if is_lost else ()))
    return replace(lowered, steps=steps, lacks=found)


def _is_of_processes(op: Op) -> bool:
    return isinstance(op, SetRlimit) and int(op.resource) == Rlimit.NPROC


def _unheld(mine: Settings) -> Lack:
    why = "the kernel does not hold root to RLIMIT_NPROC"
    return Lack("processes are not limited", why, "", "a fork bomb is possible", mine.places.get("processes"))


def _without_groups(host: Host) -> Host:
    """A host on which the process has no control group of its own, and why."""
    names = {knob.controller for row in ROWS for knob in (row.v1, row.v2) if knob} | {""}
    problems = dict.fromkeys(names, "the process has no control group of its own")
    return replace(host, cgroup="none", hierarchies=(), controller_problems=problems)


def explain(settings: object) -> tuple[str, ...]:
    """One sentence with every limit there is."""
    mine = own(Settings, settings)
    bounded = [f"{row.word} {show(row, mine.values[row.word])}" for row in ROWS if is_wanted(row, mine.values)]
    free = [row.word for row in ROWS if mine.values[row.word] == UNLIMITED]
    sentences = [f"Limits: {', '.join(bounded)}."]
    if free:
        sentences.append(f"Not limited: {', '.join(free)}.")
    return tuple(sentences)


def widens(old: object, new: object) -> tuple[str, ...]:
    """Limits that are higher than before."""
    before, after = own(Settings, old), own(Settings, new)
    return tuple(
        f"limits.{row.word}: {show(row, after.values[row.word])} instead of {show(row, before.values[row.word])}"
        for row in ROWS
        if row.is_laxer(after.values[row.word], before.values[row.word])
    )
