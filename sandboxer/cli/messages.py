"""How errors, reports and ends look on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sandboxer.cli.options import visible
from sandboxer.compile.seal import SealError
from sandboxer.errors import HostError, Problem, ProfileError, SandboxerError
from sandboxer.model.report import Line, Status
from sandboxer.model.result import Reason, Result
from sandboxer.run.about import About
from sandboxer.run.request import RequestError

TOLD_REASONS = (
    Reason.WALL_TIMEOUT,
    Reason.CPU_TIMEOUT,
    Reason.IDLE_TIMEOUT,
    Reason.OUTPUT_LIMIT,
    Reason.FILE_LIMIT,
    Reason.SECCOMP_KILL,
    Reason.SUPERVISOR_LOST,
    Reason.OOM,
    Reason.PIDS_LIMIT,
)


def show_error(error: SandboxerError) -> str:
    """Every problem of an error."""
    return "\n".join(show_problem(problem) for problem in error.problems)


def show_problem(problem: Problem) -> str:
    """One problem under our name; what came from files or from inside cannot move the terminal's cursor."""
    return "\n".join(visible(line) for line in f"sandboxer: {problem.show()}".split("\n"))


def as_sandboxer_error(error: Exception) -> SandboxerError | None:
    """What a refusal means for people; None for what is no refusal but our bug."""
    match error:
        case SandboxerError():
            return error
        case RequestError():
            return ProfileError(Problem(str(error), attempt=error.attempt))
        case SealError():
            return ProfileError(Problem(f"the command cannot be started: {error}"))
        case OSError(errno=int(number)):
            from sandboxer.kernel.explain import explain

            return HostError(explain("launch", number).problem())
        case _:
            return None


def show_report(about: About, *, is_whole: bool) -> Iterator[str]:
    """The lines of the report: everything, or a line for each statement that was weakened."""
    if is_whole:
        yield f"sandboxer: profile {visible(about.profile)}, plan {about.digest}"
    for line in about.report.lines:
        if is_whole:
            yield from show_line(line)
        elif line.status is Status.WEAKENED:
            yield visible(f"sandboxer: weakened: {line.control}: {line.what} (sandboxer check {about.profile}: what to do)")


def show_line(line: Line) -> Iterator[str]:
    """One line of the report, and what was lost below it."""
    yield visible(f"sandboxer: {line.status.value}: {line.control}: {line.what}")
    for word, text in (("lost", line.lost), ("why", line.why), ("try", line.attempt)):
        if text:
            yield visible(f"  {word}: {text}")


def show_end(result: Result, problems: Sequence[Problem], *, is_quiet: bool, is_verbose: bool) -> Iterator[str]:
    """What kept the command from starting, what ended it, and with `is_verbose` what it used."""
    for problem in problems:
        yield show_problem(problem)
    if result.reason in TOLD_REASONS and not is_quiet:
        what = "failed" if result.reason in (Reason.OOM, Reason.PIDS_LIMIT) else "was ended"
        yield visible(f"sandboxer: the command {what}: {result.detail}")
    if is_verbose:
        yield f"sandboxer: {result.reason.value}, status {result.status}, {show_usage(result)}"


def show_usage(result: Result) -> str:
    """What the box used, on one line: of the whole box where a control group counted it."""
    used = result.usage
    parts = [
        f"wall {_seconds(used.wall_us)}",
        f"CPU {_seconds(used.user_us + used.system_us)} ({_seconds(used.user_us)} user, {_seconds(used.system_us)} system)",
        f"memory {_mebibytes(used.memory_peak_bytes)} at most"
        if used.memory_peak_bytes is not None
        else f"memory {_mebibytes(used.max_rss_bytes)} in the largest process",
    ]
    if used.pids_peak is not None:
        parts.append(f"processes {used.pids_peak} at most")
    if used.disk_bytes:
        parts.append(f"disk {_mebibytes(used.disk_bytes)} at its end")
    counts = (("out of memory", used.oom_kills), ("processes refused", used.pids_refused))
    parts += [f"{what} {count}" for what, count in counts if count]
    if used.throttled_us:
        parts.append(f"waited {_seconds(used.throttled_us)} for its processors")
    return ", ".join(parts)


def _seconds(us: int) -> str:
    return f"{us / 1_000_000:.3f} s"


def _mebibytes(count: int | None) -> str:
    return f"{(count or 0) / (1 << 20):.1f} MiB"
