"""Results of boxes that never ran."""

from __future__ import annotations

from sandboxer.model.report import Report
from sandboxer.model.result import Reason, Result, Timings, Usage
from sandboxer.prove.probe import Seen


def ended(
    reason: Reason = Reason.EXITED, *, stdout: bytes = b"", usage: Usage | None = None, signal: int | None = None
) -> Result:
    """A result with this reason."""
    status = 0 if reason is Reason.EXITED and signal is None else None
    return Result(
        "box", ("probe",), reason, status, signal, False, usage or Usage(), Timings(), Report(), "digest", stdout=stdout
    )


def seen(*answers: tuple[int, ...], reason: Reason = Reason.EXITED, usage: Usage | None = None) -> Seen:
    """What a box did whose probe answered this, statement after statement."""
    return Seen(ended(reason, usage=usage), dict(enumerate(answers)))
