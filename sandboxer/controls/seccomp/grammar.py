"""The grammar of rules: nodes -> Rule, Group, Answer.

    rule      = name | "@group" | {name: {argument: condition, ...}}
    condition = value | {in: [value, ...]} | {none_of: [flag, ...]} | {masked: [mask, value]}
    value     = number | CONSTANT | "CONSTANT|CONSTANT" | "0x10"

Arguments have the names and the widths of the kernel's prototypes. A value that an argument cannot hold is refused, as is a
constant that belongs to another argument.
"""

from __future__ import annotations

import re

from sandboxer.abi.constants import CONSTANTS, KINDS
from sandboxer.abi.errnos import Errno
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.controls.parse import did_you_mean, fail, kind_of, text
from sandboxer.controls.seccomp.rules import (
    ARCHITECTURES,
    CALLS,
    MAX_ALTERNATIVES,
    Answer,
    Argument,
    Condition,
    Group,
    Rule,
    count_alternatives,
    find_arguments,
)
from sandboxer.errors import Problem, ProfileError
from sandboxer.model.node import Mapping, Node, Scalar, Sequence
from sandboxer.model.section import Said

_GROUP = re.compile(r"@[a-z][a-z0-9-]*(/[a-z][a-z0-9-]*)*")
_NUMBER = re.compile(r"-?(0x[0-9a-fA-F]{1,16}|[0-9]{1,20})")
_FORMS = "a value, {in: [...]}, {none_of: [...]} or {masked: [mask, value]}"


def parse_call(node: Node) -> str:
    """The name of a call that one of our architectures has."""
    name = text(node)
    if name in CALLS:
        return name
    if name in NUMBERS["i386"]:
        fail(node, f"{name} exists only for 32-bit x86 programs", why="calls of a foreign architecture end the process, always")
    if name.startswith("@"):
        fail(node, f"{name}: a group has no arguments", attempt=f'"{name}" alone, or the calls by name')
    fail(node, f"unknown system call {name!r}", attempt=did_you_mean(name, sorted(CALLS)))


def parse_rule(node: Node) -> Rule | Group:
    """One item of `allow` or `deny`."""
    if isinstance(node, Scalar):
        name = text(node)
        if name.startswith("@"):
            if not _GROUP.fullmatch(name):
                fail(node, f"{name!r} cannot name a group", why="a group is the name of a file in policies/syscalls/, after an @")
            return Group(name[1:])
        return Rule(parse_call(node))
    if not isinstance(node, Mapping) or len(node.entries) != 1:
        found = kind_of(node) if not isinstance(node, Mapping) else f"a mapping of {len(node.entries)} names"
        fail(node, f"expected a system call, a group or one call with its arguments, found {found}")
    key, value = node.entries[0]
    call = parse_call(key)
    if not isinstance(value, Mapping) or not value.entries:
        fail(
            value, f"expected the arguments of {call} as a mapping, found {kind_of(value)}", attempt=f"{call} alone for every use"
        )
    return _parse_conditions(call, value)


def _parse_conditions(call: str, node: Mapping) -> Rule:
    known = find_arguments(call, ARCHITECTURES[0])
    if known is None:
        fail(node, f"the arguments of {call} are not known", attempt=f"{call} alone for every use")
    conditions: list[Condition] = []
    problems: list[Problem] = []
    for key, value in node.entries:
        try:
            conditions.append(_parse_condition(call, _parse_argument(call, key, known), value))
        except ProfileError as error:
            problems.extend(error.problems)
    if problems:
        raise ProfileError(problems)
    rule = Rule(call, tuple(sorted(conditions)))
    if count_alternatives(rule) > MAX_ALTERNATIVES:
        fail(
            node, f"this rule has {count_alternatives(rule)} combinations of values", why=f"one rule may have {MAX_ALTERNATIVES}"
        )
    return rule


def _parse_argument(call: str, key: Scalar, known: tuple[Argument, ...]) -> Argument:
    for argument in known:
        if argument.name == key.text:
            return argument
    names = [argument.name for argument in known]
    has = f"{call} has {', '.join(names)}" if names else f"{call} takes no arguments"
    fail(key, f"{call} has no argument {key.text!r}", why=has, attempt=did_you_mean(key.text, names))


def _parse_condition(call: str, argument: Argument, node: Node) -> Condition:
    if isinstance(node, Scalar):
        return _condition(argument, argument.mask, [parse_value(node, call, argument)], node)
    if not isinstance(node, Mapping) or len(node.entries) != 1:
        fail(node, f"expected {_FORMS}, found {kind_of(node)}")
    form, value = node.entries[0]
    if form.text not in ("in", "none_of", "masked"):
        fail(form, f"unknown condition {form.text!r}", attempt=did_you_mean(form.text, ("in", "none_of", "masked")) or _FORMS)
    if not isinstance(value, Sequence) or not value.items:
        fail(value, f"expected a list of values that is not empty, found {kind_of(value)}")
    values = [parse_value(item, call, argument) for item in value.items]
    match form.text:
        case "in":
            return _condition(argument, argument.mask, values, node)
        case "none_of":
            mask = 0
            for item, flags in zip(value.items, values, strict=True):
                if flags == 0:
                    fail(item, "0 has no bits that could be clear")
                mask |= flags
            return _condition(argument, mask, [0], node)
    if len(values) != 2:
        fail(value, f"expected [mask, value], found {len(values)} values")
    mask, wanted = values
    if mask == 0:
        fail(value.items[0], "a mask of 0 looks at nothing", attempt="leave this argument out")
    if wanted & ~mask:
        fail(value.items[1], f"{wanted:#x} has bits outside of the mask {mask:#x}", why="it could never match")
    return _condition(argument, mask, [wanted], node)


def _condition(argument: Argument, mask: int, values: list[int], node: Node) -> Condition:
    if argument.is_pointer and (mask != argument.mask or values != [0]):
        why = "the kernel reads what it points to later, when another thread may have changed it"
        fail(node, f"{argument.name} is a pointer, which can be compared with 0 only", why=why)
    return Condition(argument.name, mask, tuple(sorted(set(values))))


def parse_value(node: Node, call: str, argument: Argument) -> int:
    """A value of an argument, as the bits that the kernel sees. Negative numbers are taken as two's complement."""
    value = 0
    words = [word.strip() for word in text(node).split("|")]
    for word in words:
        value |= _parse_word(node, word, call, argument)
    return value


def _parse_word(node: Node, word: str, call: str, argument: Argument) -> int:
    if _NUMBER.fullmatch(word):
        number = int(word, 16 if "0x" in word else 10)
    elif word in CONSTANTS:
        number = CONSTANTS[word]
        kinds = KINDS.get(f"{call}.{argument.name}", ())
        if kinds and not word.startswith(kinds):
            fail(
                node,
                f"{word} is no value of {argument.name}",
                why=f"values of {call}'s {argument.name} begin with {', '.join(kinds)}",
            )
    else:
        near = did_you_mean(word, CONSTANTS)
        fail(node, f"unknown value {word!r}", attempt=near or "a number, or the name of a constant that all architectures share")
    if not -(1 << (argument.bits - 1)) <= number <= argument.mask:
        fail(node, f"{word} does not fit into {argument.name}", why=f"the kernel looks at {argument.bits} bits of it")
    return number & argument.mask


def parse_rules(node: Node) -> tuple[Said, ...]:
    """The list of `allow` or `deny`; all wrong items are reported at once."""
    if not isinstance(node, Sequence):
        fail(node, f"expected a list of rules, found {kind_of(node)}")
    said: list[Said] = []
    problems: list[Problem] = []
    for item in node.items:
        try:
            said.append(Said(parse_rule(item), item.place))
        except ProfileError as error:
            problems.extend(error.problems)
    if problems:
        raise ProfileError(problems)
    return tuple(said)


def parse_errno(node: Node) -> int:
    """An error number by its name."""
    name = text(node)
    if name not in Errno.__members__:
        fail(
            node, f"unknown error number {name!r}", attempt=did_you_mean(name, Errno.__members__) or "EPERM, EACCES, ENOSYS, ..."
        )
    return int(Errno[name])


def _parse_subject(node: Node) -> str:
    item = parse_rule(node)
    if isinstance(item, Rule) and not item.is_whole:
        fail(node, f"an answer is for every refused use of {item.call}", attempt=item.call)
    return f"@{item.name}" if isinstance(item, Group) else item.call


def parse_answers(node: Node) -> tuple[Said, ...]:
    """The mapping of `errno`: {ENOSYS: [clone3, "@io-uring"]}."""
    if not isinstance(node, Mapping):
        fail(node, f"expected a mapping of error numbers to lists of calls, found {kind_of(node)}", attempt="{ENOSYS: [clone3]}")
    said: list[Said] = []
    problems: list[Problem] = []
    for key, value in node.entries:
        try:
            number = parse_errno(key)
            if not isinstance(value, Sequence):
                fail(value, f"expected a list of calls, found {kind_of(value)}")
        except ProfileError as error:
            problems.extend(error.problems)
            continue
        for item in value.items:
            try:
                said.append(Said(Answer(number, _parse_subject(item)), item.place))
            except ProfileError as error:
                problems.extend(error.problems)
    if problems:
        raise ProfileError(problems)
    return tuple(said)
