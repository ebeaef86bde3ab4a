"""Judges that several rows have in common: one answer, one child, a count, the end of the box."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sandboxer.model.result import Reason
from sandboxer.prove.probe import Finding, Seen, error_name
from sandboxer.prove.script import Script

SIGSYS = 31


def judge_answer(index: int, wanted: tuple[str, ...], what: str, seen: Seen) -> Finding:
    """A statement has one of these answers."""
    name = error_name(seen.first(index))
    return Finding(name in wanted, f"{what}: {name}")


def judge_child(index: int, signal: int, what: str, seen: Seen) -> Finding:
    """A child was ended by this signal; 0: it was not."""
    status = seen.first(index)
    words = "no answer" if status is None else f"signal {status & 0x7F}" if status & 0x7F else f"exit {status >> 8}"
    return Finding(status is not None and status & 0x7F == signal and (signal != 0 or status == 0), f"{what}: {words}")


def judge_all(judges: tuple[Callable[[Seen], Finding], ...], seen: Seen) -> Finding:
    """All are right."""
    findings = [judge(seen) for judge in judges]
    return Finding(all(item.is_right for item in findings), ", ".join(item.words for item in findings if item.words))


def judge_count(index: int, wanted: range, error: str, seen: Seen, what: str = "") -> Finding:
    """A repeated statement worked so often, and failed with this error. what: words ahead of that."""
    count, name = seen.first(index), error_name(seen.last(index))
    is_right = count is not None and count in wanted and name == error
    ahead = f"{what}: " if what else ""
    return Finding(is_right, f"{ahead}{name} after {count}" if name != "0" else f"{ahead}{count} work")


def unless_refused(script: Script, key: str, index: int, judge: Callable[[Seen], Finding]) -> Callable[[Seen], Finding]:
    """Where the filter refuses the only call that could reach the limit, its answer is what is to be seen."""
    refused = script.refused.get(key)
    if not refused:
        return judge
    return partial(judge_answer, index, (refused,), f"the filter refuses {key}")


def lacking(script: Script, *, but: str = "") -> str:
    """Why a script cannot be run: the filter refuses a call that only leads to what is tried."""
    found = [name for name in script.refused if name not in but.split()]
    return f"the filter refuses {', '.join(found)}, which it takes to try this" if found else ""


def judge_end(wanted: Reason, seen: Seen) -> Finding:
    """The box ended for this reason."""
    reason = seen.result.reason
    after = f" after {seen.result.usage.wall_us / 1e6:.2f} s" if "timeout" in reason.value else ""
    return Finding(reason is wanted, f"{reason.value}{after}")


def judge_calm(what: str, seen: Seen) -> Finding:
    """The twin was left alone."""
    return Finding(seen.ended_well, what if seen.ended_well else f"{what}: it ended as {seen.result.reason.value}")
