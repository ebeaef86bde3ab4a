"""What an end is as an exception, and that no end but one is a success."""

from __future__ import annotations

import pytest

import sandboxer
from sandboxer.model.outcome.ending import UNSTARTED, find_error
from sandboxer.model.report import Report
from sandboxer.model.result import Reason, Result, Timings, Usage


def result(reason: Reason, exit_code: int | None = None, *, detail: str = "", stderr: bytes | None = None) -> Result:
    usage, timings = Usage(), Timings()
    argv = ("python3", "job.py")
    return Result("test", argv, reason, exit_code, None, False, usage, timings, Report(()), "", detail=detail, stderr=stderr)


def test_exit_with_nought_is_its_own_check() -> None:
    ended = result(Reason.EXITED, 0)
    assert ended.check() is ended
    assert find_error(ended) is None


@pytest.mark.parametrize(
    ("reason", "kind", "builtin"),
    [
        (Reason.WALL_TIMEOUT, sandboxer.SandboxTimeout, TimeoutError),
        (Reason.CPU_TIMEOUT, sandboxer.SandboxTimeout, TimeoutError),
        (Reason.IDLE_TIMEOUT, sandboxer.SandboxTimeout, TimeoutError),
        (Reason.OOM, sandboxer.MemoryLimit, MemoryError),
        (Reason.OUTPUT_LIMIT, sandboxer.OutputLimit, sandboxer.ExecutionError),
        (Reason.SECCOMP_KILL, sandboxer.ViolationError, PermissionError),
        (Reason.SIGNALLED, sandboxer.ProcessDied, sandboxer.ExecutionError),
        (Reason.DISK_QUOTA, sandboxer.ProcessDied, sandboxer.ExecutionError),
        (Reason.SETUP_FAILED, sandboxer.SetupError, sandboxer.SandboxerError),
        (Reason.NOT_FOUND, sandboxer.SetupError, sandboxer.SandboxerError),
    ],
)
def test_check_raises_the_kind_of_the_end_with_the_result(reason: Reason, kind: type[Exception], builtin: type) -> None:
    ended = result(reason, detail="so it was")
    with pytest.raises(kind, match="so it was") as caught:
        ended.check()
    assert isinstance(caught.value, builtin)
    assert getattr(caught.value, "result", None) is ended


@pytest.mark.parametrize("reason", Reason)
def test_no_reason_without_a_status_of_nought_passes(reason: Reason) -> None:
    with pytest.raises(sandboxer.SandboxerError):
        result(reason, 1).check()


def test_set_up_that_failed_is_no_execution() -> None:
    for reason in UNSTARTED:
        assert not isinstance(find_error(result(reason)), sandboxer.ExecutionError)


def test_standard_error_ends_the_message_and_moves_no_cursor() -> None:
    error = find_error(result(Reason.EXITED, 3, stderr=b"one\n\x1b[2Jtwo \xe2\x80\xae\xff\n"))
    assert str(error) == "python3 job.py: it exited with 3"
    assert error is not None
    assert error.__notes__ == ["standard error ended with:\n  one\n  \\x1b[2Jtwo \\u202e\N{REPLACEMENT CHARACTER}"]


def test_old_names_are_the_same_classes() -> None:
    assert sandboxer.ProfileError is sandboxer.PolicyError
    assert sandboxer.HostError is sandboxer.UnsupportedError
