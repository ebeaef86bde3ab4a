"""How errors, reports and ends look."""

from __future__ import annotations

import pytest

from sandboxer.cli.messages import as_sandboxer_error, show_end, show_error, show_problem, show_report, show_usage
from sandboxer.compile.seal import SealError
from sandboxer.errors import HostError, InternalError, Problem, ProfileError
from sandboxer.launcher.record import COUNTERS, UNKNOWN, Outcome
from sandboxer.model.result import Result
from sandboxer.run.request import RequestError
from sandboxer.run.result import build_result
from tests.run.records import PLACE, make_about, make_record


def result_of(outcome: int, **numbers: int) -> Result:
    return build_result(make_record(outcome, **numbers), make_about(wall_ms=5), argv=("x",), candidates=("/bin/x",))[0]


def test_problem_has_the_layout_of_the_style() -> None:
    shown = show_problem(Problem("cannot mount /data", where=PLACE, why="it is locked", attempt="run as root"))
    assert shown.splitlines() == [
        "sandboxer: profiles/test.yaml:14:9: cannot mount /data",
        "  14 |     - /srv",
        "     |         ^",
        "  why: it is locked",
        "  try: run as root",
    ]


def test_every_problem_of_an_error_is_shown() -> None:
    assert show_error(ProfileError([Problem("a"), Problem("b")])) == "sandboxer: a\nsandboxer: b"


def test_problem_cannot_move_the_cursor() -> None:
    assert show_problem(Problem("name \x1b[2J")) == r"sandboxer: name \x1b[2J"


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (InternalError(Problem("bug")), InternalError, "bug"),
        (RequestError("no directory", "a path"), ProfileError, "no directory"),
        (SealError("too long"), ProfileError, "the command cannot be started: too long"),
        (FileNotFoundError(2, "No such file"), HostError, "cannot start the launcher: ENOENT"),
    ],
)
def test_refusal_is_told_as_one_of_our_errors(error: Exception, kind: type[Exception], text: str) -> None:
    known = as_sandboxer_error(error)
    assert isinstance(known, kind)
    assert known.problems[0].what == text


def test_bug_is_not_told_as_a_refusal() -> None:
    assert as_sandboxer_error(KeyError("x")) is None


def test_report_tells_what_was_weakened() -> None:
    assert list(show_report(make_about(), is_whole=False)) == [
        f"sandboxer: weakened: clocks: no clocks (sandboxer check {make_about().profile}: what to do)",
    ]


def test_whole_report_tells_what_was_lost_and_what_to_try() -> None:
    told = list(show_report(make_about(), is_whole=True))
    at = told.index("sandboxer: weakened: clocks: no clocks")
    assert told[at + 1 : at + 4] == ["  lost: time", "  why: old", "  try: new"]


@pytest.mark.parametrize(
    ("outcome", "signal"), [(Outcome.WALL_TIMEOUT, 9), (Outcome.SIGNALLED, 31), (Outcome.SUPERVISOR_LOST, 9)]
)
def test_end_by_a_limit_is_told(outcome: int, signal: int) -> None:
    lines = list(show_end(result_of(outcome, signal=signal), [], is_quiet=False, is_verbose=False))
    assert lines[0].startswith("sandboxer: the command was ended: ")
    assert list(show_end(result_of(outcome, signal=signal), [], is_quiet=True, is_verbose=False)) == []


@pytest.mark.parametrize("outcome", [Outcome.EXITED, Outcome.CANCELLED])
def test_end_that_needs_no_word_gets_none(outcome: int) -> None:
    assert list(show_end(result_of(outcome), [], is_quiet=False, is_verbose=False)) == []


def test_problem_is_told_although_we_are_quiet() -> None:
    assert list(show_end(result_of(Outcome.NOT_FOUND), [Problem("x")], is_quiet=True, is_verbose=False)) == ["sandboxer: x"]


# ── usage ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def used(**numbers: int) -> str:
    record = make_record(Outcome.EXITED, **{**dict.fromkeys(COUNTERS, UNKNOWN), **numbers})
    return show_usage(build_result(record, make_about(), argv=["x"], candidates=["/x"])[0])


def test_usage_is_of_the_whole_box_where_a_group_counted_it() -> None:
    told = used(user_us=1_500_000, memory_peak_bytes=64 << 20, pids_peak=7, oom_kills=0, pids_refused=3, throttled_us=51_000)
    assert told == (
        "wall 0.000 s, CPU 1.500 s (1.500 s user, 0.000 s system), memory 64.0 MiB at most, processes 7 at most, "
        "processes refused 3, waited 0.051 s for its processors"
    )


def test_usage_is_of_the_largest_process_elsewhere() -> None:
    assert used(max_rss_bytes=3 << 19).endswith("memory 1.5 MiB in the largest process")
