"""Time several commands against each other: one of each in turn, so that the machine's mood falls on all of them alike."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


@dataclass(frozen=True, slots=True)
class Command:
    """What is started: a program, its arguments, and files that it finds open under these numbers."""

    argv: tuple[str, ...]
    opened: tuple[tuple[int, str], ...] = ()


@dataclass(slots=True)
class Series:
    """The wall times of one command, and how often it failed."""

    millis: list[float] = field(default_factory=list)
    failures: int = 0

    @property
    def median(self) -> float:
        return statistics.median(self.millis)

    def percentile(self, percent: int) -> float:
        """The value below which this many percent of the times lie."""
        ordered = sorted(self.millis)
        return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def start(command: Command, *, output: str = "/dev/null", errors: str = "") -> int:
    """Start it without fork; standard input is empty. The files are opened anew, so that each run reads from their start."""
    actions: list[tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, output, WRITE, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, errors or output, WRITE, 0o600),
    ]
    actions += [(os.POSIX_SPAWN_OPEN, number, path, os.O_RDONLY, 0) for number, path in command.opened]
    return os.posix_spawn(command.argv[0], command.argv, os.environ, file_actions=actions)


def time_once(command: Command) -> tuple[float, int]:
    """Milliseconds from before the start until the wait returned, and the exit status."""
    begin = time.perf_counter_ns()
    process = start(command)
    _, status, _ = os.wait4(process, 0)
    return (time.perf_counter_ns() - begin) / 1e6, os.waitstatus_to_exitcode(status)


def time_interleaved(commands: Sequence[Command], rounds: int, *, tell: Callable[[int, int], None]) -> list[Series]:
    """Run every command once, then all of them again, `rounds` times. The first round only warms caches and is dropped."""
    series = [Series() for _ in commands]
    for number in range(rounds + 1):
        tell(number, rounds)
        for command, times in zip(commands, series, strict=True):
            millis, status = time_once(command)
            if number:
                times.millis.append(millis)
                times.failures += status != 0
    return series
