"""How limits are tried that say where a box runs, how it shares, and how large its own file systems are."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sandboxer.controls.limits import POLICIES, show
from sandboxer.model.op import NO_SLOT, MountFilesystem, MountOverlay, SetScheduling, ShowSpace, WriteGroup
from sandboxer.model.plan import Step
from sandboxer.prove.judge import judge_all, judge_answer, lacking, unless_refused
from sandboxer.prove.limits.each_process import Limit
from sandboxer.prove.limits.whole_box import only_read
from sandboxer.prove.probe import Finding, Probe, Seen, Trial
from sandboxer.prove.script import Script, answer, data, scratch
from sandboxer.prove.subject import Subject

MASK_BYTES = 1024  # for 8192 processors
CPU_FILES = ("cpuset.cpus",)
NOBODY_WRITES = ("EACCES", "EPERM")
PRIORITY_OF_NICENESS_0 = 20  # Source: getpriority(2), "C library/kernel differences"


def _probe(
    subject: Subject, limit: Limit, owns: Callable[[Step], bool], script: Script, judge: Callable[[Seen], Finding]
) -> Probe:
    trials = (Trial(script.statements, judge),)
    return Probe(f"limits.{limit.row.word}", show(limit.row, limit.value), owns, trials, lost=limit.lost, why_not=lacking(script))


def _writes(files: tuple[str, ...]) -> Callable[[Step], bool]:
    return lambda step: isinstance(step.op, WriteGroup) and step.op.file in files


def cpuset(subject: Subject, limit: Limit) -> Probe:
    """The processors that are left when the probe asks for all of them."""
    wanted = limit.value & subject.host.processors
    script = Script(subject)
    if not subject.refusal("sched_setaffinity", (0, MASK_BYTES, "x")):
        script.call("sched_setaffinity", 0, MASK_BYTES, data(b"\xff" * MASK_BYTES))
    script.call("sched_getaffinity", 0, MASK_BYTES, scratch(MASK_BYTES))
    dump = script.say(f"dump {MASK_BYTES}")

    def judge(seen: Seen) -> Finding:
        found = int.from_bytes(seen.dumps.get(dump, b""), "little")
        return Finding(bool(found) and not found & ~wanted, f"it runs on {show(limit.row, found) or 'none'}")

    return _probe(subject, limit, _writes(CPU_FILES), script, judge)


def io_weight(subject: Subject, limit: Limit) -> Probe:
    """A share is worth what others do not take, so nothing trips it."""
    return only_read(subject, limit, "a share is worth what others leave")


def _schedules(step: Step) -> bool:
    return isinstance(step.op, SetScheduling)


def scheduler(subject: Subject, limit: Limit) -> Probe:
    """The policy of a process of the box."""
    policy = POLICIES[limit.value]
    script = Script(subject)
    found = script.call("sched_getscheduler", 0)

    def judge(seen: Seen) -> Finding:
        return Finding(seen.first(found) == policy, f"the kernel has policy {seen.first(found)}")

    return _probe(subject, limit, _schedules, script, unless_refused(script, "sched_getscheduler", found, judge))


def niceness(subject: Subject, limit: Limit) -> Probe:
    """The niceness of a process of the box, and whether it can take it back."""
    script = Script(subject)
    found = script.call("getpriority", 0, 0)
    back = script.call("setpriority", 0, 0, limit.value - 1)

    def judge(seen: Seen) -> Finding:
        left = seen.first(found)
        is_right = left is not None and 0 < left <= PRIORITY_OF_NICENESS_0 - limit.value
        return Finding(is_right, f"niceness {PRIORITY_OF_NICENESS_0 - left}" if left else "no answer")

    refused = script.refused.get("setpriority")
    is_free = limit.values["nice"] > PRIORITY_OF_NICENESS_0 - limit.value
    answers = (refused,) if refused else ("0", *NOBODY_WRITES) if is_free else NOBODY_WRITES
    judges = (judge, partial(judge_answer, back, answers, "one less"))
    probe = _probe(subject, limit, _schedules, script, partial(judge_all, judges))
    return Probe(probe.row, probe.declared, probe.owns, probe.trials, why_not=lacking(script, but="setpriority"))


def disk(subject: Subject, limit: Limit) -> Probe:
    """A file of each file system that would be larger than all of it, and one that fits. Nothing is filled."""
    script = Script(subject)
    judges: list[Callable[[Seen], Finding]] = []
    spaces = [step.op.path for step in subject.plan.inside if isinstance(step.op, ShowSpace)]
    for path in spaces:
        made = script.call("openat", -100, data(f"{path}/sandboxer-probe".encode()), 0o102, 0o600)  # O_RDWR | O_CREAT
        beyond = script.call("fallocate", answer(made), 0, 0, limit.value + 4096)
        below = script.call("fallocate", answer(made), 0, 0, 4096)
        judges.append(partial(_judge_space, path, made, beyond, below))
    if not spaces:
        return Probe("limits.disk", show(limit.row, limit.value), _bounds, why_not="the box has no file system of its own")
    return _probe(subject, limit, _bounds, script, partial(judge_all, tuple(judges)))


def _judge_space(path: str, made: int, beyond: int, below: int, seen: Seen) -> Finding:
    """More than there may be is refused. Where the job cannot make a file, nothing can be filled."""
    opened = judge_answer(made, NOBODY_WRITES, path, seen)
    if opened.is_right:
        return opened
    refused = judge_answer(beyond, ("ENOSPC",), f"{path}: one page more", seen)
    given = judge_answer(below, ("0",), "one page", seen)
    return Finding(refused.is_right and given.is_right, f"{refused.words}, {given.words}")


def _bounds(step: Step) -> bool:
    match step.op:
        case MountFilesystem(kind="tmpfs"):
            return True
        case MountOverlay(upper_slot=slot):
            return slot == NO_SLOT
        case _:
            return False


PROBES: dict[str, Callable[[Subject, Limit], Probe]] = {
    "cpuset": cpuset,
    "scheduler": scheduler,
    "niceness": niceness,
    "io_weight": io_weight,
    "disk": disk,
}
