"""Rules in words: calls as they are written in C, values by the names of their constants."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import islice

from sandboxer.abi import bpf
from sandboxer.abi.capabilities import Capability
from sandboxer.abi.constants import CONSTANTS, KINDS
from sandboxer.abi.errnos import Errno
from sandboxer.controls.seccomp import bits
from sandboxer.controls.seccomp.rules import (
    ALWAYS,
    ARCHITECTURES,
    NO_ANSWER,
    Case,
    Condition,
    Group,
    Rule,
    When,
    action_of,
    find_arguments,
)

ACTIONS = {
    bpf.RET_KILL_PROCESS: "kill the process",
    bpf.RET_KILL_THREAD: "kill the thread",
    bpf.RET_TRAP: "trap",
    bpf.RET_USER_NOTIF: "ask the listener",
    bpf.RET_TRACE: "trace",
    bpf.RET_LOG: "allow and log",
    bpf.RET_ALLOW: "allow",
}
_SEVERAL = 4
_MANY = 64


@cache
def _names(kind: str) -> tuple[tuple[str, int], ...]:
    prefixes = KINDS.get(kind, ())
    return tuple((name, value) for name, value in CONSTANTS.items() if prefixes and name.startswith(prefixes))


def show_value(kind: str, value: int) -> str:
    """A value by its name, or a number. `kind` is `call.argument`."""
    if exact := next((name for name, known in _names(kind) if known == value), None):
        return exact
    flags = show_flags(kind, value)
    if "0x" not in flags:
        return flags
    return str(value) if value < 10 else f"{value:#x}"


def show_flags(kind: str, mask: int) -> str:
    """A set of flags by their names, joined with |; what has no name is a number."""
    words = []
    rest = mask
    for name, value in _names(kind):
        if value and value & (value - 1) == 0 and rest & value:
            words.append(name)
            rest &= ~value
    if rest or not words:
        words.append(f"{rest:#x}")
    return "|".join(words)


def _is_full(call: str, condition: Condition) -> bool:
    known = find_arguments(call, ARCHITECTURES[0]) or ()
    return any(argument.name == condition.argument and argument.mask == condition.mask for argument in known)


def _show_ranges(kind: str, condition: Condition) -> str:
    """The values in words; their complement where that is shorter."""
    ranges, join = condition.ranges, ""
    outside = bits.complement(ranges, condition.mask)
    singles = all(low == high for low, high in outside)
    if singles and len(outside) < len(ranges) + any(low != high for low, high in ranges):
        ranges, join = outside, "not "
    return join + " or ".join(word for low, high in ranges for word in _show_range(kind, condition.mask, low, high))


def _show_range(kind: str, mask: int, low: int, high: int) -> Iterator[str]:
    """A range: values one by one where they are few or all have names, else the ends."""
    values = list(islice(_values(mask, low, high), _MANY + 1))
    named = {value for _, value in _names(kind)}
    if len(values) <= _SEVERAL or (len(values) <= _MANY and named.issuperset(values)):
        yield from (show_value(kind, value) for value in values)
    else:
        yield f"{show_value(kind, low)}..{show_value(kind, high)}"


def _values(mask: int, low: int, high: int) -> Iterator[int]:
    at: int | None = low
    while at is not None and at <= high:
        yield at
        at = bits.least_within(at + 1, mask)


def show_condition(call: str, condition: Condition) -> str:
    """One condition in words."""
    kind = f"{call}.{condition.argument}"
    name, mask = condition.argument, condition.mask
    if _is_full(call, condition):
        return f"{name} {_show_ranges(kind, condition)}"
    masks = [known for known, value in _names(kind) if value == mask]
    is_flags = not masks or mask & (mask - 1) == 0
    outside = bits.complement(condition.ranges, mask)
    if condition.ranges == ((0, 0),) and is_flags:
        return f"{name} without {show_flags(kind, mask)}"
    if outside == ((0, 0),) and is_flags:
        return f"{name} with {'some of ' if mask & (mask - 1) else ''}{show_flags(kind, mask)}"
    if condition.ranges == ((mask, mask),) and is_flags:
        return f"{name} with {show_flags(kind, mask)}"
    if outside == ((mask, mask),) and is_flags:
        return f"{name} without all of {show_flags(kind, mask)}"
    return f"{name} & {masks[0] if masks else f'{mask:#x}'} == {_show_ranges(kind, condition)}"


def show_case(call: str, case: Case) -> str:
    """The conditions of a case in words."""
    return ", ".join(show_condition(call, condition) for condition in case)


def show_answer(answer: int) -> str:
    """An answer by name: EPERM, kill the process, allow."""
    if action_of(answer) == bpf.RET_ERRNO:
        number = answer & bpf.RET_DATA
        return next((name for name, known in Errno.__members__.items() if known == number), f"errno {number}")
    return ACTIONS.get(action_of(answer), f"return {answer:#x}")


def show_when(when: When) -> str:
    """Where a rule counts, in words; empty for everywhere."""
    since, below = when.kernel
    words = [f"on {' or '.join(when.arches)}"] if when.arches else []
    words += [f"from Linux {since[0]}.{since[1]}"] if since != (0, 0) else []
    words += [f"below Linux {below[0]}.{below[1]}"] if below != (0, 0) else []
    for mask, text in ((when.held, "with"), (when.unheld, "without")):
        words += [f"{text} CAP_{item.name}" for item in Capability if mask >> item & 1]
    return ", ".join(words)


def show_options(answer: int, when: When) -> str:
    """What stands behind a rule: its answer and where it counts; empty for none."""
    text = f" -> {show_answer(answer)}" if answer != NO_ANSWER else ""
    return text + (f" ({show_when(when)})" if when != ALWAYS else "")


def show_rule(rule: Rule) -> str:
    """`call`, or `call(condition, condition)`; cases are joined with `or`."""
    options = show_options(rule.answer, rule.when)
    if rule.is_whole:
        return rule.call + options
    shown = [show_case(rule.call, case) for case in rule.cases[:_SEVERAL]]
    if len(rule.cases) > _SEVERAL:
        shown.append(f"{len(rule.cases) - _SEVERAL} more cases")
    return f"{rule.call}({'; or '.join(shown)}){options}"


def show_group(group: Group) -> str:
    """`@name`, with what is left out of it."""
    but = f" but {', '.join(group.but)}" if group.but else ""
    return f"@{group.name}{but}{show_options(group.answer, group.when)}"


def say_rule(value: object) -> str:
    """What stands in `allow` or `deny`: a rule, or `@group`."""
    return show_rule(value) if isinstance(value, Rule) else str(value)
