"""How limits of the whole box are tried: by the reason of its end, and by what its control groups have."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial

from sandboxer.controls.limits.table import KIB, STOP_SIGNALS
from sandboxer.model.op import WriteGroup
from sandboxer.model.result import Reason
from sandboxer.prove.judge import judge_calm, judge_count, judge_end, lacking
from sandboxer.prove.limits.each_process import Limit, owner
from sandboxer.prove.probe import Finding, Probe, Seen, Trial, steps_of
from sandboxer.prove.script import Script, data, scratch
from sandboxer.prove.subject import Subject

STANDARD_ERROR = 2  # the probe answers on the other one


def make_probe(subject: Subject, limit: Limit, tried: int, trials: tuple[Trial, ...]) -> Probe:
    """The row, unless the filter refuses what the statements of its trials need."""
    script = Script(subject)
    for trial in trials:
        for statement in trial.statements:
            script.say(statement)
    return limit.probe(subject, trials, tried=tried, why_not=lacking(script))


def is_kept_by_group(subject: Subject, limit: Limit) -> bool:
    """A control group keeps the limit here."""
    owns = owner(limit.row, subject.host)
    return any(isinstance(step.op, WriteGroup) and owns(step) for step in steps_of(subject.plan))


def processes(subject: Subject, limit: Limit) -> Probe:
    """Processes until there may be no more; the command is one of them."""
    tried = min(limit.value, 16)
    lowered = {limit.row.word: tried}
    script = Script(subject)
    script.say(f"fork {tried + 4}")
    if refused := script.refused.get("clone"):
        refusal = Trial(script.statements, partial(judge_count, 0, range(1), refused, what="the filter refuses clone"), lowered)
        return limit.probe(subject, (refusal,), tried=tried)
    most = range(0 if limit.lost else tried - 1, tried)
    beyond = Trial(script.statements, partial(judge_count, 0, most, "EAGAIN"), lowered)
    below = Trial((f"fork {tried - 1}",), partial(judge_count, 0, range(tried - 1, tried), "0"), lowered)
    return limit.probe(subject, (beyond, below), tried=tried)


def cpus(subject: Subject, limit: Limit) -> Probe:
    """A busy loop has to wait; a box at rest does not."""
    tried = min(limit.value, 100)

    def judge(seen: Seen) -> Finding:
        usage = seen.result.usage
        share = (usage.user_us + usage.system_us) / max(usage.wall_us, 1)
        return Finding(bool(usage.throttled_periods), f"{share:.2f} of a processor, throttled {usage.throttled_periods} times")

    beyond = Trial(("spin 500",), judge, {limit.row.word: tried})
    return make_probe(subject, limit, tried, (beyond,))


def cpu_time(subject: Subject, limit: Limit) -> Probe:
    """A busy loop is ended; one that stops in time is not."""
    lowered = {limit.row.word: 1000}
    beyond = Trial(("burn 3000",), partial(judge_end, Reason.CPU_TIMEOUT), lowered)
    below = Trial(("spin 100",), partial(judge_calm, "100 ms are given"), lowered)
    return make_probe(subject, limit, 1000, (beyond, below))


def idle(subject: Subject, limit: Limit) -> Probe:
    """A box that does nothing is ended; one that ends by itself ahead of that is not."""
    tried = min(limit.value, 300)
    lowered = {limit.row.word: tried}
    beyond = Trial(("rest 2500",), partial(judge_end, Reason.IDLE_TIMEOUT), lowered)
    below = Trial(("rest 20",), partial(judge_calm, "20 ms are given"), lowered)
    return make_probe(subject, limit, tried, (beyond, below))


def wall(subject: Subject, limit: Limit) -> Probe:
    """A box that lives too long is ended; one that ends by itself is not."""
    tried = min(limit.value, 500)
    lowered = {limit.row.word: tried}
    beyond = Trial(("rest 2500",), partial(judge_end, Reason.WALL_TIMEOUT), lowered)
    below = Trial(("rest 1",), partial(judge_calm, "less is given"), lowered)
    return make_probe(subject, limit, tried, (beyond, below))


def grace(subject: Subject, limit: Limit) -> Probe:
    """A command that does not listen to the signal lives on for so long, and no longer."""
    tried = min(limit.value, 300)
    wall_ms = min(limit.values["wall"], 500)  # the signal has to be blocked by then
    script = Script(subject)
    script.call("rt_sigprocmask", 0, data(struct.pack("<Q", 1 << (STOP_SIGNALS[limit.values["stop_signal"]] - 1))), 0, 8)
    script.say("rest 5000")

    def judge(seen: Seen) -> Finding:
        lived_ms = seen.result.usage.wall_us // 1000
        is_right = seen.result.reason is Reason.WALL_TIMEOUT and seen.result.signal == 9
        is_right = is_right and wall_ms + tried <= lived_ms < 5000
        return Finding(
            is_right, f"{seen.result.reason.value}, signal {seen.result.signal} {lived_ms - wall_ms} ms after the first"
        )

    trial = Trial(script.statements, judge, {limit.row.word: tried, "wall": wall_ms})
    return limit.probe(subject, (trial,), tried=tried, why_not=lacking(script))


def stop_signal(subject: Subject, limit: Limit) -> Probe:
    """A command that does nothing about it is ended by it."""
    wanted = int(STOP_SIGNALS[limit.value])

    def judge(seen: Seen) -> Finding:
        result = seen.result
        is_right = result.reason is Reason.WALL_TIMEOUT and result.signal == wanted
        return Finding(is_right, f"{result.reason.value}, signal {result.signal}")

    trial = Trial(("rest 5000",), judge, {"wall": min(limit.values["wall"], 200)})
    return make_probe(subject, limit, limit.value, (trial,))


def output(subject: Subject, limit: Limit) -> Probe:
    """More than may be written ends the box, and what came ahead of that is whole; half of it is passed on."""
    tried = min(limit.value, 64 * KIB)
    lowered = {limit.row.word: tried}
    beyond = _written(subject, tried // KIB + 8)

    def judge(seen: Seen) -> Finding:
        passed_bytes = len(seen.result.stderr or b"")
        is_right = seen.result.reason is Reason.OUTPUT_LIMIT and passed_bytes <= tried
        return Finding(is_right, f"{seen.result.reason.value}, {passed_bytes} bytes came through")

    below = _written(subject, tried // KIB // 2)
    calm = Trial(below.statements, partial(judge_calm, "half of it comes through"), lowered)
    trials = (Trial(beyond.statements, judge, lowered), *((calm,) if tried >= 4 * KIB else ()))
    return limit.probe(subject, trials, tried=tried, why_not=lacking(beyond))


def _written(subject: Subject, count: int) -> Script:
    script = Script(subject)
    script.say(f"repeat {count} 1")
    script.call("write", STANDARD_ERROR, scratch(KIB), KIB)
    return script


def only_read(subject: Subject, limit: Limit, why: str = "") -> Probe:
    """What the groups of the box have is all that is looked at. why: why nothing trips it."""
    is_there = limit.lost or is_kept_by_group(subject, limit)
    return limit.probe(subject, (), why_not="" if is_there else "nothing here keeps it", why_read=why)


def cpu_weight(subject: Subject, limit: Limit) -> Probe:
    """Nothing trips a share."""
    return only_read(subject, limit, "a share shows beside another busy box only")


PROBES: dict[str, Callable[[Subject, Limit], Probe]] = {
    "processes": processes,
    "cpus": cpus,
    "cpu_weight": cpu_weight,
    "cpu_time": cpu_time,
    "idle": idle,
    "output": output,
    "wall": wall,
    "grace": grace,
    "stop_signal": stop_signal,
}
