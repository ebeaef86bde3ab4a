"""Items of a generator that runs in a box, on their way from the thread that runs the box to whoever takes them.

The box is ahead of its taker by a window, of items and of bytes. What is not taken stops it, so the caller's memory stays his.
"""

from __future__ import annotations

import os
import pickle
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from sandboxer.calls.call import Call
from sandboxer.calls.future import CallFuture, Stop
from sandboxer.calls.talk.conversation import Basket, Window
from sandboxer.calls.wire.block import NEXT, pack_block
from sandboxer.calls.wire.frame import Frame

T = TypeVar("T")


class Items:
    """The basket between two threads. credit_fd: readable when items were taken and the box has not been told.

    is_over: no more will come.
    """

    def __init__(self, window: Window) -> None:
        self._window = window
        self._lock = threading.Lock()
        self._frames: deque[Frame] = deque()
        self._waiting: list[Future[None]] = []
        self._ahead = [0, 0]  # items that are not taken, and their bytes
        self._taken = [0, 0]  # those that the box has not been told of
        self.is_over = False
        self._is_told = True
        self.credit_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def has_room(self) -> bool:
        """One more may come."""
        with self._lock:
            return self._ahead[0] < self._window.items and self._ahead[1] < self._window.content_bytes

    def put(self, frame: Frame) -> None:
        """One came."""
        with self._lock:
            self._frames.append(frame)
            self._count(self._ahead, frame, 1)
        self._wake()

    def take_credit(self) -> bytes:
        """The block that tells the box what was taken."""
        with self._lock:
            os.eventfd_read(self.credit_fd)
            told, self._taken = tuple(self._taken), [0, 0]
        return pack_block(NEXT, pickle.dumps(told))

    def close(self) -> None:
        """The box has ended, and hears nothing any more."""
        with self._lock:
            self._is_told = False
            os.close(self.credit_fd)

    def end(self) -> None:
        """No more will come."""
        self.is_over = True
        self._wake()

    def take(self) -> Frame | None:
        """The next one, and let the box make another; None where none is there."""
        with self._lock:
            if not self._frames:
                return None
            frame = self._frames.popleft()
            self._count(self._ahead, frame, -1)
            self._count(self._taken, frame, 1)
            if self._is_told:
                os.eventfd_write(self.credit_fd, 1)
        return frame

    def when_ready(self) -> Future[None]:
        """Is done once one is there or no more will come."""
        ready: Future[None] = Future()
        with self._lock:
            self._waiting.append(ready)
        if self._frames or self.is_over:
            self._wake()
        return ready

    @staticmethod
    def _count(counts: list[int], frame: Frame, sign: int) -> None:
        counts[0] += sign
        counts[1] += sign * frame.content_bytes

    def _wake(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for ready in waiting:
            if ready.set_running_or_notify_cancel():
                ready.set_result(None)


class Start(Protocol):
    """Runs a call to its end."""

    def __call__(self, *, stop_fd: int, basket: Basket) -> Call[Any]: ...


class Stream(Generic[T]):
    """One run of a generator function: begun by whoever wants its first item, and ended with whoever closes it.

    read: makes a value of a frame. call: what it came to; None as long as it runs.
    """

    def __init__(self, start: Start, read: Callable[[Frame], T], window: Window) -> None:
        self._start = start
        self._read = read
        self._window = window
        self._items: Items | None = None
        self._future: CallFuture[Any] | None = None
        self._calls: list[Call[Any]] = []
        self.is_over = False

    @property
    def call(self) -> Call[Any] | None:
        return self._calls[0] if self._calls else None

    def when_ready(self) -> Future[None]:
        """Begin, if nobody has. Is done once `take` has something to say."""
        if self._items is None:
            items = self._items = Items(self._window)
            # Nothing that the thread has leads to this object: so it is collected while the box runs.
            self._future = CallFuture(partial(_run, self._start, items, self._calls))
            self._future.add_done_callback(lambda _: items.end())
        return self._items.when_ready()

    def take(self) -> tuple[T] | tuple[()] | None:
        """The next item; an empty tuple where no more will come, None where none is there yet.

        Raises: SerializationError for what is none; the box is to be killed then.
        """
        if self._items is None:
            return None
        is_over = self._items.is_over  # ahead of the look: what comes in between is seen the next time
        frame = self._items.take()
        if frame is not None:
            return (self._read(frame),)
        return () if is_over else None

    def result(self) -> Any:
        """What the function returned after its last item. Raises: what it came to instead."""
        self.is_over = True
        return self._future.result() if self._future is not None else None

    def kill(self) -> None:
        """End the box, and give no items any more."""
        self.is_over = True
        if self._future is not None:
            self._future.cancel()

    def wait_until_gone(self) -> None:
        """Nothing of the box is left after this."""
        if self._future is not None:
            self._future.wait_until_gone()


def _run(start: Start, items: Items, calls: list[Call[Any]], stop: Stop) -> Call[Any]:
    try:
        calls.append(start(stop_fd=stop.fd, basket=items))
    finally:
        items.close()
    return calls[0]
