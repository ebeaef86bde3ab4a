"""Why a command ended."""

from __future__ import annotations

import signal

import pytest

from sandboxer.launcher.record import UNKNOWN, Outcome
from sandboxer.model.result import Reason
from sandboxer.run.reason import find_reason
from tests.run.records import make_about, make_record


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Outcome.EXITED, Reason.EXITED),
        (Outcome.WALL_TIMEOUT, Reason.WALL_TIMEOUT),
        (Outcome.CPU_TIMEOUT, Reason.CPU_TIMEOUT),
        (Outcome.IDLE_TIMEOUT, Reason.IDLE_TIMEOUT),
        (Outcome.OUTPUT_LIMIT, Reason.OUTPUT_LIMIT),
        (Outcome.CANCELLED, Reason.CANCELLED),
        (Outcome.SUPERVISOR_LOST, Reason.SUPERVISOR_LOST),
        (Outcome.NOT_FOUND, Reason.NOT_FOUND),
        (Outcome.NOT_EXECUTABLE, Reason.NOT_EXECUTABLE),
        (Outcome.SETUP_FAILED, Reason.SETUP_FAILED),
        (99, Reason.SETUP_FAILED),
    ],
)
def test_outcome_is_its_reason(outcome: int, reason: Reason) -> None:
    assert find_reason(make_record(outcome), make_about())[0] is reason


def signalled(number: int, cpu_s: float = 0, **limits: int) -> tuple[Reason, str]:
    record = make_record(Outcome.SIGNALLED, signal=int(number), user_us=int(cpu_s * 1_000_000))
    return find_reason(record, make_about(**limits))


def test_bad_system_call_is_a_kill_by_the_filter() -> None:
    assert signalled(signal.SIGSYS)[0] is Reason.SECCOMP_KILL


def test_cpu_signal_with_a_limit_is_a_cpu_timeout() -> None:
    reason, detail = signalled(signal.SIGXCPU, 5, cpu_soft_s=5, cpu_hard_s=6)
    assert (reason, detail) == (Reason.CPU_TIMEOUT, "it used up its CPU time limit of 5 s")


def test_cpu_signal_without_a_limit_is_only_a_signal() -> None:
    assert signalled(signal.SIGXCPU)[0] is Reason.SIGNALLED


def test_cpu_signal_of_a_job_that_used_no_cpu_is_only_a_signal() -> None:
    """A job can send it to itself; that is no timeout."""
    assert signalled(signal.SIGXCPU, 0.1, cpu_soft_s=5, cpu_hard_s=6)[0] is Reason.SIGNALLED


def test_kill_past_the_hard_cpu_limit_is_a_cpu_timeout() -> None:
    assert signalled(signal.SIGKILL, 6.01, cpu_soft_s=5, cpu_hard_s=6)[0] is Reason.CPU_TIMEOUT
    assert signalled(signal.SIGKILL, 5.93, cpu_soft_s=5, cpu_hard_s=6)[0] is Reason.CPU_TIMEOUT


def test_kill_below_the_hard_cpu_limit_is_only_a_signal() -> None:
    assert signalled(signal.SIGKILL, 5.5, cpu_soft_s=5, cpu_hard_s=6)[0] is Reason.SIGNALLED


def test_file_signal_with_a_limit_is_a_file_limit() -> None:
    assert signalled(signal.SIGXFSZ, file_bytes=10) == (
        Reason.FILE_LIMIT,
        "SIGXFSZ ended it, the signal of the file size limit of 10 bytes",
    )


def test_file_signal_without_a_limit_is_only_a_signal() -> None:
    assert signalled(signal.SIGXFSZ)[0] is Reason.SIGNALLED


def test_other_signals_are_signals() -> None:
    assert signalled(signal.SIGSEGV, 100, cpu_soft_s=1, cpu_hard_s=2, file_bytes=1) == (Reason.SIGNALLED, "")


def test_wall_timeout_tells_the_limit() -> None:
    assert "1500 ms" in find_reason(make_record(Outcome.WALL_TIMEOUT), make_about(wall_ms=1500))[1]


# ── limits of the whole box ───────────────────────────────────────────────────────────────────────────────────────────


def failed(outcome: int, **numbers: int) -> Reason:
    return find_reason(make_record(outcome, **numbers), make_about())[0]


def test_failure_with_a_count_of_the_kernel_has_that_reason() -> None:
    assert failed(Outcome.SIGNALLED, signal=9, oom_kills=1) is Reason.OOM
    assert failed(Outcome.EXITED, exit_code=137, oom_kills=2, pids_refused=1) is Reason.OOM
    assert failed(Outcome.EXITED, exit_code=1, pids_refused=3) is Reason.PIDS_LIMIT


def test_success_is_a_success_whatever_was_counted() -> None:
    assert failed(Outcome.EXITED, exit_code=0, oom_kills=1, pids_refused=1) is Reason.EXITED


def test_failure_without_a_count_is_the_commands_own() -> None:
    assert failed(Outcome.EXITED, exit_code=1, oom_kills=0, pids_refused=0) is Reason.EXITED
    assert failed(Outcome.EXITED, exit_code=1, oom_kills=UNKNOWN, pids_refused=UNKNOWN) is Reason.EXITED
    assert failed(Outcome.SIGNALLED, signal=9, oom_kills=UNKNOWN) is Reason.SIGNALLED


def test_signal_with_a_reason_of_its_own_keeps_it() -> None:
    assert failed(Outcome.SIGNALLED, signal=int(signal.SIGSYS), oom_kills=1) is Reason.SECCOMP_KILL


def test_full_file_system_is_the_reason_of_a_command_that_failed() -> None:
    about = make_about(spaces=("/tmp", "/home/sandbox"))  # type: ignore[arg-type]
    failed = make_record(Outcome.EXITED, exit_code=1, disk_full=2)
    assert find_reason(failed, about) == (Reason.DISK_QUOTA, "the box's own file system /home/sandbox was full")
    assert find_reason(make_record(Outcome.SIGNALLED, signal=6, disk_full=1), about)[0] is Reason.DISK_QUOTA
    assert find_reason(make_record(Outcome.EXITED, exit_code=0, disk_full=2), about)[0] is Reason.EXITED
    assert find_reason(make_record(Outcome.EXITED, exit_code=1, disk_full=UNKNOWN), about)[0] is Reason.EXITED
    assert find_reason(make_record(Outcome.EXITED, exit_code=1, disk_full=1, oom_kills=1), about)[0] is Reason.OOM
    assert "file system was full" in find_reason(make_record(Outcome.EXITED, exit_code=1, disk_full=9), about)[1]
