"""The line of submissions in front of a bounded number of threads, each of which waits for the box of one of them."""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from sandboxer.calls.executor.pending import ExecutorFuture

Work = Callable[[], None]


class Line:
    """First in, first out. A thread lives as long as there is work: none is idle, and the end of the interpreter waits for them.

    most_threads: at once. on_end: called once, after all of the work of a line that is closed.
    """

    def __init__(self, most_threads: int, on_end: Callable[[], None]) -> None:
        self._most_threads = most_threads
        self._on_end = on_end
        self._is_closed = self._has_ended = False
        self._reset()
        _lines.add(self)

    def _reset(self) -> None:
        self._lock = threading.RLock()  # the garbage collection may close it in the midst of anything
        self._waiting: OrderedDict[ExecutorFuture[Any], Work] = OrderedDict()
        self._running: set[ExecutorFuture[Any]] = set()
        self._threads: set[threading.Thread] = set()
        self._serving = 0  # of the threads: those that will look for work once more

    def enter(self, future: ExecutorFuture[Any], work: Work) -> None:
        """Wait for a turn. Raises: RuntimeError for a line that is closed, or where no thread can be started any more."""
        if not threading.main_thread().is_alive():
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")
        with self._lock:
            if self._is_closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._waiting[future] = work
            if self._serving == self._most_threads:
                return
            # No daemon, whoever starts it: what was submitted is done before the interpreter ends.
            thread = threading.Thread(target=self._serve, name="sandboxer-executor", daemon=False)
            try:
                _watch()
                thread.start()
            except RuntimeError:
                if self._serving:
                    return
                del self._waiting[future]
                raise
            self._serving += 1
            self._threads.add(thread)

    def leave(self, future: ExecutorFuture[Any]) -> bool:
        """Take it out, if its turn has not come."""
        with self._lock:
            return self._waiting.pop(future, None) is not None

    def close(self, *, drop: bool = False, kill: bool = False) -> None:
        """Let nobody enter any more. drop: cancel those that wait. kill: those that run too."""
        with self._lock:
            self._is_closed = True
            doomed = list(self._waiting) if drop or kill else []
            doomed += self._running if kill else ()
        for future in doomed:
            future.cancel()
        self._end_if_over()

    def join(self) -> None:
        """Wait until all work is done, and for the threads."""
        while True:
            with self._lock:
                thread = next(iter(self._threads), None)
            if thread is None:
                return
            thread.join()

    def _serve(self) -> None:
        while self._serve_next():
            pass
        self._end_if_over()
        with self._lock:
            self._threads.discard(threading.current_thread())

    def _serve_next(self) -> bool:
        with self._lock:
            if not self._waiting:
                self._serving -= 1
                return False
            future, work = self._waiting.popitem(last=False)
            self._running.add(future)
        work()
        with self._lock:
            self._running.discard(future)
        return True

    def _end_if_over(self) -> None:
        with self._lock:
            is_over = self._is_closed and not self._serving and not self._waiting and not self._has_ended
            self._has_ended |= is_over
        if is_over:
            self._on_end()


_lines: weakref.WeakSet[Line] = weakref.WeakSet()
_watching = threading.Lock()


def _watch() -> None:
    """Have a thread that sees how the main one ends. The end of the interpreter does not wait for this one."""
    if not _watching.acquire(blocking=False):
        return
    try:
        threading.Thread(target=_kill_after_interrupt, name="sandboxer-executor-end", daemon=True).start()
    except RuntimeError:
        _watching.release()
        raise


def _kill_after_interrupt() -> None:
    """Where an interrupt is what ended the program, nobody wants what still waits or runs."""
    threading.main_thread().join()
    if issubclass(getattr(sys, "last_type", None) or object, KeyboardInterrupt):
        for line in tuple(_lines):
            line.close(kill=True)


def _forget_all() -> None:
    """In the child of a fork there are none of our threads."""
    global _watching
    _watching = threading.Lock()
    for line in tuple(_lines):
        line._reset()


os.register_at_fork(after_in_child=_forget_all)
