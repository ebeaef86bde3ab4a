"""One poll over everything that a run waits for: descriptors, and what to do when one of them is ready."""

from __future__ import annotations

import select
from collections.abc import Callable


class Turns:
    """Descriptors take turns: each that is ready is served once before any is served again, so none can keep the others away."""

    __slots__ = ("_calls", "_poll")

    def __init__(self) -> None:
        self._poll = select.poll()
        self._calls: dict[int, Callable[[int], None]] = {}

    def add(self, descriptor: int, events: int, call: Callable[[int], None]) -> None:
        """Wait for a descriptor too. `call` gets the events, and drops the descriptor when it is done with it."""
        self._poll.register(descriptor, events)
        self._calls[descriptor] = call

    def drop(self, descriptor: int) -> None:
        """Wait for it no more; ahead of its close. One that nobody waits for is left alone."""
        if self._calls.pop(descriptor, None):
            self._poll.unregister(descriptor)

    def run(self, until: Callable[[], bool] | None = None) -> None:
        """Go on until nothing is left to wait for, or until this is so."""
        while self._calls and not (until and until()):
            self._serve(None)

    def settle(self) -> None:
        """Serve those that are ready now, until none is."""
        while self._calls and self._serve(0):
            continue

    def _serve(self, timeout_ms: int | None) -> bool:
        ready = self._poll.poll(timeout_ms)
        for descriptor, events in ready:
            call = self._calls.get(descriptor)
            if call:
                call(events)
        return bool(ready)
