"""Rules in words: calls as they are written in C, values by the names of their constants."""

from __future__ import annotations

from functools import cache

from sandboxer.abi.constants import CONSTANTS, KINDS
from sandboxer.controls.seccomp.rules import ARCHITECTURES, Condition, Rule, find_arguments


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


def _is_full(rule: Rule, condition: Condition) -> bool:
    known = find_arguments(rule.call, ARCHITECTURES[0]) or ()
    return any(argument.name == condition.argument and argument.mask == condition.mask for argument in known)


def show_condition(rule: Rule, condition: Condition) -> str:
    """One condition in words."""
    kind = f"{rule.call}.{condition.argument}"
    if _is_full(rule, condition):
        return f"{condition.argument} {' or '.join(show_value(kind, value) for value in condition.values)}"
    masks = [name for name, value in _names(kind) if value == condition.mask]
    if condition.values == (0,) and (not masks or condition.mask & (condition.mask - 1) == 0):
        return f"{condition.argument} without {show_flags(kind, condition.mask)}"
    mask = masks[0] if masks else f"{condition.mask:#x}"
    return f"{condition.argument} & {mask} == {' or '.join(show_value(kind, value) for value in condition.values)}"


def show_rule(rule: Rule) -> str:
    """`call`, or `call(condition, condition)`."""
    if rule.is_whole:
        return rule.call
    return f"{rule.call}({', '.join(show_condition(rule, condition) for condition in rule.conditions)})"


def say_rule(value: object) -> str:
    """What stands in `allow` or `deny`: a rule, or `@group`."""
    return show_rule(value) if isinstance(value, Rule) else str(value)
