"""Waiting in the caller's event loop, asyncio's or trio's: for a descriptor, and for a thread that must not be left alone.

Whoever cancels a task ends its wait for a descriptor; what a thread has begun is finished first. anyio runs on either of the two.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Loop(Protocol):
    """What is needed of an event loop."""

    async def wait_readable(self, descriptor: int) -> None:
        """Wait until there is something to read, at least until others have had their turn. A cancel ends it at once."""

    async def wait_writable(self, descriptor: int) -> None:
        """The same until something can be written."""

    async def finish(
        self, call: Callable[[], T], undo: Callable[[T], None] | None = None, *, hasten: Callable[[], None] | None = None
    ) -> T:
        """Call in a thread, and wait for its end whatever comes; a cancel is put off until then.

        undo: takes what came of it where nobody else will, because the task was cancelled. hasten: for a call without one: is
        called when the task is cancelled, to bring the end about.
        """


class AsyncioLoop:
    """asyncio, and what stands in its place."""

    async def wait_readable(self, descriptor: int) -> None:
        """As in `Loop`."""
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(descriptor, _wake, ready)
        try:
            await ready
        finally:
            loop.remove_reader(descriptor)

    async def wait_writable(self, descriptor: int) -> None:
        """As in `Loop`."""
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_writer(descriptor, _wake, ready)
        try:
            await ready
        finally:
            loop.remove_writer(descriptor)

    async def finish(
        self, call: Callable[[], T], undo: Callable[[T], None] | None = None, *, hasten: Callable[[], None] | None = None
    ) -> T:
        """As in `Loop`."""
        future = asyncio.get_running_loop().run_in_executor(None, call)
        cancelled = await _settle(future, hasten)
        if cancelled is None:
            return future.result()
        if undo is not None and future.exception() is None:
            value = future.result()
            await _settle(asyncio.get_running_loop().run_in_executor(None, lambda: undo(value)))
        raise cancelled


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():  # it may be called once more ahead of its removal
        ready.set_result(None)


async def _settle(future: asyncio.Future[T], hasten: Callable[[], None] | None = None) -> asyncio.CancelledError | None:
    """Wait for the end of a future; the cancel that came meanwhile. anyio says it again in each turn of the loop."""
    cancelled = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            if cancelled is None and hasten is not None:
                hasten()
            cancelled = error
    return cancelled


class TrioLoop:
    """trio, which says at the next wait that a task was cancelled behind a shield."""

    async def wait_readable(self, descriptor: int) -> None:
        """As in `Loop`."""
        import trio

        await trio.lowlevel.wait_readable(descriptor)

    async def wait_writable(self, descriptor: int) -> None:
        """As in `Loop`."""
        import trio

        await trio.lowlevel.wait_writable(descriptor)

    async def finish(
        self, call: Callable[[], T], undo: Callable[[T], None] | None = None, *, hasten: Callable[[], None] | None = None
    ) -> T:
        """As in `Loop`."""
        import trio

        if hasten is None:
            scope = trio.CancelScope(shield=True)
            with scope:
                value: T = await trio.to_thread.run_sync(call)
            return value
        return await self._finish_soon(call, hasten)

    @staticmethod
    async def _finish_soon(call: Callable[[], T], hasten: Callable[[], None]) -> T:
        """With somebody beside it who hears of a cancel. What comes of it is lost then, and nothing is to be given back."""
        import trio

        values: list[T] = []
        errors: list[BaseException] = []

        def keep() -> None:  # a nursery would make a group of what is raised in it
            try:
                values.append(call())
            except BaseException as error:
                errors.append(error)

        async def listen() -> None:
            try:
                await trio.sleep_forever()
            finally:
                if not values and not errors:
                    hasten()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(keep)
            nursery.cancel_scope.cancel()
        if errors:
            raise errors[0]
        return values[0]


def find_loop() -> Loop:
    """The loop that runs this task. Raises: RuntimeError where there is none."""
    trio = sys.modules.get("trio")
    if trio is not None:
        try:
            trio.lowlevel.current_task()
        except RuntimeError:
            pass  # trio is there, and runs something else or nothing
        else:
            return TrioLoop()
    asyncio.get_running_loop()
    return AsyncioLoop()
