"""A box of a task: served by the caller's event loop, and killed and seen gone by whoever cancels the task."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

from sandboxer.model.result import Result
from sandboxer.run.live.events import Ended, Event
from sandboxer.run.live.feed import Feed
from sandboxer.run.live.loops import Loop, find_loop
from sandboxer.run.live.running import Running


async def run_to_end(begin: Callable[[], Running]) -> Result:
    """Start in a thread, for that may compile a profile; serve in the loop; end in a thread, for that may read files."""
    loop = find_loop()
    running = await loop.finish(begin, Running.abandon)
    try:
        while running.is_waiting:
            await loop.wait_readable(running.turns.descriptor)
            running.step(is_waiting=False)
    except GeneratorExit:  # nobody waits for the task any more, and nothing may be awaited in it
        running.abandon()
        raise
    except BaseException:
        await loop.finish(running.abandon)
        raise
    return await loop.finish(running.end)


class AsyncStream(AsyncIterator[Event]):
    """Events of a box that starts when the first is asked for, or by `async with`, which kills the box when it is left.

    For one task at a time. result: of the box, behind its end; None until then.
    """

    def __init__(self, begin: Callable[[], Feed]) -> None:
        self._begin = begin
        self._feed: Feed | None = None
        self._is_closed = False
        self.result: Result | None = None

    async def __anext__(self) -> Event:
        """The next event; it waits for one. A cancel kills the box first. Raises: InternalError if the launcher was lost."""
        loop = find_loop()
        if self._is_closed:
            raise StopAsyncIteration
        feed = await self._start(loop)
        if feed.is_over:
            raise StopAsyncIteration
        try:
            event = await self._wait(feed, loop)
        except GeneratorExit:
            feed.abandon()
            raise
        except BaseException:
            await loop.finish(feed.abandon)
            raise
        if isinstance(event, Ended):
            self.result = event.result
        return event

    async def _start(self, loop: Loop) -> Feed:
        if self._feed is None:
            self._feed = await loop.finish(self._begin, Feed.abandon)
        return self._feed

    @staticmethod
    async def _wait(feed: Feed, loop: Loop) -> Event:
        while (event := feed.take()) is None:
            if not feed.is_waiting:
                return await loop.finish(feed.end)
            await loop.wait_readable(feed.descriptor)
            feed.step(is_waiting=False)
        return event

    async def aclose(self) -> None:
        """Kill the box and wait until nothing of it is left. One that has ended stays as it is."""
        self._is_closed = True
        if self._feed is not None:
            await find_loop().finish(self._feed.abandon)

    async def __aenter__(self) -> Self:
        await self._start(find_loop())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if self._feed is not None:
            self._feed.abandon()
