"""What an end comes to that is no success, as exceptions: one class for each kind of end, each with the Result of the box."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.errors import Problem, SandboxerError
from sandboxer.model.outcome.escape import escape_text
from sandboxer.model.result import Reason

if TYPE_CHECKING:
    from sandboxer.model.result import Result

STDERR_LINES = 20


class SetupError(SandboxerError):
    """The box could not be set up, or its command could not be started: nothing of the command ran."""

    def __init__(self, what: str, result: Result) -> None:
        super().__init__(Problem(what))
        self.result = result


class ExecutionError(SandboxerError):
    """The box did what it should, and what ran in it did not come to a good end."""

    def __init__(self, what: str, result: Result) -> None:
        super().__init__(Problem(what))
        self.result = result


class SandboxTimeout(ExecutionError, TimeoutError):
    """Time was up: of the wall, of the processor, or of doing nothing."""


class MemoryLimit(ExecutionError, MemoryError):
    """The memory of the box was used up."""


class OutputLimit(ExecutionError):
    """It wrote more than it may."""


class ViolationError(ExecutionError, PermissionError):
    """The filter of system calls killed it."""


class ProcessDied(ExecutionError):
    """It ended in another way than it should: with another status than 0, by a signal, by some other limit."""


UNSTARTED = frozenset({Reason.SETUP_FAILED, Reason.NOT_FOUND, Reason.NOT_EXECUTABLE})
KINDS: dict[Reason, type[ExecutionError]] = {
    Reason.WALL_TIMEOUT: SandboxTimeout,
    Reason.CPU_TIMEOUT: SandboxTimeout,
    Reason.IDLE_TIMEOUT: SandboxTimeout,
    Reason.OOM: MemoryLimit,
    Reason.OUTPUT_LIMIT: OutputLimit,
    Reason.SECCOMP_KILL: ViolationError,
}


def find_error(result: Result) -> SandboxerError | None:
    """The error that a result is; None for a command that exited with 0. The end of its standard error is a note of it."""
    if result.reason is Reason.EXITED and result.exit_code == 0:
        return None
    command = escape_text(" ".join(result.argv), 200)
    if result.reason in UNSTARTED:
        return SetupError(result.detail or f"{command}: {result.reason.value}", result)
    how = result.detail or (f"signal {result.signal} ended it" if result.signal else f"it exited with {result.status}")
    error = KINDS.get(result.reason, ProcessDied)(f"{command}: {how}", result)
    last = (result.stderr or b"")[-8192:].decode("utf-8", "replace").splitlines()[-STDERR_LINES:]
    if last:
        error.add_note("standard error ended with:\n" + "\n".join(f"  {escape_text(line)}" for line in last))
    return error
