"""One poll over everything that a run waits for: descriptors, and what to do when one of them is ready."""

from __future__ import annotations

import select
from collections.abc import Callable


class Turns:
    """Descriptors take turns: each that is ready is served once before any is served again, so none can keep the others away."""

    __slots__ = ("_calls", "_poll")

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._calls: dict[int, list[Callable[[int], None]]] = {}

    @property
    def descriptor(self) -> int:
        """Readable when somebody has a turn, for a loop that waits for other things too."""
        return self._poll.fileno()

    @property
    def is_waiting(self) -> bool:
        """Whether there is anything to wait for."""
        return bool(self._calls)

    def add(self, descriptor: int, events: int, call: Callable[[int], None]) -> None:
        """Wait for a descriptor too, in place of whoever has waited for it.

        `call` gets the events, and drops the descriptor when it is done with it.
        """
        if descriptor in self._calls:
            self._poll.modify(descriptor, events)
        else:
            self._poll.register(descriptor, events)
        self._calls[descriptor] = [call]

    def join(self, descriptor: int, events: int, call: Callable[[int], None]) -> None:
        """Wait for the same events of a descriptor as others do, if there are any; those too are served whom one ahead drops."""
        if descriptor in self._calls:
            self._calls[descriptor].append(call)
        else:
            self.add(descriptor, events, call)

    def drop(self, descriptor: int) -> None:
        """Wait for it no more; ahead of its close. One that nobody waits for is left alone."""
        if self._calls.pop(descriptor, None):
            self._poll.unregister(descriptor)

    def run(self, until: Callable[[], bool] | None = None) -> None:
        """Go on until nothing is left to wait for, or until this is so."""
        while self._calls and not (until and until()):
            self._serve(is_waiting=True)

    def settle(self) -> None:
        """Serve those that are ready now, until none is."""
        while self._calls and self._serve(is_waiting=False):
            continue

    def step(self, *, is_waiting: bool = True) -> bool:
        """One round; False: nothing is left to wait for. is_waiting: until somebody is ready, else it serves those who are."""
        if self._calls:
            self._serve(is_waiting=is_waiting)
        return self.is_waiting

    def close(self) -> None:
        """Let go of the poll itself; what it waited for is not closed."""
        self._calls.clear()
        self._poll.close()

    def _serve(self, *, is_waiting: bool) -> bool:
        ready = self._poll.poll(None if is_waiting else 0)
        for descriptor, events in ready:
            for call in tuple(self._calls.get(descriptor, ())):
                call(events)
        return bool(ready)
