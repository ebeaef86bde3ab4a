"""Rules as lines of YAML that `grammar.py` reads as the same rules. It writes a rule of one case on one line.

Values are written by the names of their constants where the call has such, else as numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from sandboxer.abi import bpf
from sandboxer.abi.capabilities import Capability
from sandboxer.abi.errnos import Errno
from sandboxer.controls.seccomp import bits
from sandboxer.controls.seccomp.bits import Ranges
from sandboxer.controls.seccomp.rules import (
    ALWAYS,
    ARCHITECTURES,
    NO_ANSWER,
    Case,
    Condition,
    Rule,
    When,
    action_of,
    find_arguments,
)
from sandboxer.controls.seccomp.words import show_value
from sandboxer.model.place import Place
from sandboxer.model.surprise import FORBIDDEN, surprise

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]|[1-9][0-9]{1,17}", re.ASCII)
_FEW = 16
_ACTIONS = {
    bpf.RET_LOG: "log",
    bpf.RET_KILL_PROCESS: "kill_process",
    bpf.RET_KILL_THREAD: "kill_thread",
    bpf.RET_TRAP: "trap",
    bpf.RET_USER_NOTIF: "notify",
}


def write_comment(text: str, indent: str = "") -> str:
    """A comment of one line, whatever the text holds."""
    shown = "".join(c if c.isprintable() and not FORBIDDEN.match(c) else " " for c in text)
    return f"{indent}# {' '.join(shown.split())}".rstrip()


def write_rule(rule: Rule) -> str:
    """A rule, as what stands after `- `."""
    options = _options(rule.answer, rule.when)
    if rule.is_whole and not options:
        return rule.call
    (case,) = rule.cases
    return _mapping([(rule.call, _mapping(_arguments(rule.call, case))), *options])


def _mapping(entries: Iterable[tuple[str, str]]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in entries) + "}"


def _list(items: Iterable[str]) -> str:
    return "[" + ", ".join(items) + "]"


def _options(answer: int, when: When) -> list[tuple[str, str]]:
    found = []
    if answer != NO_ANSWER and action_of(answer) == bpf.RET_ERRNO:
        found.append(("errno", Errno(answer & bpf.RET_DATA).name))
    elif answer != NO_ANSWER:
        found.append(("action", _ACTIONS[action_of(answer)]))
    if when != ALWAYS:
        found.append(("when", _mapping(_when(when))))
    return found


def _when(when: When) -> list[tuple[str, str]]:
    since, below = when.kernel
    kernels = [f'">={since[0]}.{since[1]}"'] if since != (0, 0) else []
    kernels += [f'"<{below[0]}.{below[1]}"'] if below != (0, 0) else []
    found = [("arch", _list(when.arches))] if when.arches else []
    found += [("kernel", _list(kernels))] if kernels else []
    for key, mask in (("capability", when.held), ("no_capability", when.unheld)):
        found += [(key, _list(f"CAP_{item.name}" for item in Capability if mask >> item & 1))] if mask else []
    return found


def _arguments(call: str, case: Case) -> list[tuple[str, str]]:
    """Each argument with its condition; an expression where one is looked at in more ways than a mapping can say."""
    widths = {argument.name: argument.mask for argument in find_arguments(call, ARCHITECTURES[0]) or ()}
    by_name: dict[str, list[Condition]] = {}
    for condition in case:
        by_name.setdefault(condition.argument, []).append(condition)
    masked = {name: [item for item in items if item.mask != widths[name]] for name, items in by_name.items()}
    if any(len(items) > 1 for items in masked.values()):
        return [("expr", f'"{" && ".join(_expression(condition, widths[condition.argument]) for condition in case)}"')]
    return [(_key(name), _conditions(f"{call}.{name}", items, widths[name])) for name, items in by_name.items()]


def _key(name: str) -> str:
    """A name as a key, in quotes where YAML takes the word for something else, as it does with `off`."""
    return f'"{name}"' if surprise(name, Place("")) else name


def _conditions(kind: str, conditions: list[Condition], width: int) -> str:
    """At most one condition on all bits and one under a mask, which stand beside each other."""
    tests: list[tuple[str, str]] = []
    for condition in conditions:
        inner = _tests(kind, condition.ranges, condition.mask)
        if condition.mask == width:
            tests += inner
        else:
            tests.append(("masked", _list([_value(kind, condition.mask), _alone(inner)])))
    return _alone(tests)


def _alone(tests: list[tuple[str, str]]) -> str:
    """Tests as a condition: the value itself where there is but one value."""
    if len(tests) == 1 and tests[0][0] == "":
        return tests[0][1]
    return _mapping((key, value) if key else ("in", _list([value])) for key, value in tests)


def _tests(kind: str, ranges: Ranges, mask: int) -> list[tuple[str, str]]:
    """The ranges as the shortest test. A single value has no name of a test where it can stand alone."""
    ranges, outside = _one_by_one(ranges, mask), _one_by_one(bits.complement(ranges, mask), mask)
    for found, words in ((ranges, ("", "in")), (outside, ("not", "not_in"))):
        if found and all(low == high for low, high in found):
            values = [_value(kind, low) for low, _ in found]
            return [(words[0], values[0])] if len(values) == 1 else [(words[1], _list(values))]
    if _spans(outside) < _spans(ranges):
        return [("not", _alone(_tests(kind, outside, mask)))]
    (low, high), *more = ranges
    if more:
        singles = tuple(pair for pair in ranges if pair[0] == pair[1])
        wide = (_alone(_tests(kind, (pair,), mask)) for pair in ranges if pair[0] < pair[1])
        return [("any", _list([*([_alone(_tests(kind, singles, mask))] if singles else []), *wide]))]
    if low == 0:
        return [("le", _number(high))]
    return [("ge", _number(low))] if high == mask else [("range", _list([_number(low), _number(high)]))]


def _one_by_one(ranges: Ranges, mask: int) -> Ranges:
    """The ranges, short ones as single values, which have names; the grammar joins them again."""
    if mask & (mask + 1):
        return ranges
    found: list[tuple[int, int]] = []
    for low, high in ranges:
        found += ((value, value) for value in range(low, high + 1)) if high - low < _FEW else [(low, high)]
    return tuple(found)


def _spans(ranges: Ranges) -> int:
    """How many of them are more than one value."""
    return sum(low < high for low, high in ranges)


def _number(value: int) -> str:
    """An end of a range, which is no constant even where one has its value."""
    return str(value) if value < 1 << 16 else f'"{value:#x}"'


def _value(kind: str, value: int) -> str:
    word = show_value(kind, value)
    return word if _PLAIN.fullmatch(word) else f'"{word}"'


def _expression(condition: Condition, width: int) -> str:
    seen = condition.argument if condition.mask == width else f"{condition.argument} & {condition.mask:#x}"
    parts = [
        f"{seen} == {low:#x}" if low == high else f"{seen} >= {low:#x} && {seen} <= {high:#x}" for low, high in condition.ranges
    ]
    return parts[0] if len(parts) == 1 else f"({' || '.join(f'({part})' for part in parts)})"
