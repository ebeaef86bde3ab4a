"""What happens while a box lives, one value for each thing."""

from __future__ import annotations

from dataclasses import dataclass

from sandboxer.model.result import Denial, Result


@dataclass(frozen=True, slots=True)
class Stdout:
    """The command wrote this to its standard output. Pieces end anywhere; nobody has cleaned them."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Stderr:
    """The same of its standard error."""

    data: bytes


@dataclass(frozen=True, slots=True)
class DenialSeen:
    """The filter refused something that it had not refused before, where the caller asked for that (`explain`)."""

    denial: Denial


@dataclass(frozen=True, slots=True)
class UsageTick:
    """What the box uses at this moment, every so often, where the caller asked for that (`usage_every`).

    cpu_us: of its processes, and of those that they have waited for. memory_bytes: of the whole box, where a limit gives it a
    control group; None elsewhere, where rss_bytes is the sum over its processes.
    """

    processes: int
    cpu_us: int
    rss_bytes: int
    memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class Ended:
    """The box has ended, and nothing of it is left. The last event."""

    result: Result


Event = Stdout | Stderr | DenialSeen | UsageTick | Ended
