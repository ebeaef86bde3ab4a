"""A command of a session that lives: its events, its standard input, and its end."""

from __future__ import annotations

import os
from typing import BinaryIO

from sandboxer.errors import InternalError, Problem
from sandboxer.model.result import Result
from sandboxer.run.live.feed import Feed
from sandboxer.run.live.stream import Stream


class Process(Stream):
    """An iterator over its events, as of `sandboxer.stream`, and `stdin`, a pipe that is written to.

    As with any pipe, a write waits for who reads, and that is no event: from another thread, or no more than a pipe holds.
    """

    def __init__(self, feed: Feed, input_fd: int) -> None:
        super().__init__(feed)
        self.stdin: BinaryIO = os.fdopen(input_fd, "wb", buffering=0)

    def kill(self) -> None:
        """End it. The events that come after are what it wrote, and Ended."""
        if self._feed.running:
            self._feed.running.launch.cancel()

    def wait(self) -> Result:
        """Close its input, let the rest of its events go, and give the result."""
        self.stdin.close()
        for _ in self:
            continue
        if self.result is None:
            raise InternalError(Problem("it was closed, and has no result"))
        return self.result

    def close(self) -> None:
        """Kill it and wait until nothing of it is left."""
        if hasattr(self, "stdin"):  # it was made to its end
            self.stdin.close()
        super().close()
