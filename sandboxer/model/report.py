"""What will and will not be enforced, as a value: one line for each control, and more where something was lost."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from sandboxer.model.place import Place


class Status(Enum):
    """How much of a statement holds on this host. LEFT_OPEN: it holds, and another way to the same end is open."""

    ENFORCED = "enforced"
    WEAKENED = "weakened"
    REFUSED = "refused"
    UNUSED = "unused"
    LEFT_OPEN = "left open"


@dataclass(frozen=True, slots=True)
class Line:
    """One statement of a control. `lost` says what a weakened one lost, `why` and `attempt` as in an error."""

    control: str
    status: Status
    what: str
    lost: str = ""
    why: str = ""
    attempt: str = ""
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """All lines, in the order of the controls."""

    lines: tuple[Line, ...] = ()

    @property
    def is_weakened(self) -> bool:
        """Something that the profile said does not hold, and the profile allowed that."""
        return any(line.status is Status.WEAKENED for line in self.lines)

    @property
    def refused(self) -> tuple[Line, ...]:
        """The lines that forbid a start."""
        return tuple(line for line in self.lines if line.status is Status.REFUSED)
