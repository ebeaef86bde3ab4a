"""An iterator over the events of a box, which owns the box: it ends with its last event, and is killed when it is closed."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Self

from sandboxer.model.result import Result
from sandboxer.run.live.events import Ended, Event
from sandboxer.run.live.feed import Feed


class Stream(Iterator[Event]):
    """Events, the last of which is Ended. Leaving it before that, by `with` or by `close`, kills the box and sees it gone.

    For one thread at a time. result: of the box, behind its end; None until then.
    """

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self.result: Result | None = None

    def __next__(self) -> Event:
        """The next event; it waits for one. Raises: InternalError if the launcher was lost."""
        try:
            while (event := self._feed.take()) is None:
                if self._feed.is_over:
                    raise StopIteration
                if not self._feed.step():
                    event = self._feed.take() or self._feed.end()
                    break
        except StopIteration:
            raise
        except BaseException:
            self.close()
            raise
        if isinstance(event, Ended):
            self.result = event.result
        return event

    def close(self) -> None:
        """Kill the box and wait until nothing of it is left. One that has ended stays as it is."""
        self._feed.abandon()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
