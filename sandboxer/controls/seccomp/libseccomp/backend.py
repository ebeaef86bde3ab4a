"""The filters that libseccomp writes, through pyseccomp, in a child of its own.

It is given as little room for error as possible: one action beside the default, numbers from our own tables, comparisons for
equality under a mask only. (With orders, or with names that it does not know, it writes filters that are wider than the rules.)
Denies never share a filter with grants, because there a grant of a whole call swallows the deny of a part of it. A
child that takes too long is ended. Source: seccomp_rule_add(3).
"""

from __future__ import annotations

import itertools
import platform
from collections.abc import Iterable, Iterator

from sandboxer.abi import bpf
from sandboxer.controls.seccomp.libseccomp.assembly import too_long
from sandboxer.controls.seccomp.libseccomp.blocks import Comparison, comparisons
from sandboxer.controls.seccomp.libseccomp.child import Order, compile_in_child
from sandboxer.controls.seccomp.libseccomp.closing import LOADING_CALL, closing_filter
from sandboxer.controls.seccomp.meaning import Settings, Statement, Wall
from sandboxer.controls.seccomp.rules import NO_ANSWER, Rule, are_included, find_number, reduced, tests_of
from sandboxer.controls.seccomp.words import show_answer, show_rule
from sandboxer.errors import HostError, InternalError, Problem, ProfileError

MAX_ALTERNATIVES = 4096


def compile_walls(settings: Settings, arch: str) -> Iterator[tuple[str, bytes, Wall]]:
    """(purpose, program, wall) for each filter in the order of loading.

    For each wall one filter of its grants (everything else refused) and, where it denies parts of calls, one of its denies
    (everything else allowed); after them the closing filter.
    Raises: ProfileError for what libseccomp is not trusted to say; HostError if it is missing or made for another machine.
    """
    if platform.machine() != arch:
        why = f"libseccomp is asked with the numbers of the machine that it runs on, {platform.machine()}"
        raise HostError(Problem(f"the libseccomp backend cannot write filters for {arch} here", why=why))
    check_sayable(settings)
    refused = bpf.RET_ERRNO | settings.default_errno
    for wall in settings.walls:
        if wall.grants is not None:
            rules = [*(rule for rule in granted_rules(wall) if rule.call != LOADING_CALL), Rule(LOADING_CALL)]
            yield f"what {wall.name} allows", compile_filter(arch, rules, matched=bpf.RET_ALLOW, default=refused), wall
        denies = [rule for rule in denied_rules(wall) if rule.call != LOADING_CALL]
        if denies:
            yield f"what {wall.name} denies", compile_filter(arch, denies, matched=refused, default=bpf.RET_ALLOW), wall
    yield "numbers without a name, and special answers", closing_filter(settings, arch), settings.walls[0]


def check_sayable(settings: Settings) -> None:
    """Raises: ProfileError for each rule with an answer of its own."""

    def problem(item: Statement) -> Problem:
        what = f"the libseccomp backend cannot answer {show_answer(item.rule.answer)} to {item.rule.call} alone"
        return Problem(what, where=item.place, why="its filters have one answer beside the default", attempt="backend: own")

    spoken = [item for wall in settings.walls for item in (*(wall.grants or ()), *wall.denies) if item.rule.answer != NO_ANSWER]
    if spoken:
        raise ProfileError([problem(item) for item in spoken])


def granted_rules(wall: Wall) -> tuple[Rule, ...]:
    """The grants of a wall that the denies do not take away wholly."""
    grants = wall.grants or ()
    return tuple(item.rule for item in grants if not are_included(item.rule, wall.denies_of(item.rule.call)))


def denied_rules(wall: Wall) -> tuple[Rule, ...]:
    """The denies that the filter of the grants does not cover: those of parts of calls, or all where everything is granted."""
    return tuple(
        item.rule for item in wall.denies if wall.grants is None or (wall.grants_of(item.rule.call) and not item.rule.is_whole)
    )


def compile_filter(arch: str, rules: Iterable[Rule], *, matched: int, default: int) -> bytes:
    """A filter that answers `matched` to every use of a call that some rule is about, and `default` to all others.

    matched, default: SECCOMP_RET_* with data. Calls that the architecture does not have are left out; x32 and other
    architectures are killed.
    Raises: ProfileError if the filter is too long; HostError if libseccomp is missing, or does not end.
    """
    rows: list[tuple[int, tuple[Comparison, ...]]] = []
    for rule in reduced(rules):
        number = find_number(rule.call, arch)
        if number is not None:
            rows += ((number, alternative) for alternative in alternatives(rule, arch))
    program = compile_in_child(Order(matched, default, tuple(rows)))
    count = len(program) // bpf.INSTRUCTION_BYTES
    if count == 0:
        raise InternalError(Problem("libseccomp wrote an empty filter"))
    if count > bpf.MAX_INSTRUCTIONS:
        raise too_long(count)
    return program


def alternatives(rule: Rule, arch: str) -> tuple[tuple[Comparison, ...], ...]:
    """The rule as alternatives of comparisons that must all hold; one empty alternative for a whole call.

    libseccomp takes one comparison for each argument, so a case that looks at one argument in two ways cannot be said.
    """
    found: list[tuple[Comparison, ...]] = []
    for case in rule.cases:
        tests = tests_of(rule.call, case, arch)
        if len({index for index, _, _ in tests}) < len(tests):
            why = "libseccomp takes one comparison for each argument"
            raise ProfileError(Problem(f"the libseccomp backend cannot say {show_rule(rule)}", why=why, attempt="backend: own"))
        found += itertools.product(*(comparisons(test) for test in tests))
    if len(found) > MAX_ALTERNATIVES:
        why = f"it would take {len(found)} comparisons for equality under a mask"
        raise ProfileError(Problem(f"the libseccomp backend cannot say {show_rule(rule)}", why=why, attempt="backend: own"))
    return tuple(found)
