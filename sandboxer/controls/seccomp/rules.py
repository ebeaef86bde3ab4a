"""Rules about system calls, as values, and what can be told of them without a kernel.

A rule is a call and cases; a case is conditions on arguments, all of which hold; a condition looks only at bits that the kernel
looks at. This module knows widths and set algebra; it does not know YAML or BPF.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from sandboxer.abi import bpf
from sandboxer.abi.arguments_table import ARGUMENTS, BY_ARCH
from sandboxer.abi.errnos import Errno
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.controls.seccomp import bits
from sandboxer.controls.seccomp.bits import Ranges, Region

ARCHITECTURES = ("x86_64", "aarch64", "riscv64")
CALLS: frozenset[str] = frozenset().union(*(NUMBERS[arch] for arch in ARCHITECTURES))
"""Every call that one of our architectures has. What only 32-bit x86 has is foreign everywhere and never reached."""

MAX_CASES = 256
"""Of a rule, and of all rules about a call in one list. Cases are compared with each other: to prove, to find idle ones."""
NO_ANSWER = -1
"""A rule that says nothing of its own: an allowed call passes, a refused one answers what the policy says for the call."""


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
    """(argument & mask) is in `ranges`, which are normal under the mask (see bits.py)."""

    argument: str
    mask: int
    ranges: Ranges


Case = tuple[Condition, ...]
"""Conditions that all hold, sorted, at most one for each argument and mask."""
Test = tuple[int, int, Ranges]
"""A condition with the number of its argument: (index, mask, ranges)."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What a plan is made for: an architecture, a kernel (major, minor), and the capabilities that the job holds, as bits."""

    arch: str = "x86_64"
    kernel: tuple[int, int] = (6, 12)
    capabilities: int = 0


@dataclass(frozen=True, slots=True, order=True)
class When:
    """Where a rule counts. arches: on one of these, empty for all. kernel: from the first up to below the second, (0, 0) for no
    bound. held, unheld: all of these capabilities are held by the job, and none of those."""

    arches: tuple[str, ...] = ()
    kernel: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
    held: int = 0
    unheld: int = 0

    def holds(self, situation: Situation) -> bool:
        """Whether a rule with this condition counts there."""
        since, below = self.kernel
        return (
            (not self.arches or situation.arch in self.arches)
            and situation.kernel >= since
            and (below == (0, 0) or situation.kernel < below)
            and situation.capabilities & self.held == self.held
            and not situation.capabilities & self.unheld
        )


ALWAYS = When()


@dataclass(frozen=True, slots=True, order=True)
class Rule:
    """A call in one of `cases`; one empty case: the whole call. answer: SECCOMP_RET_* with its data, or NO_ANSWER."""

    call: str
    cases: tuple[Case, ...] = ((),)
    answer: int = NO_ANSWER
    when: When = ALWAYS

    @property
    def is_whole(self) -> bool:
        """The rule is about every use of the call."""
        return self.cases == ((),)

    @property
    def tested(self) -> frozenset[str]:
        """The names of the arguments that the rule looks at."""
        return frozenset(condition.argument for case in self.cases for condition in case)

    def __str__(self) -> str:
        # The words of a rule need the rules.
        from sandboxer.controls.seccomp.words import show_rule

        return show_rule(self)


@dataclass(frozen=True, slots=True, order=True)
class Group:
    """`@name`: the rules of policies/syscalls/<name>.yaml, without those about the calls in `but`."""

    name: str
    but: tuple[str, ...] = ()
    answer: int = NO_ANSWER
    when: When = ALWAYS

    def __str__(self) -> str:
        from sandboxer.controls.seccomp.words import show_group

        return show_group(self)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a refused call says where a condition holds: `subject` is a call, or `@name` for every call that a group allows."""

    errno: int
    subject: str
    when: When = ALWAYS

    def __str__(self) -> str:
        from sandboxer.controls.seccomp.words import show_options

        return f"{Errno(self.errno).name}: {self.subject}{show_options(NO_ANSWER, self.when)}"


@dataclass(frozen=True, slots=True, order=True)
class Count:
    """How often a call is made, beside others."""

    call: str
    count: int

    def __str__(self) -> str:
        return f"{self.call}: {self.count}"


@cache
def find_arguments(call: str, arch: str) -> tuple[Argument, ...] | None:
    """The arguments of a call, or None where nobody stated them."""
    text = BY_ARCH.get(arch, {}).get(call, ARGUMENTS.get(call))
    if text is None:
        return None
    pairs = (word.split(":") for word in text.split())
    return tuple(Argument(i, name, 64 if width == "*" else int(width), width == "*") for i, (name, width) in enumerate(pairs))


def find_number(call: str, arch: str) -> int | None:
    """The number of a call on an architecture, or None where that has no such call."""
    return NUMBERS[arch].get(call)


@cache
def _index(call: str, argument: str, arch: str) -> int:
    return next(known.index for known in find_arguments(call, arch) or () if known.name == argument)


def tests_of(call: str, case: Case, arch: str) -> tuple[Test, ...]:
    """The conditions of a case with the numbers of their arguments."""
    return tuple((_index(call, condition.argument, arch), condition.mask, condition.ranges) for condition in case)


def matches(rule: Rule, arch: str, arguments: Sequence[int]) -> bool:
    """Whether the rule is about a call with these six 64-bit arguments. The reference meaning of a rule."""
    return any(
        all(
            any(low <= arguments[index] & mask <= high for low, high in ranges)
            for index, mask, ranges in tests_of(rule.call, case, arch)
        )
        for case in rule.cases
    )


def is_possible(call: str, case: Case) -> bool:
    """Whether some arguments fulfil all conditions of a case."""
    return bits.within(Region(), _tests(call, case)) is not None


def _tests(call: str, case: Case) -> tuple[Test, ...]:
    """Names and widths are the same everywhere, so one architecture tells whether conditions exclude each other."""
    return tests_of(call, case, ARCHITECTURES[0])


def overlaps(one: Rule, other: Rule) -> bool:
    """Whether some use of a call is in both rules. Exact."""
    return one.call == other.call and any(
        bits.within(Region(), (*_tests(one.call, mine), *_tests(one.call, theirs))) is not None
        for mine in one.cases
        for theirs in other.cases
    )


def _parts_outside(region: Region, call: str, cases: Sequence[Case]) -> Iterator[Region]:
    """The parts of a region that none of the cases is about."""
    tests = [_tests(call, case) for case in cases]
    open_parts = [(region, 0)]
    while open_parts:
        part, at = open_parts.pop()
        if at == len(tests):
            yield part
        else:
            open_parts += ((smaller, at + 1) for smaller in bits.split(part, tests[at])[1])


def includes(wide: Rule, narrow: Rule) -> bool:
    """Whether every use in `narrow` is in `wide`. Exact."""
    if wide.call != narrow.call:
        return False
    if wide.is_whole:
        return True
    return are_included(narrow, [wide])


def are_included(narrow: Rule, wide: Iterable[Rule]) -> bool:
    """Whether every use in `narrow` is in one of the rules of `wide`, which are about the same call. Exact."""
    cases = [case for rule in wide for case in rule.cases]
    for case in narrow.cases:
        region = bits.within(Region(), _tests(narrow.call, case))
        if region is not None and next(_parts_outside(region, narrow.call, cases), None) is not None:
            return False
    return True


def reduced(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """The rules without those that another one with the same answer includes, sorted."""
    kept: dict[tuple[str, int, When], list[Rule]] = {}
    for rule in sorted(set(rules)):
        same = kept.setdefault((rule.call, rule.answer, rule.when), [])
        if not any(includes(other, rule) for other in same):
            same[:] = [*(other for other in same if not includes(rule, other)), rule]
    return tuple(sorted(rule for same in kept.values() for rule in same))


_HIGH = 0xFFFFFFFF << 32


def upper_half_rule(rule: Rule) -> Rule | None:
    """The uses of a call in which an argument that the rule tests has an upper half that no compiler of C makes of a value.

    The kernel drops that half. What a compiler leaves there is zero, or the sign. None if the rule tests no narrow argument. It
    counts where the rule counts.
    """
    cases: list[Case] = []
    for argument in find_arguments(rule.call, ARCHITECTURES[0]) or ():
        if argument.name in rule.tested and argument.bits < 64:
            name = argument.name
            cases.append((Condition(name, _HIGH, ((1 << 32, _HIGH - (1 << 32)),)),))
            cases.append((Condition(name, 1 << 31, ((0, 0),)), Condition(name, _HIGH, ((_HIGH, _HIGH),))))
    return Rule(rule.call, tuple(sorted(cases)), when=rule.when) if cases else None


def answered(rule: Rule, answer: int, when: When) -> Rule:
    """The rule with the answer and the condition of a group that it came through; its own answer stays."""
    return replace(
        rule,
        answer=answer if rule.answer == NO_ANSWER else rule.answer,
        when=rule.when if when == ALWAYS else _both(rule.when, when),
    )


def _both(one: When, other: When) -> When:
    arches = tuple(arch for arch in one.arches if not other.arches or arch in other.arches) if one.arches else other.arches
    if (one.arches and other.arches) and not arches:
        arches = ("none",)
    bounds = [below for below in (one.kernel[1], other.kernel[1]) if below != (0, 0)]
    kernel = (max(one.kernel[0], other.kernel[0]), min(bounds, default=(0, 0)))
    return When(arches, kernel, one.held | other.held, one.unheld | other.unheld)


def action_of(answer: int) -> int:
    """The action of an answer, without its data. SECCOMP_RET_ACTION_FULL in linux/seccomp.h."""
    return answer & bpf.RET_ACTION


def rank(answer: int) -> int:
    """Smaller is stricter, as the kernel compares: the action as a signed number. kernel/seccomp.c, seccomp_run_filters."""
    action = action_of(answer)
    return action - (1 << 32) if action & bpf.RET_KILL_PROCESS else action
