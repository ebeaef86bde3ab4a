"""What a caller gets of a generator function: a generator of his own, whose items are made in a box."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from types import TracebackType
from typing import Any, Generic, NoReturn, TypeVar

from sandboxer.calls.call import Call
from sandboxer.calls.talk.items import Stream

T = TypeVar("T")
R = TypeVar("R")


class BoxedGenerator(Generator[T, None, R], Generic[T, R]):
    """The body begins at the first `next`. `close`, and its collection, kill the box.

    What it returns is the StopIteration's value. Nothing can be sent into it. `throw` kills the box and raises here.
    """

    def __init__(self, stream: Stream[T]) -> None:
        self._stream = stream

    @property
    def call(self) -> Call[R] | None:
        """What it came to, with the result of the box; None as long as it runs."""
        return self._stream.call

    def __next__(self) -> T:
        return self.send(None)

    def send(self, value: None) -> T:
        """The next item. Raises: StopIteration; what the function raised; TypeError for a value that is not None."""
        _check_nothing(value)
        stream = self._stream
        if stream.is_over:
            raise StopIteration
        found = None
        while found is None:
            stream.when_ready().result()
            try:
                found = stream.take()
            except BaseException:
                self.close()
                raise
        if not found:
            raise StopIteration(stream.result())
        return found[0]

    def throw(self, kind: Any, value: Any = None, traceback: TracebackType | None = None) -> NoReturn:
        """Kill the box, and raise."""
        self.close()
        raise _made(kind, value, traceback)

    def close(self) -> None:
        """Kill the box; it is gone after this."""
        self._stream.kill()
        self._stream.wait_until_gone()

    def __del__(self) -> None:
        self._stream.kill()


class BoxedAsyncGenerator(AsyncGenerator[T, None], Generic[T]):
    """The same for `async for`. `aclose`, its collection, and the cancelling of the task that waits for an item kill the box."""

    def __init__(self, stream: Stream[T]) -> None:
        self._stream = stream

    @property
    def call(self) -> Call[None] | None:
        """What it came to, with the result of the box; None as long as it runs."""
        return self._stream.call

    async def asend(self, value: None) -> T:
        """The next item. Raises: StopAsyncIteration; what the function raised; TypeError for a value that is not None."""
        _check_nothing(value)
        stream = self._stream
        if stream.is_over:
            raise StopAsyncIteration
        found = None
        while found is None:
            try:
                await asyncio.wrap_future(stream.when_ready())
                found = stream.take()
            except BaseException:
                await self.aclose()
                raise
        if not found:
            stream.result()
            raise StopAsyncIteration
        return found[0]

    async def athrow(self, kind: Any, value: Any = None, traceback: TracebackType | None = None) -> NoReturn:
        """Kill the box, and raise."""
        await self.aclose()
        raise _made(kind, value, traceback)

    async def aclose(self) -> None:
        """Kill the box; it is gone after this."""
        self._stream.kill()
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, self._stream.wait_until_gone))

    def __del__(self) -> None:
        self._stream.kill()


def _check_nothing(value: object) -> None:
    if value is not None:
        raise TypeError("nothing can be sent into a generator that runs in a box: give it as an argument, or by a host function")


def _made(kind: Any, value: Any, traceback: TracebackType | None) -> BaseException:
    made = kind if isinstance(kind, BaseException) else kind() if value is None else value
    error: BaseException = made if isinstance(made, BaseException) else kind(made)
    return error.with_traceback(traceback) if traceback is not None else error
