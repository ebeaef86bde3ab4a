"""The nouns of a proof: probes, trials, what was seen, and the verdict. Values only; nothing is started here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from sandboxer.abi.errnos import Errno
from sandboxer.model.plan import Plan, Step
from sandboxer.model.result import Reason, Result


class Verdict(Enum):
    """How a row stands. WEAKER: the report of the plan says that the host cannot keep it, and that is all that was found."""

    HOLDS = "holds"
    WEAKER = "weaker"
    BROKEN = "broken"
    UNTRIED = "untried"


@dataclass(frozen=True, slots=True)
class Seen:
    """What one box did: how it ended, and the answers of the probe by the number of the statement. dumps: its buffers.

    files: the texts of the files of control groups that were read from outside while it ran; None for one that was not there.
    """

    result: Result
    answers: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    dumps: Mapping[int, bytes] = field(default_factory=dict)
    files: tuple[str | None, ...] = ()

    def first(self, index: int) -> int | None:
        """The answer of a statement; None if it never came to that."""
        return self.answers.get(index, (None,))[0]

    def last(self, index: int) -> int | None:
        """The second number of a statement that has two."""
        found = self.answers.get(index, ())
        return found[1] if len(found) > 1 else None

    @property
    def ended_well(self) -> bool:
        """The probe came to its end."""
        return self.result.reason is Reason.EXITED and self.result.exit_code == 0


@dataclass(frozen=True, slots=True)
class Finding:
    """A judge's word. What was seen is as it should be, or not; `words` say what that was."""

    is_right: bool
    words: str


@dataclass(frozen=True, slots=True)
class GroupFile:
    """A file of a control group of the box. mount, controller, levels: as in MakeGroup."""

    mount: str
    controller: str
    levels: int
    name: str


@dataclass(frozen=True, slots=True)
class Trial:
    """A script, and the judge of what comes of it. lowered: limits that get these values for it, in the units of their rows.

    files: what is read from outside while the box runs, as soon as `until` is content with it; the box is ended then.
    is_read_back: it only looks whether the kernel has the value; nothing is tripped.
    """

    statements: tuple[str, ...]
    judge: Callable[[Seen], Finding]
    lowered: Mapping[str, int] = field(default_factory=dict)
    files: tuple[GroupFile, ...] = ()
    until: Callable[[tuple[str | None, ...]], bool] = lambda _: True
    is_read_back: bool = False


@dataclass(frozen=True, slots=True)
class Probe:
    """One row. row: what of the profile it is about, `limits.memory`. declared, tried: the value, and what it is tried with.

    owns: the steps of a plan that enforce it. trials: all must be right. why_not: why there are none. why_read: why nothing trips
    it, and reading the value back is all.
    """

    row: str
    declared: str
    owns: Callable[[Step], bool]
    trials: tuple[Trial, ...] = ()
    tried: str = ""
    why_not: str = ""
    lost: str = ""
    why_read: str = ""


@dataclass(frozen=True, slots=True)
class Proof:
    """A row of the table. observed: what was seen, or why nothing was."""

    row: str
    declared: str
    tried: str
    enforced_by: str
    observed: str
    verdict: Verdict


def steps_of(plan: Plan) -> tuple[Step, ...]:
    """All steps of a plan."""
    return (*plan.before, *plan.inside, *plan.after)


def error_name(answer: int | None) -> str:
    """An answer for people: `EMFILE`, a number, or that there was none."""
    if answer is None:
        return "no answer"
    return Errno(-answer).name if -answer in set(Errno) else str(answer)
