"""Rules as a profile spells them: the narrowest one for a call that was seen, and one that stands in a profile already."""

from __future__ import annotations

from collections.abc import Sequence

from sandboxer.abi.constants import CONSTANTS, KINDS
from sandboxer.controls.seccomp.grammar import parse_denies
from sandboxer.controls.seccomp.rules import ARCHITECTURES, Argument, Condition, Group, Rule, find_arguments
from sandboxer.errors import ProfileError
from sandboxer.model.node import parse_node
from sandboxer.model.section import Said

_SOCKET = {"family": 0, "type": CONSTANTS["SOCK_TYPE_MASK"], "protocol": 0}
SELECTORS: dict[str, dict[str, int]] = {
    "socket": _SOCKET,
    "socketpair": _SOCKET,
    "ioctl": {"cmd": 0},
    "fcntl": {"cmd": 0},
    "prctl": {"option": 0},
    "arch_prctl": {"option": 0},
    "ptrace": {"request": 0},
    "keyctl": {"option": 0},
    "madvise": {"behavior": 0},
    "seccomp": {"op": 0},
    "bpf": {"cmd": 0},
    "clone": {"clone_flags": 0},
    "unshare": {"unshare_flags": 0},
    "setns": {"flags": 0},
    "personality": {"personality": 0},
    "setsockopt": {"level": 0, "optname": 0},
    "getsockopt": {"level": 0, "optname": 0},
    "mknod": {"mode": CONSTANTS["S_IFMT"]},
    "mknodat": {"mode": CONSTANTS["S_IFMT"]},
}
"""Arguments that choose what a call does, each with the bits that matter (0: all). Other arguments are its objects."""

_FLAG_KINDS = ("clone.clone_flags", "unshare.unshare_flags", "setns.flags")


def narrowest_rule(call: str, arch: str, arguments: Sequence[int]) -> Rule:
    """The rule for every use of a call that does what this one does."""
    chosen = SELECTORS.get(call, {})
    conditions = []
    for argument in find_arguments(call, arch) or ():
        if argument.name in chosen:
            mask = chosen[argument.name] or argument.mask
            value = arguments[argument.index] & mask
            conditions.append(Condition(argument.name, mask, ((value, value),)))
    return Rule(call, (tuple(sorted(conditions)),))


def spell_rule(rule: Rule) -> str:
    """A rule of one case, each of its arguments one value or one of several, as an entry in YAML on one line."""
    if rule.is_whole:
        return rule.call
    known = {argument.name: argument for argument in find_arguments(rule.call, ARCHITECTURES[0]) or ()}
    ordered = sorted(rule.cases[0], key=lambda condition: known[condition.argument].index)
    words = (f"{test.argument}: {_spell_condition(rule.call, known[test.argument], test)}" for test in ordered)
    return f"{{{rule.call}: {{{', '.join(words)}}}}}"


def _spell_condition(call: str, argument: Argument, condition: Condition) -> str:
    kind = f"{call}.{argument.name}"
    values = [spell_value(kind, low) for low, _ in condition.ranges]
    what = values[0] if len(values) == 1 else f"{{in: [{', '.join(values)}]}}"
    return what if condition.mask == argument.mask else f"{{masked: [{spell_value(kind, condition.mask)}, {what}]}}"


def spell_value(kind: str, value: int) -> str:
    """A value as the grammar reads it back: a constant of this argument, flags with | between them, or a number."""
    prefixes = KINDS.get(kind, ())
    names = [(name, known) for name, known in CONSTANTS.items() if prefixes and name.startswith(prefixes)]
    exact = next((name for name, known in names if known == value), "")
    if exact:
        return exact
    words, rest = [], value
    for name, known in names if kind in _FLAG_KINDS else ():
        if known.bit_count() == 1 and rest & known:
            words.append(name)
            rest &= ~known
    if not words:
        return str(value) if value < 10 else f'"{value:#x}"'
    return f'"{"|".join([*words, f"{rest:#x}"] if rest else words)}"'


def find_spelling(item: Said) -> str:
    """An entry of a `deny` list as it would be written again, or nothing where that cannot be told.

    A rule can be said in many ways. So what is found, in the line that it comes from or by its value, is read back first.
    """
    candidates = [item.place.text.partition(" #")[0].strip().removeprefix("- ").strip()]
    match item.value:
        case Rule():
            candidates.append(spell_rule(item.value))
        case Group():
            candidates.append(f'"@{item.value.name}"')
    return next((text for text in candidates if _says(text, item.value)), "")


def _says(text: str, value: object) -> bool:
    try:
        said = parse_denies(parse_node(f"[{text}]".encode(), "spelling"))
    except ProfileError:
        return False
    return [item.value for item in said] == [value]
