"""`SandboxExecutor`: `concurrent.futures` whose workers are boxes, each of which is there for one call."""

from __future__ import annotations

import concurrent.futures
import os
import weakref
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

from sandboxer.calls.boxes.pool import Pool
from sandboxer.calls.boxes.stocking import Stocking
from sandboxer.calls.call import Call, Terms
from sandboxer.calls.decorator import Sandboxed
from sandboxer.calls.executor.line import Line
from sandboxer.calls.executor.naming import find_task
from sandboxer.calls.executor.pending import ExecutorFuture
from sandboxer.calls.talk.host import HostFunction, read_functions
from sandboxer.calls.wire.caps import Caps

P = ParamSpec("P")
R = TypeVar("R")


class SandboxExecutor(concurrent.futures.Executor):
    """Runs what is submitted in boxes, so many at once.

    `cancel` of a future kills its box. Leaving the `with` block by an exception kills whatever still waits or runs.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        *,
        profile: str | os.PathLike[str] | None = None,
        pool: Pool | None = None,
        host: Mapping[str, Callable[..., Any] | HostFunction] | None = None,
        max_answer_bytes: int = 16 << 20,
        stocking: Stocking | None = None,
        **options: Any,
    ) -> None:
        """Nothing is started yet.

        max_workers: how many calls at once, each with a thread that waits for it; None: as many as there are processors.
        profile, stocking, options: of a pool of its own, which ends with it; or pool: one that is there, and stays.
        host, max_answer_bytes: as of `sandboxed`. With the stocking's `reuse`, its calls may follow each other in one box.
        """
        if max_workers is not None and max_workers < 1:
            raise ValueError("max_workers must be greater than 0")
        _check_options(options)
        if pool is not None and (profile is not None or stocking is not None or options):
            raise TypeError("the pool says which profile, stocking and options its boxes have")
        self.pool = pool or Pool("python" if profile is None else profile, stocking=stocking, **options)
        """Where its boxes are from."""
        self._terms = Terms(Caps(text_bytes=max_answer_bytes), self.pool, object(), read_functions(host or {}))
        self._line = Line(max_workers or len(os.sched_getaffinity(0)), (lambda: None) if pool else self.pool.close)
        weakref.finalize(self, self._line.close).atexit = False  # the line does not know us, and does what waits in it

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> ExecutorFuture[R]:
        """Have it called in a box. What goes wrong, also on the way there, is the exception of the future.

        Raises: RuntimeError after `shutdown`; TypeError for what is no function, or has terms of its own.
        """
        if isinstance(fn, Sandboxed):
            raise TypeError(f"{fn.local.__qualname__} is sandboxed, on terms of its own: call its submit, or give its local")
        if not callable(fn):
            raise TypeError(f"{fn!r} cannot be called")
        future: ExecutorFuture[R] = ExecutorFuture(self._line.leave)
        terms = self._terms

        def start(stop_fd: int) -> Call[Any]:
            return find_task(fn, args, kwargs).run(terms, stop_fd=stop_fd)

        self._line.enter(future, lambda: future.run(start))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more. wait: until everything is over. cancel_futures: what has not begun never will.

        An interrupt of the wait kills what runs.
        """
        self._line.close(drop=cancel_futures)
        if not wait:
            return
        try:
            self._line.join()
        except KeyboardInterrupt:
            self._kill()
            raise

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.shutdown()
        else:
            self._kill()

    def _kill(self) -> None:
        self._line.close(kill=True)
        self._line.join()


def _check_options(options: Mapping[str, Any]) -> None:
    """Raises: TypeError for what other executors take."""
    for name in ("initializer", "initargs"):
        if name in options:
            raise TypeError(f"there is no {name}: each box is a new one; Stocking(preload=...) names modules to have loaded")
