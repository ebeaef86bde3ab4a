"""Run the probes of a profile and judge them. `tamper` is for tests, which break a plan on purpose and want to see it found."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Protocol

from sandboxer.abi.rlimits import Rlimit
from sandboxer.controls.limits import settings
from sandboxer.errors import HostError, InternalError, Problem
from sandboxer.launcher.probe import INSIDE, open_probe, probe_path
from sandboxer.model.op import ArmCpuClock, ArmWallClock, LimitOutput, LoadFilter, SetRlimit, WriteGroup
from sandboxer.model.plan import Plan, Step
from sandboxer.model.result import Reason
from sandboxer.prove import calls, files, limits, reach, rights
from sandboxer.prove.box import run_script
from sandboxer.prove.probe import Finding, Probe, Proof, Seen, Trial, Verdict, steps_of
from sandboxer.prove.subject import Subject, find_subject, lowered_plan, with_program

Tamper = Callable[[Probe, Plan], Plan]
Choose = Callable[[Probe], Probe | None]
Run = Callable[[Probe, Trial], Seen]


class Room(Protocol):
    """What knows how to try a section, or some of them."""

    @property
    def ROWS(self) -> tuple[str, ...]:
        """All that its probes can be about."""

    def find_probes(self, subject: Subject) -> Iterator[Probe]:
        """The probes for what a profile declares."""


ROOMS: tuple[Room, ...] = (limits, calls, rights, files, reach)
ROWS: tuple[str, ...] = tuple(row for room in ROOMS for row in room.ROWS)
"""Every row that a table can have, but the one that says how the probe itself was let in."""

OF_MOUNTS = (*files.ROWS, "devices", "landlock")
WITHOUT_BOX = "the command has no box here, and this row is tried by the mounts of one"
STARTS = Trial(("rest 1",), lambda seen: Finding(seen.ended_well, ""))
"""Whether the probe can be run at all."""
ANSWER_BYTES = 64 << 10
WHY_ROOM = "the answers of probes need room; every other step of the plan stays, and the limit itself is tried as it is"
NEVER_RAN = frozenset({Reason.SETUP_FAILED, Reason.NOT_FOUND, Reason.NOT_EXECUTABLE})


def prove(profile: str, *, tamper: Tamper = lambda _, plan: plan, choose: Choose = lambda probe: probe) -> Iterator[Proof]:
    """Try everything that a profile declares, one row after another. choose: the probes, or a part of one; None: leave it out.

    Raises: ProfileError, HostError.
    """
    subject = find_subject(profile)
    program_fd = open_probe()
    try:
        seen = run_script(subject.request, subject.resolved, subject.plan, STARTS, program_fd=program_fd)
        path = INSIDE
        if seen.result.reason in (Reason.NOT_FOUND, Reason.NOT_EXECUTABLE):
            path = probe_path()
            subject = with_program(subject, path)
            yield added_program(path, seen)
        if room_to_answer(subject):
            yield Proof("probe", "the plan as it is", "output 64K", "check --prove", WHY_ROOM, Verdict.HOLDS)
        run = partial(_run, subject, tamper, program_fd, path)
        for probe in filter(None, map(choose, find_probes(subject))):
            yield prove_row(probe, subject.plan, run)
    finally:
        os.close(program_fd)


def find_probes(subject: Subject) -> Iterator[Probe]:
    """One for each row that the profile gives something to try."""
    for room in ROOMS:
        for probe in room.find_probes(subject):
            if probe.row not in room.ROWS:
                raise InternalError(Problem(f"{probe.row} is no row that anybody has said there is"))
            has_place = subject.has_box or probe.row not in OF_MOUNTS
            yield probe if has_place else replace(probe, trials=(), why_not=WITHOUT_BOX)


def added_program(path: str, seen: Seen) -> Proof:
    """The row that says that the plan is not quite the profile's own. That it is otherwise has been checked."""
    why = seen.result.detail.splitlines()[0] if seen.result.detail else "it cannot be run"
    observed = f"{why}; every step of the plan stays, and this file is shown besides"
    return Proof("probe", "the plan as it is", f"{path} shown", "check --prove", observed, Verdict.HOLDS)


def room_to_answer(subject: Subject) -> dict[str, int]:
    """A higher limit of output where that of the profile would swallow what the probe answers; that row is tried lower again."""
    return {"output": ANSWER_BYTES} if settings(subject.policy).values["output"] < ANSWER_BYTES else {}


def _run(subject: Subject, tamper: Tamper, program_fd: int, path: str, probe: Probe, trial: Trial) -> Seen:
    plan = tamper(probe, lowered_plan(subject, {**room_to_answer(subject), **trial.lowered}))
    return run_script(subject.request, subject.resolved, plan, trial, program_fd=program_fd, path=path)


def prove_row(probe: Probe, plan: Plan, run: Run) -> Proof:
    """The row of a probe: all of its trials have to be right."""
    enforced_by = ", ".join(dict.fromkeys(name_step(step) for step in steps_of(plan) if probe.owns(step)))
    if probe.why_not:
        return Proof(probe.row, probe.declared, probe.tried, enforced_by, probe.why_not, Verdict.UNTRIED)
    findings = []
    for trial in probe.trials:
        try:
            seen = run(probe, trial)
            problem = seen.result.detail if seen.result.reason in NEVER_RAN else ""
        except HostError as error:
            problem = error.problems[0].what
        if problem:
            what = f"the probe does not run: {problem.splitlines()[0]}"
            return Proof(probe.row, probe.declared, probe.tried, enforced_by, what, Verdict.UNTRIED)
        findings.append(trial.judge(seen))
    wrong = [finding.words for finding in findings if not finding.is_right]
    if not enforced_by and not probe.lost:
        wrong.append("no step of the plan enforces it")
    if probe.lost:
        verdict, words = Verdict.WEAKER, (*(finding.words for finding in findings), probe.lost)
    elif wrong:
        verdict, words = Verdict.BROKEN, tuple(wrong)
    else:
        verdict, words = Verdict.HOLDS, seen_words(probe, findings)
    return Proof(probe.row, probe.declared, probe.tried, enforced_by, "; ".join(filter(None, words)), verdict)


def seen_words(probe: Probe, findings: list[Finding]) -> tuple[str, ...]:
    """What was seen, and whether that was nothing but the value itself."""
    words = tuple(finding.words for finding in findings)
    if not probe.trials or not all(trial.is_read_back for trial in probe.trials):
        return words
    return (f"read back: {', '.join(filter(None, words)) or 'the kernel has it'}", probe.why_read)


def without(row: str) -> Tamper:
    """Take the steps of one row out of a plan, for that row's own probe."""

    def tamper(probe: Probe, plan: Plan) -> Plan:
        if probe.row != row:
            return plan
        before, inside = (tuple(step for step in steps if not probe.owns(step)) for steps in (plan.before, plan.inside))
        return Plan(plan.profile, before, inside, plan.after, plan.recipe, plan.report)

    return tamper


def name_step(step: Step) -> str:
    """Who enforces: the kernel by this limit or file, the monitor, or what the step says of itself."""
    match step.op:
        case SetRlimit():
            return f"rlimit {Rlimit(step.op.resource).name}"
        case WriteGroup():
            return f"cgroup v{1 if step.op.group else 2} {step.op.file}"
        case ArmWallClock() | ArmCpuClock() | LimitOutput():
            return "the monitor"
        case LoadFilter():
            return "seccomp"
        case _:
            return step.control
