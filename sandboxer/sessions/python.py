"""An interpreter that lives in a box and keeps its state: source goes in, and values come out by the codec of calls.

Nothing of what comes back is unpickled or run. What the box is told is one call after the other, of `eval`, which it has anyway.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from sandboxer.calls.boxes.worker import Ground, Worker
from sandboxer.calls.bundle import BOOT
from sandboxer.calls.call import Says, read_answer
from sandboxer.calls.request import pack_call, pack_ready
from sandboxer.calls.wire.caps import Caps
from sandboxer.compile.cache import Entry
from sandboxer.errors import Problem, ProfileError
from sandboxer.launcher.spawn import Launch
from sandboxer.model.result import Result
from sandboxer.run.request import Request, RequestError, make_command
from sandboxer.run.streams import MAX_OUTPUT_BYTES

SPACE = "__import__('sys').modules.setdefault('__session__', __import__('types').ModuleType('__session__')).__dict__"
"""The names that are kept: those of a module, so that classes that are defined there have one."""


class Python:
    """For one thread at a time. result: of the last piece, with what it printed; of the box, where that has ended.

    A piece has the session's `timeout` for itself; between two of them no time passes for the box. What ends the box, as a limit
    does, ends the interpreter with its state, and later pieces raise too. when_gone: is called once then.
    """

    def __init__(self, request: Request, entry: Entry) -> None:
        self.when_gone: Callable[[], None] = lambda: None
        self.result: Result | None = None
        self._caps = Caps()
        self._worker = Worker(_ground(request, entry), MAX_OUTPUT_BYTES)
        self._launch: Launch = self._worker.launch
        self._serving = threading.RLock()
        self._is_over = False

    def exec(self, source: str) -> None:
        """Run statements. Raises: RemoteError of the same builtin class for what they raise; ExecutionError for the box's end."""
        self._hold("exec", source)

    def eval(self, source: str) -> Any:
        """The value of an expression, of the kinds that a call can return. Raises: as `exec`; SerializationError."""
        return self._hold("eval", source)

    def _hold(self, mode: str, source: str) -> Any:
        worker = self._worker
        with self._serving:
            if self._is_over:
                raise RuntimeError("this interpreter has ended")
            expression = f"{mode}(compile(source, '<session>', '{mode}'), {SPACE})"
            packed = pack_call(eval, (expression, {"source": source}), {})
            opening = b"" if worker.uses else pack_ready()
            wire, conversation = Says(self._caps).open(worker.socket, opening, packed, is_last=False)
            try:
                worker.begin(wire)
                self.result = worker.run(wire, lambda: conversation.answer is not None)
                if self.result is None:
                    self._leave()
                    self.result = worker.run_last(wire)
            except BaseException:
                self.abandon()
                raise
            if wire.error is not None:
                raise wire.error
            return read_answer(conversation.answer, Any, self._caps, self.result)

    def cancel(self) -> None:
        """Kill it. A piece that runs comes to its end then."""
        self._launch.cancel()

    def abandon(self) -> None:
        """Kill it and wait until nothing of its box is left. One that has ended stays as it is."""
        self.cancel()
        with self._serving:
            if not self._is_over:
                self._leave()
                self._worker.kill()

    close = abandon

    def _leave(self) -> None:
        self._is_over = True
        self.when_gone()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.abandon()


def _ground(request: Request, entry: Entry) -> Ground:
    argv = [os.path.realpath(sys.executable), "-I", "-S", "-c", BOOT]
    try:
        return Ground(request, entry, make_command(argv, entry, dict(os.environb), request.values))
    except RequestError as error:
        raise ProfileError(Problem(str(error), attempt=error.attempt)) from error
