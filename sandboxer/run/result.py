"""The Result of a run: the monitor's record met with what the plan says about itself; and the same as plain data for JSON."""

from __future__ import annotations

from collections.abc import Sequence

from sandboxer.errors import Problem, SandboxerError
from sandboxer.launcher.record import UNKNOWN, Outcome
from sandboxer.model.place import Place
from sandboxer.model.report import Line
from sandboxer.model.result import (
    Denial,
    Denials,
    LabelDenial,
    LabelDenials,
    LandlockDenial,
    LandlockDenials,
    Reason,
    Result,
    Timings,
    Usage,
)
from sandboxer.run.about import About
from sandboxer.run.failure import explain_failure
from sandboxer.run.reason import find_reason

SCHEMA = 1


def build_result(
    record: dict[str, int], about: About, *, argv: Sequence[str], candidates: Sequence[str]
) -> tuple[Result, Problem | None]:
    """The result, and the problem where the command could not be started."""
    reason, detail = find_reason(record, about)
    problem = explain_failure(record, about, candidates)
    has_exited = record["outcome"] == Outcome.EXITED
    result = Result(
        profile=about.profile,
        argv=tuple(argv),
        reason=reason,
        exit_code=record["exit_code"] if has_exited else None,
        signal=record["signal"] or None,
        core_dumped=bool(record["core_dumped"]),
        usage=read_usage(record),
        timings=read_timings(record),
        report=about.report,
        digest=about.digest,
        detail=problem.show() if problem else detail,
    )
    return result, problem


def read_usage(record: dict[str, int]) -> Usage:
    """What the command used.

    Where the monitor ended the box, nobody waited for what the kernel killed with it; then its group knows, where there is one.
    """
    ended = record["outcome"] not in (Outcome.EXITED, Outcome.SIGNALLED)
    if ended and UNKNOWN not in (record["group_user_us"], record["group_system_us"]):
        record = {**record, **{name: max(record[name], record[f"group_{name}"]) for name in ("user_us", "system_us")}}
    return Usage(
        wall_us=_span_us(record, "exec_ns", "end_ns"),
        **{name: record[name] for name in Usage.__slots__ if record.get(name, UNKNOWN) != UNKNOWN},
    )


def read_timings(record: dict[str, int]) -> Timings:
    """How long each phase took; a phase that was not reached took no time."""
    return Timings(
        prepare_us=_span_us(record, "begin_ns", "start_ns"),
        setup_us=_span_us(record, "start_ns", "exec_ns"),
        command_us=_span_us(record, "exec_ns", "end_ns"),
        end_us=_span_us(record, "end_ns", "gone_ns"),
        clean_us=_span_us(record, "gone_ns", "done_ns"),
    )


def _span_us(record: dict[str, int], begin: str, end: str) -> int:
    has_both = record[begin] and record[end] >= record[begin]
    return (record[end] - record[begin]) // 1000 if has_both else 0


# ── as plain data ─────────────────────────────────────────────────────────────────────────────────────────────────────


def result_data(result: Result, about: About, problems: Sequence[Problem] = ()) -> dict[str, object]:
    """What `--report` writes. New keys may come; those that are there keep their meaning while `schema` stays."""
    return {
        "schema": SCHEMA,
        "profile": result.profile,
        "argv": list(result.argv),
        "reason": result.reason.value,
        "status": result.status,
        "exit_code": result.exit_code,
        "signal": result.signal,
        "core_dumped": result.core_dumped,
        "detail": result.detail,
        "usage": {name: getattr(result.usage, name) for name in Usage.__slots__},
        "timings": {name: getattr(result.timings, name) for name in Timings.__slots__},
        "is_weakened": result.report.is_weakened,
        "enforcement": [line_data(line) for line in result.report.lines],
        "options": [{"option": item.text, "widens_by": place_data(item.allowance)} for item in about.options],
        "overrides": [
            {"path": item.path, "reason": item.reason, "expires": item.expires, "place": place_data(item.place)}
            for item in about.overrides
        ],
        "sources": [{"name": item.name, "path": item.path, "kind": item.kind} for item in about.sources],
        "digest": result.digest,
        "denials": None if result.denials is None else denials_data(result.denials),
        "problems": [problem_data(problem) for problem in problems],
    }


def refusal_data(
    profile: str, argv: Sequence[str], error: SandboxerError, reason: Reason = Reason.SETUP_FAILED
) -> dict[str, object]:
    """The same for a run that was refused before there was a plan, or of which there is no record."""
    return {
        "schema": SCHEMA,
        "profile": profile,
        "argv": list(argv),
        "reason": reason.value,
        "status": 125,
        "exit_code": None,
        "signal": None,
        "detail": str(error),
        "problems": [problem_data(problem) for problem in error.problems],
    }


def denials_data(denials: Denials) -> dict[str, object]:
    """What was refused."""
    return {
        "count": denials.count,
        "others": denials.others,
        "rows": [denial_data(row) for row in denials.rows],
        "landlock": None if denials.landlock is None else landlock_data(denials.landlock),
        "apparmor": None if denials.apparmor is None else label_data(denials.apparmor),
        "selinux": None if denials.selinux is None else label_data(denials.selinux),
        "patch": denials.patch,
        "try": denials.attempt,
    }


def landlock_data(found: LandlockDenials) -> dict[str, object]:
    """What Landlock refused."""
    return {**_heard_data(found), "rows": [landlock_denial_data(row) for row in found.rows]}


def label_data(found: LabelDenials) -> dict[str, object]:
    """What a label refused."""
    return {"label": found.label, **_heard_data(found), "rows": [label_denial_data(row) for row in found.rows]}


def _heard_data(found: LandlockDenials | LabelDenials) -> dict[str, object]:
    """How much there was to hear. The number is unknown where nobody could hear of it."""
    return {
        "is_heard": not found.unheard,
        "unheard": found.unheard,
        "losses": list(found.losses),
        "count": None if found.unheard else found.count,
        "others": found.others,
    }


def landlock_denial_data(row: LandlockDenial) -> dict[str, object]:
    """One thing that Landlock refused."""
    return {
        "kind": "landlock",
        "rights": list(row.rights),
        "port": row.port,
        **_row_data(row),
    }


def label_denial_data(row: LabelDenial) -> dict[str, object]:
    """One thing that a label refused."""
    return {
        "kind": "label",
        "operation": row.operation,
        "wanted": row.wanted,
        "is_refused": row.is_refused,
        "target": row.target or None,
        **_row_data(row),
    }


def _row_data(row: LandlockDenial | LabelDenial) -> dict[str, object]:
    """What is told of each."""
    return {
        "words": row.words,
        "thing": row.thing,
        "path": row.path or None,
        "count": row.count,
        "is_rest": row.is_rest,
        "pid": row.pid or None,
        "process": row.process,
        "rule": row.rule,
        "section": row.section,
        "place": place_data(row.place),
        "patch": row.patch,
        "try": row.attempt,
        "risk": row.risk.value,
        "risk_why": row.risk_why,
    }


def denial_data(row: Denial) -> dict[str, object]:
    """One refused call. The raw arguments are texts: JSON's numbers do not hold 64 bits everywhere."""
    return {
        "kind": "call",
        "call": row.call,
        "number": row.number,
        "arch": row.arch,
        "words": row.words,
        "arguments": [{"name": item.name, "value": f"{item.value:#x}", "text": item.text} for item in row.arguments],
        "count": row.count,
        "is_rest": row.is_rest,
        "pid": row.pid,
        "process": row.process,
        "answer": row.answer,
        "rule": row.rule,
        "place": place_data(row.place),
        "patch": row.patch,
        "try": row.attempt,
        "group": row.group,
        "group_calls": list(row.group_calls),
        "risk": row.risk.value,
        "risk_why": row.risk_why,
    }


def line_data(line: Line) -> dict[str, object]:
    """One line of the report."""
    data: dict[str, object] = {"control": line.control, "status": line.status.value, "what": line.what}
    data.update({key: text for key, text in (("lost", line.lost), ("why", line.why), ("try", line.attempt)) if text})
    if line.place:
        data["place"] = place_data(line.place)
    return data


def problem_data(problem: Problem) -> dict[str, object]:
    """One problem: what, where, why, try; those that there are."""
    data: dict[str, object] = {"what": problem.what}
    if isinstance(problem.where, Place):
        data["where"] = place_data(problem.where)
    data.update({key: text for key, text in (("why", problem.why), ("try", problem.attempt)) if text})
    return data


def place_data(place: Place | None) -> dict[str, object] | None:
    """A place; line and column only where there are some."""
    if place is None:
        return None
    return {"file": place.file, "line": place.line, "column": place.column} if place.line else {"file": place.file}
