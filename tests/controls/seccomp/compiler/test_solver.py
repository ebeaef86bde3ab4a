"""An SMT solver agrees with the proof: about filters that mean what their rules say, and about some that do not.

Filter and rules become formulas over the bits of the architecture, the number and six arguments, without our ranges and regions.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import z3
from hypothesis import HealthCheck, given, settings

from sandboxer.abi import bpf
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.controls.seccomp.compiler.program import Instruction, Program, decode
from sandboxer.controls.seccomp.compiler.proof import UnprovableFilter, find_difference
from sandboxer.controls.seccomp.meaning import Settings, Wall
from sandboxer.controls.seccomp.rules import Rule, Situation, find_arguments
from sandboxer.controls.seccomp.stack import compile_stack
from tests.controls.seccomp.drawn import Policy, policies, strictness
from tests.controls.seccomp.filters import meaning

WORD = 0xFFFFFFFF
Formula = Any
ARCH, NUMBER = z3.BitVec("arch", 32), z3.BitVec("number", 32)
ARGUMENTS = [z3.BitVec(f"argument{index}", 64) for index in range(6)]


# ── the filter ────────────────────────────────────────────────────────────────────────────────────────────────────────


def word_at(offset: int) -> Formula:
    """A word of seccomp_data."""
    if offset in (0, 4):
        return (NUMBER, ARCH)[offset // 4]
    index, rest = divmod(offset - 16, 8)
    return z3.Extract(8 * rest + 31, 8 * rest, ARGUMENTS[index])


def answer_of(program: Program) -> Formula:
    """What a filter answers."""
    known: dict[tuple[int, str], Formula] = {}

    def run(at: int, loaded: Formula) -> Formula:
        key = (at, str(loaded))
        if key not in known:
            known[key] = step(at, program[at], loaded)
        return known[key]

    def step(at: int, this: Instruction, loaded: Formula) -> Formula:
        if this.code == 0x06:
            return z3.BitVecVal(this.k, 32)
        if this.code == 0x20:
            return run(at + 1, word_at(this.k))
        if this.code == 0x54:
            return run(at + 1, loaded & this.k)
        if this.code == 0x05:
            return run(at + 1 + this.k, loaded)
        k = z3.BitVecVal(this.k, 32)
        tests = {0x15: loaded == k, 0x25: z3.UGT(loaded, k), 0x35: z3.UGE(loaded, k), 0x45: (loaded & k) != 0}
        return z3.If(tests[this.code], run(at + 1 + this.on_true, loaded), run(at + 1 + this.on_false, loaded))

    return run(0, z3.BitVecVal(0, 32))


def strictest(answers: Sequence[Formula]) -> Formula:
    """The strictest of some answers, of equal actions the first: the action as a signed number."""
    found = answers[0]
    for other in answers[1:]:
        found = z3.If((other & 0xFFFF0000) < (found & 0xFFFF0000), other, found)
    return found


# ── the rules ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def holds(rule: Rule, arch: str) -> Formula:
    """Where a rule is about its call."""
    places = {known.name: known.index for known in find_arguments(rule.call, arch) or ()}
    cases = []
    for case in rule.cases:
        parts = []
        for condition in case:
            seen = ARGUMENTS[places[condition.argument]] & condition.mask
            parts.append(z3.Or([z3.And(z3.ULE(low, seen), z3.ULE(seen, high)) for low, high in condition.ranges]))
        cases.append(z3.And(parts))
    return z3.Or(cases)


def wall_says(wall: Wall, call: str, arch: str, refused: int) -> Formula:
    """What a wall answers, from the weakest rule to the strongest."""
    found: Formula = z3.BitVecVal(refused if wall.grants is not None else bpf.RET_ALLOW, 32)
    grants = [item.rule for item in wall.grants or () if item.rule.call == call]
    denies = [item.rule for item in wall.denies if item.rule.call == call]
    for rule in sorted(grants, key=lambda rule: rule.answer != -1):
        found = z3.If(holds(rule, arch), z3.BitVecVal(bpf.RET_ALLOW if rule.answer == -1 else rule.answer, 32), found)
    said = [(refused if rule.answer == -1 else rule.answer, rule.answer == -1, rule) for rule in denies]
    for answer, _, rule in sorted(said, key=lambda row: (strictness(row[0]), row[1]), reverse=True):
        found = z3.If(holds(rule, arch), z3.BitVecVal(answer, 32), found)
    return found


def rules_say(here: Settings, arch: str) -> Formula:
    """What all calls answer."""
    found: Formula = z3.BitVecVal(bpf.RET_ERRNO | 38, 32)
    if arch == "x86_64":
        is_x32 = z3.And(z3.UGE(NUMBER, 0x40000000), NUMBER != 0xFFFFFFFF)
        found = z3.If(is_x32, z3.BitVecVal(bpf.RET_KILL_PROCESS, 32), found)
    answers = dict(here.answers)
    for call, number in NUMBERS[arch].items():
        refused = bpf.RET_ERRNO | answers.get(call, here.default_errno)
        answer = strictest([wall_says(wall, call, arch, refused) for wall in here.walls])
        found = z3.If(number == NUMBER, answer, found)
    return z3.If(bpf.AUDIT_ARCH[arch] == ARCH, found, z3.BitVecVal(bpf.RET_KILL_PROCESS, 32))


def differs(stack: Sequence[Program], said: Formula) -> bool:
    """Whether some call has another answer than the rules say."""
    solver = z3.Solver()
    solver.add(strictest([answer_of(program) for program in reversed(stack)]) != said)
    found = solver.check()
    assert found in (z3.sat, z3.unsat)
    return bool(found == z3.sat)


# ── both ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def changed(program: Program, source: random.Random) -> Program:
    """The program with one instruction that says something else."""
    at = source.choice([at for at, step in enumerate(program) if step.code not in (0x05, 0x20)])
    step = program[at]
    kinds = [step._replace(k=step.k ^ 1 << source.randrange(32)), step._replace(k=step.k + 1 & WORD)]
    if step.code in (0x15, 0x25, 0x35, 0x45):
        kinds += [step._replace(code=code) for code in (0x15, 0x25, 0x35, 0x45)]
        kinds += [
            step._replace(on_true=step.on_false, on_false=step.on_true),
            step._replace(on_true=0),
            step._replace(on_false=0),
        ]
    return (*program[:at], source.choice(kinds), *program[at + 1 :])


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(policies(most_layers=1, most_rules=3))
def test_solver_and_proof_agree_about_filters_and_about_changed_ones(policy: Policy) -> None:
    arch, here, source = policy.situation.arch, policy.settings(), random.Random(policy.seed)
    stack = [decode(item.program) for item in compile_stack(here, arch)]
    said = rules_say(here, arch)
    assert not differs(stack, said), policy.texts()
    for _ in range(2):
        at = source.randrange(len(stack))
        mutant = [*stack[:at], changed(stack[at], source), *stack[at + 1 :]]
        try:
            witness = find_difference(here, arch, mutant)
        except UnprovableFilter:
            continue
        assert differs(mutant, said) is (witness is not None), (policy.texts(), mutant)


def test_solver_finds_what_it_should() -> None:
    """Its own twin: with a wrong constant in the rules it says so."""
    program = (Instruction(0x20, 0, 0, 20), Instruction(0x15, 0, 1, 5), Instruction(0x06, 0, 0, 1), Instruction(0x06, 0, 0, 2))

    def wanted(value: int) -> Formula:
        return z3.If(z3.LShR(ARGUMENTS[0], 32) == value, z3.BitVecVal(1, 32), z3.BitVecVal(2, 32))

    assert not differs([program], wanted(5))
    assert differs([program], wanted(6))


def test_shipped_filters_are_what_the_solver_takes_them_for() -> None:
    for arch in ("x86_64", "aarch64", "riscv64"):
        here = meaning('allow: ["@application", "@namespaces"]', "deny: [{socket: {family: {in: [1, 16]}}}]").at(Situation(arch))
        stack = [decode(item.program) for item in compile_stack(here, arch)]
        assert not differs(stack, rules_say(here, arch))
