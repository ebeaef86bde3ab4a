"""What people and programs can read of a policy and of a plan: every value with its place, every step in words.

Lines and plain data only; whoever prints the lines makes what is not printable visible.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from sandboxer.compile import options
from sandboxer.compile.words import Teller
from sandboxer.controls.room import Room
from sandboxer.model.host import Host
from sandboxer.model.op import Op
from sandboxer.model.plan import Plan, Step
from sandboxer.model.policy import Enforce, Policy
from sandboxer.model.report import Line
from sandboxer.model.section import Field, Said, Section

PLACE_COLUMN = 60
LISTS = (
    ("before", "outside, ahead of the start and while the child waits"),
    ("inside", "in the child, in this order"),
    ("after", "outside, when the box has ended"),
)


def value_text(value: object) -> str:
    """One value as a person would write it: a text, a number, or a mapping with what is not as usual."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value if value and value == value.strip() else repr(value)
    if isinstance(value, tuple | frozenset | list):
        items = sorted(value, key=repr) if isinstance(value, frozenset) else value
        return f"[{', '.join(value_text(item) for item in items)}]"
    if is_dataclass(value) and not isinstance(value, type) and type(value).__str__ is object.__str__:
        return _record_text(value)
    return str(value)


def _record_text(value: object) -> str:
    said = dict(_unusual(value))
    if len(said) == 1:
        return value_text(next(iter(said.values())))
    return "{" + ", ".join(f"{name}: {value_text(item)}" for name, item in said.items()) + "}"


def _unusual(value: object) -> Iterator[tuple[str, object]]:
    """The fields of a frozen record that differ from their defaults."""
    for row in fields(value):  # type: ignore[arg-type]  # is_dataclass was asked
        default = row.default if row.default_factory is MISSING else row.default_factory()
        item = getattr(value, row.name)
        if default is MISSING or item != default:
            yield row.name, item


# ── a policy ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def show_policy(policy: Policy, rooms: Sequence[Room]) -> Iterator[str]:
    """The resolved policy, with the place of every value; what nobody said holds its strict default."""
    yield f"{policy.name}: {policy.description}"
    yield ""
    yield "made from:"
    for source in policy.sources:
        yield f"  {source.kind} {source.name} ({source.path})"
    if policy.params:
        yield "params:"
        yield from (f"  {name}: {value}" for name, value in policy.params.items())
    for room in rooms:
        section = policy.said.get(room.NAME, Section())
        enforce = policy.enforce.get(room.NAME, Enforce.REQUIRED)
        yield ""
        yield f"{room.NAME}:  # {room.TITLE}; {enforce.value.replace('_', ' ')}"
        yield from _show_section(section, room)
    if policy.allowances.said:
        yield ""
        yield "options:  # what command-line options may widen"
        yield from _show_said(policy.allowances, {row.name: row for row in options.FIELDS})
    yield from _show_layers(policy, rooms)
    yield from _show_overrides(policy)


def _show_section(section: Section, room: Room) -> Iterator[str]:
    for row in room.FIELDS:
        items = section.said.get(row.name)
        if items is None:
            yield _with_place(f"  {row.name}: {row.default or '[]'}", "default")
        else:
            yield from _show_items(row.name, items, row.say)


def _show_said(section: Section, rows: Mapping[str, Field], prefix: str = "") -> Iterator[str]:
    for name, items in section.said.items():
        yield from _show_items(prefix + name, items, rows[name].say if name in rows else None)


def _show_items(name: str, items: Sequence[Said], say: Callable[[Any], str] | None) -> Iterator[str]:
    shown = [(say(item.value) if say else value_text(item.value), item.place.show()) for item in items]
    if len(shown) == 1:
        yield _with_place(f"  {name}: {shown[0][0]}", shown[0][1])
        return
    yield f"  {name}:"
    for text, place in shown:
        yield _with_place(f"    - {text}", place)


def _show_layers(policy: Policy, rooms: Sequence[Room]) -> Iterator[str]:
    rows = {room.NAME: {row.name: row for row in room.FIELDS} for room in rooms}
    for layer in policy.layers:
        yield ""
        yield f"restrict {layer.name}:  # {layer.place.show()}"
        for control, section in layer.sections.items():
            yield from _show_said(section, rows.get(control, {}), f"{control}.")


def _show_overrides(policy: Policy) -> Iterator[str]:
    if policy.overrides:
        yield ""
        yield "override:"
    for override in policy.overrides:
        until = f", until {override.expires}" if override.expires else ""
        yield _with_place(f"  {override.path}: {override.reason}{until}", override.place.show())


def _with_place(text: str, place: str) -> str:
    return f"{text:<{PLACE_COLUMN}}  # {place}"


def policy_data(policy: Policy) -> dict[str, object]:
    """The same as plain data for JSON."""
    return {
        "name": policy.name,
        "description": policy.description,
        "sources": [{"name": item.name, "path": item.path, "kind": item.kind} for item in policy.sources],
        "params": dict(policy.params),
        "enforce": {name: enforce.value for name, enforce in policy.enforce.items()},
        "sections": {name: _section_data(section) for name, section in policy.said.items()},
        "options": _section_data(policy.allowances),
        "restrict": [
            {
                "name": layer.name,
                "place": layer.place.show(),
                "sections": {name: _section_data(section) for name, section in layer.sections.items()},
            }
            for layer in policy.layers
        ],
        "override": [
            {"path": item.path, "reason": item.reason, "expires": item.expires, "place": item.place.show()}
            for item in policy.overrides
        ],
    }


def _section_data(section: Section) -> dict[str, object]:
    return {
        name: [{"value": plain_value(item.value), "place": item.place.show()} for item in items]
        for name, items in section.said.items()
    }


def plain_value(value: object) -> object:
    """A value as JSON can hold it."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        return [plain_value(item) for item in value]
    if isinstance(value, frozenset):
        return [plain_value(item) for item in sorted(value, key=repr)]
    if isinstance(value, bytes):
        return {"bytes": len(value)}
    if is_dataclass(value) and not isinstance(value, type):
        return {row.name: plain_value(getattr(value, row.name)) for row in fields(value)}
    return str(value)


# ── a plan ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def explain_policy(policy: Policy, rooms: Sequence[Room]) -> Iterator[str]:
    """What the profile means, in the sentences of each room."""
    for room in rooms:
        sentences = room.explain(policy.settings[room.NAME])
        if sentences:
            yield f"{room.NAME}:"
            yield from (f"  {sentence}" for sentence in sentences)


def explain_plan(plan: Plan, host: Host) -> Iterator[str]:
    """What the launcher will do, op by op, with the place that each comes from; and what that enforces."""
    who = "with privilege" if host.is_privileged else "as an ordinary user"
    yield f"the plan of {plan.profile} on Linux {host.kernel[0]}.{host.kernel[1]} {host.arch}, started by uid {host.uid} {who}:"
    teller = Teller()
    for name, words in LISTS:
        steps: tuple[Step, ...] = getattr(plan, name)
        if steps:
            yield ""
            yield f"{name} ({words}):"
            yield from _explain_steps(steps, teller)
    yield ""
    yield "command:"
    yield f"  its environment: passed {_listed(plan.recipe.passed)}"
    yield f"  set {_listed(f'{name}={text}' for name, text in plan.recipe.set)}"
    yield ""
    yield "report:"
    for line in plan.report.lines:
        yield from _explain_line(line)


def _explain_steps(steps: Sequence[Step], teller: Teller) -> Iterator[str]:
    for number, step in enumerate(steps):
        place = step.place.show() if step.place else "default"
        yield _with_place(f"  {number:>3} {step.control}: {teller.say(step.op)}", place)


def _explain_line(line: Line) -> Iterator[str]:
    yield _with_place(f"  {line.status.value}: {line.control}: {line.what}", line.place.show() if line.place else "default")
    for word, text in (("lost", line.lost), ("why", line.why), ("try", line.attempt)):
        if text:
            yield f"      {word}: {text}"


def _listed(items: Iterable[str]) -> str:
    return ", ".join(items) or "nothing"


def plan_data(plan: Plan) -> dict[str, object]:
    """The plan as plain data for JSON."""
    teller = Teller()
    return {
        "profile": plan.profile,
        **{name: [_step_data(step, teller) for step in getattr(plan, name)] for name, _ in LISTS},
        "environment": {"passed": list(plan.recipe.passed), "set": dict(plan.recipe.set)},
        "terminal": plan.recipe.terminal,
        "report": [
            {
                "control": line.control,
                "status": line.status.value,
                "what": line.what,
                "lost": line.lost,
                "why": line.why,
                "try": line.attempt,
                "place": line.place.show() if line.place else None,
            }
            for line in plan.report.lines
        ],
    }


def _step_data(step: Step, teller: Teller) -> dict[str, object]:
    return {
        "op": type(step.op).__name__,
        "fields": _op_data(step.op),
        "words": teller.say(step.op),
        "control": step.control,
        "place": step.place.show() if step.place else None,
    }


def _op_data(op: Op) -> dict[str, object]:
    return {row.name: plain_value(getattr(op, row.name)) for row in fields(op)}
