"""Verdicts of rows from pretended boxes: what is right, what is not, what the host cannot keep, what could not be tried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from sandboxer.abi.rlimits import Rlimit
from sandboxer.errors import HostError, Problem
from sandboxer.model.op import U32, U64, ArmWallClock, SetRlimit, Text, WriteGroup
from sandboxer.model.plan import Plan, Recipe, Step
from sandboxer.model.report import Report
from sandboxer.model.result import Reason
from sandboxer.model.stage import Stage
from sandboxer.prove.probe import Finding, Probe, Seen, Trial, Verdict
from sandboxer.prove.prover import name_step, prove_row, without
from tests.prove.pretend import ended

LIMIT = Step(SetRlimit(U32(Rlimit.NOFILE), U64(16), U64(16)), Stage.LIMITS, "limits")
CLOCK = Step(ArmWallClock(U64(1), U64(0), U32(9)), Stage.CLOCK, "limits")
GROUP = Step(WriteGroup(U32(4), Text("pids.max"), Text("9")), Stage.PREPARE, "limits")
PLAN = Plan("box", (CLOCK, GROUP), (LIMIT,), (), Recipe(), Report())


def owns_limit(step: Step) -> bool:
    return step is LIMIT


def judged(is_right: bool, words: str = "seen") -> Trial:
    return Trial(("call 39",), lambda _: Finding(is_right, words))


def pretended(_probe: Probe, _trial: Trial) -> Seen:
    return Seen(ended())


def refused(_probe: Probe, _trial: Trial) -> Seen:
    raise HostError(Problem("no launcher"))


def not_found(_probe: Probe, _trial: Trial) -> Seen:
    return Seen(replace(ended(Reason.NOT_FOUND), detail="there is no /proc"))


def row(*trials: Trial, lost: str = "", why_not: str = "") -> Probe:
    return Probe("limits.open_files", "1024", owns_limit, trials, why_not=why_not, lost=lost)


@pytest.mark.parametrize(
    ("probe", "run", "verdict", "words"),
    [
        (row(judged(True, "a"), judged(True, "b")), pretended, Verdict.HOLDS, "a; b"),
        (row(judged(False, "no end")), pretended, Verdict.BROKEN, "no end"),
        (row(judged(True), judged(False, "the twin")), pretended, Verdict.BROKEN, "the twin"),
        (row(judged(True, "a"), lost="the box as a whole"), pretended, Verdict.WEAKER, "a; the box as a whole"),
        (row(why_not="no call"), pretended, Verdict.UNTRIED, "no call"),
        (row(judged(True)), refused, Verdict.UNTRIED, "the probe does not run: no launcher"),
        (row(judged(True)), not_found, Verdict.UNTRIED, "the probe does not run: there is no /proc"),
    ],
)
def test_verdict_of_a_row(probe: Probe, run: Callable[[Probe, Trial], Seen], verdict: Verdict, words: str) -> None:
    proof = prove_row(probe, PLAN, run)
    assert (proof.verdict, proof.observed, proof.enforced_by) == (verdict, words, "rlimit NOFILE")


def test_row_of_which_only_the_value_was_read_says_so() -> None:
    read = replace(judged(True, "cpu.weight = 50"), is_read_back=True)
    proof = prove_row(replace(row(read), why_read="nothing trips it"), PLAN, pretended)
    assert (proof.verdict, proof.observed) == (Verdict.HOLDS, "read back: cpu.weight = 50; nothing trips it")
    proof = prove_row(row(read, judged(True, "throttled")), PLAN, pretended)
    assert proof.observed == "cpu.weight = 50; throttled"
    silent = replace(judged(True, ""), is_read_back=True)
    assert prove_row(row(silent), PLAN, pretended).observed == "read back: the kernel has it"


def test_row_that_no_step_enforces_is_broken() -> None:
    nobody = Probe("limits.wall", "1h", lambda _: False, (judged(True),))
    assert prove_row(nobody, PLAN, pretended).verdict is Verdict.BROKEN


def test_tampering_takes_the_steps_of_one_row() -> None:
    assert without("limits.open_files")(row(), PLAN).inside == ()
    assert without("limits.open_files")(row(), PLAN).before == PLAN.before
    assert without("limits.wall")(row(), PLAN) == PLAN


@pytest.mark.parametrize(("step", "name"), [(LIMIT, "rlimit NOFILE"), (CLOCK, "the monitor"), (GROUP, "cgroup v1 pids.max")])
def test_enforcer_has_a_name(step: Step, name: str) -> None:
    assert name_step(step) == name
