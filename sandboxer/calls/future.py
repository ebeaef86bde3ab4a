"""Calls that run while the caller does something else: futures whose cancel kills, and several calls side by side."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import Generic, TypeVar

from sandboxer.calls.call import Call

R = TypeVar("R")
Start = Callable[["Stop"], Call[R]]
"""Runs a call to its end, and listens to a stop meanwhile."""


class Stop:
    """How another thread ends a call. Its descriptor is readable once somebody has asked for that."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._lock = threading.Lock()
        self._is_open = True

    @property
    def fd(self) -> int:
        """For a poll."""
        return self._fd

    def ask(self) -> None:
        """End the call. One that has ended stays as it is."""
        with self._lock:
            if self._is_open:
                os.eventfd_write(self._fd, 1)

    def close(self) -> None:
        """Nobody listens any more."""
        with self._lock:
            if self._is_open:
                self._is_open = False
                os.close(self._fd)


class CallFuture(concurrent.futures.Future[R], Generic[R]):
    """The value of a call that runs. `cancel` kills the box, and works for as long as there is no value."""

    def __init__(self, start: Start[R]) -> None:
        super().__init__()
        self._stop = Stop()
        self._gone = threading.Event()
        # A daemon: where the interpreter ends, the box is killed with it, and nobody waits.
        threading.Thread(target=self._run, args=(start,), name="sandboxer-call", daemon=True).start()

    def running(self) -> bool:
        """Whether the call is not over. To the base class it is pending until then, because what is pending can be cancelled."""
        return not self.done()

    def cancel(self) -> bool:
        """Kill the box. False: the call was over."""
        is_cancelled = super().cancel()
        if is_cancelled:
            self._stop.ask()
        return is_cancelled

    def wait_until_gone(self, timeout: float | None = None) -> bool:
        """Wait until nothing of the box is left, also after a cancel; False: the time was up, in seconds."""
        return self._gone.wait(timeout)

    def _run(self, start: Start[R]) -> None:
        call: Call[R] | None = None
        problem: BaseException | None = None
        try:
            call = start(self._stop)
        except BaseException as error:
            problem = error
        self._stop.close()
        self._gone.set()
        if not self.set_running_or_notify_cancel():
            return
        if call is not None and call.error is None:
            self.set_result(call.unwrap())
        else:
            self.set_exception(call.error if call is not None else problem)


def run_many(starts: Iterable[Start[R]], *, concurrency: int, is_ordered: bool) -> Generator[CallFuture[R], None, None]:
    """Futures of calls that are over, at most so many running at once. Closing the iterator kills those that run.

    is_ordered: in the order of the calls, else as they end. A call is begun when there is room for it, and not ahead of that.
    """
    waiting = iter(starts)
    running: deque[CallFuture[R]] = deque()
    try:
        while True:
            while len(running) < concurrency and (start := next(waiting, None)) is not None:
                running.append(CallFuture(start))
            if not running:
                return
            if is_ordered:
                concurrent.futures.wait([running[0]])
                yield running.popleft()
            else:
                concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
                for one in [one for one in running if one.done()]:
                    running.remove(one)
                    yield one
    finally:
        for one in running:
            one.cancel()
        for one in running:
            one.wait_until_gone()


async def await_call(future: CallFuture[R]) -> R:
    """The value. A task that is cancelled has killed the box and seen it gone before it goes on."""
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        future.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, future.wait_until_gone))
        raise
