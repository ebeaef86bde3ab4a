"""The events of a box that lives, in their order, as far as somebody takes them.

Nothing is read of the box but for whoever asks for the next event. One who is slow lets the pipes fill, and the job waits: of
what it writes at most one piece of each stream is held.
"""

from __future__ import annotations

import os
import select
from collections import deque
from collections.abc import Callable

from sandboxer.kernel.boxes.clock import open_clock
from sandboxer.kernel.boxes.living import look_at
from sandboxer.model.result import Denial
from sandboxer.run.live.events import DenialSeen, Ended, Event, Stderr, Stdout, UsageTick
from sandboxer.run.live.running import Running
from sandboxer.units import parse_duration_ms

LEAST_TICK_MS = 10


def parse_interval(every: str | float | None) -> int:
    """Milliseconds; 0: never. Raises: ValueError."""
    if every is None:
        return 0
    every_ms = parse_duration_ms(every) if isinstance(every, str) else round(every * 1000)
    if every_ms < LEAST_TICK_MS:
        raise ValueError(f"usage_every is less than {LEAST_TICK_MS} ms")
    return every_ms


class Feed:
    """Between what a box does and who reads of it. `running` is set once it runs."""

    def __init__(self, every_ms: int = 0) -> None:
        self.running: Running | None = None
        self.is_over = False
        self._every_ms = every_ms
        self._waiting: deque[Callable[[], Event]] = deque()

    def sink(self, stream: int, data: bytes) -> None:
        """Take a piece of an output."""
        self._waiting.append(lambda: Stdout(data) if stream == 1 else Stderr(data))

    def tell(self, explain: Callable[[], Denial]) -> None:
        """Take a refusal; it is explained when somebody reads of it, for the call waits for its answer now."""
        self._waiting.append(lambda: DenialSeen(explain()))

    def begin(self, running: Running) -> None:
        """The box runs."""
        self.running = running
        if not self._every_ms:
            return
        clock = open_clock(self._every_ms)
        running.opened.callback(os.close, clock)
        running.turns.add(clock, select.POLLIN, lambda _: self._tick(running, clock))
        running.enter()
        running.turns.join(running.launch.result_fd, select.POLLIN, lambda _: running.turns.drop(clock))

    def take(self) -> Event | None:
        """The next event that is here already."""
        return self._waiting.popleft()() if self._waiting else None

    def end(self) -> Event:
        """The last event. Raises: InternalError if the launcher was lost."""
        self.is_over = True
        running = self._living()
        return Ended(running.end())

    def step(self, *, is_waiting: bool = True) -> bool:
        """One round of the box; False: it is at its end."""
        return self._living().step(is_waiting=is_waiting)

    def abandon(self) -> None:
        """Kill the box, and see it gone."""
        self.is_over = True
        self._waiting.clear()
        if self.running:
            self.running.abandon()

    @property
    def is_waiting(self) -> bool:
        """Whether the box is not at its end."""
        return self._living().is_waiting

    @property
    def descriptor(self) -> int:
        """Readable when a round has something to serve."""
        return self._living().turns.descriptor

    def _living(self) -> Running:
        if self.running is None:
            raise RuntimeError("nothing was started")
        return self.running

    def _tick(self, running: Running, clock: int) -> None:
        os.read(clock, 8)
        moment = look_at(running.launch.pid)
        if moment:
            tick = UsageTick(moment.processes, moment.cpu_us, moment.rss_bytes, moment.memory_bytes)
            self._waiting.append(lambda: tick)
