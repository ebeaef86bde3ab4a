"""Sessions of tasks: `Box` with the same names, whose calls are awaited; a cancel kills what was begun."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from sandboxer.model.result import Result
from sandboxer.run.live.feed import Feed
from sandboxer.run.live.loops import find_loop
from sandboxer.run.live.tasks import AsyncStream, run_to_end
from sandboxer.run.said.options import Word
from sandboxer.run.scratch.collect import MAX_COLLECT_BYTES
from sandboxer.run.streams import MAX_OUTPUT_BYTES
from sandboxer.sessions.box import Box, SessionOptions
from sandboxer.sessions.changes import Change
from sandboxer.sessions.commit import Committed
from sandboxer.sessions.python import Python

T = TypeVar("T")


async def _do(call: Callable[[], T]) -> T:
    return await find_loop().finish(call)


class AsyncBox:
    """As `sandboxer.Box`, for `async with`."""

    def __init__(self, profile: Word = "default", *, workdir: Word | None = None, **options: Unpack[SessionOptions]) -> None:
        self._box = Box(profile, workdir=workdir, **options)

    async def __aenter__(self) -> Self:
        await find_loop().finish(self._box.open, Box.close)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Kill what runs, and remove what was not committed."""
        await _do(self._box.close)

    @property
    def place(self) -> str:
        """Where its commands start."""
        return self._box.place

    async def exec(
        self,
        argv: Sequence[Word],
        *,
        stdin: bytes | None = b"",
        timeout: str | float | None = None,
        env: Mapping[str, str | None] | None = None,
        explain: bool = False,
        max_output_bytes: int = MAX_OUTPUT_BYTES,
    ) -> Result:
        """Run a command and wait for its end. A cancel kills it."""
        begin = partial(
            self._box.begin, argv, stdin=stdin, timeout=timeout, env=env, explain=explain, max_output_bytes=max_output_bytes
        )
        return await run_to_end(begin)

    def popen(
        self,
        argv: Sequence[Word],
        *,
        timeout: str | float | None = None,
        env: Mapping[str, str | None] | None = None,
        explain: bool = False,
        usage_every: str | float | None = None,
    ) -> AsyncProcess:
        """A command with its events and its input; it starts by `async with`, or when the first event is asked for."""
        begin = partial(self._box.begin_fed, argv, timeout=timeout, env=env, explain=explain, usage_every=usage_every)
        return AsyncProcess(begin)

    async def python(self, *, timeout: str | float | None = None, env: Mapping[str, str | None] | None = None) -> AsyncPython:
        """An interpreter that lives in a box of the session; to be left by `async with`."""
        made = await find_loop().finish(partial(self._box.python, timeout=timeout, env=env), Python.abandon)
        return AsyncPython(made)

    def set_network(self, mode: str) -> None:
        """Let later commands have less of a network."""
        self._box.set_network(mode)

    async def read(self, name: str, *, max_bytes: int = MAX_COLLECT_BYTES) -> bytes:
        """A file as its commands see it."""
        return await _do(partial(self._box.read, name, max_bytes=max_bytes))

    async def write(self, name: str, data: bytes | str) -> None:
        """Make or replace a file."""
        await _do(partial(self._box.write, name, data))

    async def changes(self) -> tuple[Change, ...]:
        """What its commands have changed."""
        return await _do(self._box.changes)

    async def commit(self, globs: Iterable[str] | None = None, *, links: bool = False) -> Committed:
        """Apply changes to the directory of the host. It is finished ahead of a cancel."""
        return await _do(partial(self._box.commit, globs, links=links))

    async def discard(self) -> None:
        """Take everything back."""
        await _do(self._box.discard)

    async def fork(self) -> AsyncBox:
        """Another session with the files of this one, open already."""
        made = AsyncBox.__new__(AsyncBox)
        made._box = await find_loop().finish(self._box.fork, Box.close)
        return made


class AsyncProcess(AsyncStream):
    """A command of a session that lives: an asynchronous iterator of its events, and its input."""

    def __init__(self, begin: Callable[[], tuple[Feed, int]]) -> None:
        super().__init__(self._begin_fed)
        self._begin_pair = begin
        self._input_fd = -1

    def _begin_fed(self) -> Feed:
        feed, self._input_fd = self._begin_pair()
        os.set_blocking(self._input_fd, False)
        return feed

    async def write(self, data: bytes) -> None:
        """Write all of this to its standard input; somebody else reads its events meanwhile, where that is much.

        Raises: BrokenPipeError where nobody reads it any more.
        """
        loop = find_loop()
        await self._start(loop)
        left = memoryview(data)
        while left:
            await loop.wait_writable(self._input_fd)
            try:
                left = left[os.write(self._input_fd, left) :]
            except BlockingIOError:
                continue

    def close_input(self) -> None:
        """Let it see the end of its standard input."""
        if self._input_fd >= 0:
            os.close(self._input_fd)
        self._input_fd = -1

    async def aclose(self) -> None:
        """Kill it and wait until nothing of it is left."""
        self.close_input()
        await super().aclose()

    def __del__(self) -> None:
        self.close_input()
        super().__del__()


class AsyncPython:
    """As `Python`, with pieces that are awaited. A cancel ends the interpreter."""

    def __init__(self, python: Python) -> None:
        self._python = python

    @property
    def result(self) -> Result | None:
        """Of the last piece, with what it printed."""
        return self._python.result

    async def exec(self, source: str) -> None:
        """Run statements."""
        await find_loop().finish(partial(self._python.exec, source), hasten=self._python.cancel)

    async def eval(self, source: str) -> Any:
        """The value of an expression."""
        return await find_loop().finish(partial(self._python.eval, source), hasten=self._python.cancel)

    async def close(self) -> None:
        """Kill it and wait until nothing of its box is left."""
        await _do(self._python.abandon)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
