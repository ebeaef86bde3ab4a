"""Rules about system calls, as values, and what can be told of them without a kernel.

A rule is a call and conditions on its arguments, all of which must hold; a condition looks only at the bits that the kernel
looks at. This module knows widths and set algebra; it does not know YAML or BPF.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from sandboxer.abi.arguments_table import ARGUMENTS, BY_ARCH
from sandboxer.abi.errnos import Errno
from sandboxer.abi.syscalls_table import NUMBERS

ARCHITECTURES = ("x86_64", "aarch64", "riscv64")
CALLS: frozenset[str] = frozenset().union(*(NUMBERS[arch] for arch in ARCHITECTURES))
"""Every call that one of our architectures has. What only 32-bit x86 has is foreign everywhere and never reached."""

MAX_ALTERNATIVES = 256


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a call; `bits` is how much of it the kernel looks at."""

    index: int
    name: str
    bits: int
    is_pointer: bool

    @property
    def mask(self) -> int:
        """All bits that the kernel looks at."""
        return (1 << self.bits) - 1


@dataclass(frozen=True, slots=True, order=True)
class Condition:
    """(argument & mask) is one of `values`, which are sorted and have no bit outside of the mask."""

    argument: str
    mask: int
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True, order=True)
class Rule:
    """A call, under conditions that are sorted by argument; no conditions: the whole call."""

    call: str
    conditions: tuple[Condition, ...] = ()

    @property
    def is_whole(self) -> bool:
        """The rule is about every use of the call."""
        return not self.conditions

    def __str__(self) -> str:
        # The words of a rule need the rules.
        from sandboxer.controls.seccomp.words import show_rule

        return show_rule(self)


@dataclass(frozen=True, slots=True, order=True)
class Group:
    """`@name`: the rules of policies/syscalls/<name>.yaml."""

    name: str

    def __str__(self) -> str:
        return f"@{self.name}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a refused call says: `subject` is a call, or `@name` for every call that a group allows."""

    errno: int
    subject: str

    def __str__(self) -> str:
        return f"{Errno(self.errno).name}: {self.subject}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """(argument number `index` & mask) == value."""

    index: int
    mask: int
    value: int


Alternative = tuple[Comparison, ...]


@cache
def find_arguments(call: str, arch: str) -> tuple[Argument, ...] | None:
    """The arguments of a call, or None where nobody stated them."""
    text = BY_ARCH.get(arch, {}).get(call, ARGUMENTS.get(call))
    if text is None:
        return None
    pairs = (word.split(":") for word in text.split())
    return tuple(Argument(i, name, 64 if bits == "*" else int(bits), bits == "*") for i, (name, bits) in enumerate(pairs))


def find_number(call: str, arch: str) -> int | None:
    """The number of a call on an architecture, or None where that has no such call."""
    return NUMBERS[arch].get(call)


def _index(rule: Rule, condition: Condition, arch: str) -> int:
    named = find_arguments(rule.call, arch) or ()
    return next(argument.index for argument in named if argument.name == condition.argument)


def alternatives(rule: Rule, arch: str) -> tuple[Alternative, ...]:
    """The rule as alternatives of tests that must all hold; one empty alternative for a whole call."""
    columns = [
        [Comparison(_index(rule, condition, arch), condition.mask, value) for value in condition.values]
        for condition in rule.conditions
    ]
    return tuple(itertools.product(*columns))


def count_alternatives(rule: Rule) -> int:
    """How many alternatives a rule has."""
    count = 1
    for condition in rule.conditions:
        count *= len(condition.values)
    return count


def matches(rule: Rule, arch: str, arguments: Sequence[int]) -> bool:
    """Whether the rule is about a call with these six 64-bit arguments. The reference meaning of a rule."""
    return all(arguments[_index(rule, test, arch)] & test.mask in test.values for test in rule.conditions)


def overlaps(one: Rule, other: Rule) -> bool:
    """Whether some use of a call is in both rules. Exact."""
    if one.call != other.call:
        return False
    theirs = {condition.argument: condition for condition in other.conditions}
    return all(
        any((a ^ b) & mine.mask & theirs[mine.argument].mask == 0 for a in mine.values for b in theirs[mine.argument].values)
        for mine in one.conditions
        if mine.argument in theirs
    )


def includes(wide: Rule, narrow: Rule) -> bool:
    """Whether every use in `narrow` is in `wide`. Exact, as long as no argument of `narrow` is contradictory."""
    if wide.call != narrow.call:
        return False
    theirs = {condition.argument: condition for condition in narrow.conditions}
    return all(
        (other := theirs.get(mine.argument)) is not None
        and mine.mask & other.mask == mine.mask
        and all(value & mine.mask in mine.values for value in other.values)
        for mine in wide.conditions
    )


def reduced(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """The rules without those that another one includes, sorted."""
    kept: dict[str, list[Rule]] = {}
    for rule in sorted(set(rules)):
        same = kept.setdefault(rule.call, [])
        if not any(includes(other, rule) for other in same):
            same[:] = [*(other for other in same if not includes(rule, other)), rule]
    return tuple(sorted(rule for same in kept.values() for rule in same))
