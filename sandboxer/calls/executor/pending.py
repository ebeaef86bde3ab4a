"""The future of a submission: it waits in a line, then its box runs, and a cancel ends either."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from sandboxer.calls.call import Call
from sandboxer.calls.future import Stop

R = TypeVar("R")


class ExecutorFuture(concurrent.futures.Future[R], Generic[R]):
    """As `concurrent.futures` has them, but that `cancel` works for as long as there is no value: it kills the box.

    `wait` and `as_completed` have one that was cancelled once its box is gone.
    """

    def __init__(self, leave: Callable[[ExecutorFuture[R]], bool]) -> None:
        """leave: take it out of the line; False: it is not there, or not any more."""
        super().__init__()
        self._leave = leave
        self._stop: Stop | None = None
        self._lock = threading.Lock()

    def running(self) -> bool:
        """Whether its turn has come and it is not over. To the base class it is pending until then, and so can be cancelled."""
        return self._stop is not None and not self.done()

    def cancel(self) -> bool:
        """Have it never begin, or kill the box. False: it was over."""
        if not super().cancel():
            return False
        if self._leave(self):
            self.set_running_or_notify_cancel()
            return True
        with self._lock:
            if self._stop is not None:
                self._stop.ask()
        return True

    def run(self, start: Callable[[int], Call[Any]]) -> None:
        """Make the call, and be what it comes to. start: runs it to its end; its argument is a `stop_fd` as in `Wire`."""
        with self._lock:
            if not self.cancelled():
                self._stop = Stop()
        found: Call[Any] | BaseException | None = None
        if self._stop is not None:
            found = _make_call(start, self._stop.fd)
            self._stop.close()
        if not self.set_running_or_notify_cancel():
            return
        if isinstance(found, Call) and found.error is None:
            self.set_result(found.unwrap())
        else:
            self.set_exception(found.error if isinstance(found, Call) else found)


def _make_call(start: Callable[[int], Call[Any]], stop_fd: int) -> Call[Any] | BaseException:
    """In a frame of its own: the traceback of the error must not lead to the future that has it."""
    try:
        return start(stop_fd)
    except BaseException as error:
        return error
