"""A box that lives and is ours to end: served one round at a time, by whoever waits in whatever way, until it has a Result."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Protocol

from sandboxer.compile.cache import Entry
from sandboxer.errors import InternalError, Problem
from sandboxer.launcher.record import RecordError, read_record
from sandboxer.launcher.spawn import Launch
from sandboxer.model.result import Reason, Result
from sandboxer.run.about import read_about
from sandboxer.run.failure import launcher_lost
from sandboxer.run.request import Command
from sandboxer.run.result import build_result
from sandboxer.run.scratch.scratch import Scratch
from sandboxer.run.streams import Streams
from sandboxer.run.turns import Turns


class Companion(Protocol):
    """Somebody who has to do with a box while it runs."""

    def enter(self, turns: Turns, launch: Launch) -> None:
        """Take turns with the streams."""

    def correct(self, record: dict[str, int]) -> dict[str, int]:
        """The record, with what only this one knows."""


class Running:
    """A box, from its start to its Result. Either `end` or `abandon` gives everything back.

    opened: what is closed at the end. complete: adds to the result what somebody else knows. input_fd: our end of its standard
    input, where that is a pipe of the caller's.
    """

    def __init__(
        self,
        launch: Launch,
        streams: Streams,
        entry: Entry,
        command: Command,
        *,
        companion: Companion | None = None,
        scratch: Scratch | None = None,
    ) -> None:
        self.launch = launch
        self.turns = Turns()
        self.opened = ExitStack()
        self.input_fd = -1
        self.complete: Callable[[Result], Result] = lambda result: result
        self._streams = streams
        self._entry = entry
        self._command = command
        self._companion = companion
        self._scratch = scratch
        self._serving = threading.RLock()
        self._is_entered = False
        self._is_over = False

    def step(self, *, is_waiting: bool = True) -> bool:
        """One round of turns; False: nothing is left to wait for but `end`, which is at hand."""
        with self._serving:
            return not self._is_over and self.is_waiting and self.turns.step(is_waiting=is_waiting)

    @property
    def is_waiting(self) -> bool:
        """Whether there is something to wait for but the end. Everybody waits from then on."""
        self.enter()
        return self.turns.is_waiting

    def enter(self) -> None:
        """Have everybody wait for their turn; from then on the descriptor of `turns` says when there is one."""
        if self._is_entered:
            return
        self._is_entered = True
        self._streams.close_theirs()
        self._streams.enter(self.turns, self.launch.cancel)
        if self._companion:
            self._companion.enter(self.turns, self.launch)
        self.turns.join(self.launch.result_fd, select.POLLIN, lambda _: self.turns.drop(self.launch.result_fd))

    def end(self) -> Result:
        """Serve until the end, and tell of it. Whatever keeps us from that kills the box before it goes on.

        Raises: InternalError if the launcher was lost, and if somebody has abandoned it.
        """
        with self._serving:
            if self._is_over:
                raise InternalError(Problem("the box was closed by somebody, and has no result"))
            try:
                while self.step():
                    pass
                data, status = self.launch.wait()
            except BaseException:
                self.abandon()
                raise
            self._is_over = True
            try:
                return self.complete(self._tell(data, status))
            finally:
                self._close()

    def cancel(self) -> None:
        """Kill the box. Whoever serves it comes to its end then."""
        self.launch.cancel()

    def abandon(self) -> None:
        """Kill the box, and see it gone; from any thread. One that is over stays as it is."""
        self.cancel()
        with self._serving:
            if self._is_over:
                return
            self._is_over = True
            try:
                self.launch.wait()
            finally:
                self._close()

    def _close(self) -> None:
        self.turns.close()
        self.opened.close()

    def _tell(self, data: bytes, status: int) -> Result:
        try:
            record = read_record(data)
        except RecordError as error:
            raise launcher_lost(str(error), status, read_about(self._entry.about)) from error
        record = self._companion.correct(record) if self._companion else record
        candidates = [os.fsdecode(path) for path in self._command.candidates]
        result, _ = build_result(record, read_about(self._entry.about), argv=self._command.argv, candidates=candidates)
        if self._streams.excess:
            result = _cut_short(result, self._streams)
        if self._scratch and self._scratch.problem:
            result = replace(result, reason=Reason.SETUP_FAILED, exit_code=None, detail=self._scratch.problem.show())
        stdout, stderr = self._streams.outputs
        return replace(result, stdout=stdout, stderr=stderr, files=self._scratch.collect() if self._scratch else None)


def finish(launch: Launch, streams: Streams, entry: Entry, command: Command, *, watch: Companion | None = None) -> Result:
    """Feed and drain the streams, wait, and build the result. An interrupt of the caller kills the box before it goes on."""
    return Running(launch, streams, entry, command, companion=watch).end()


def _cut_short(result: Result, streams: Streams) -> Result:
    """The result of a box that was killed for its output. What is not whole must not look whole, so that is the reason also where
    the command ended in the moment before; how it did stands in the detail."""
    detail = f"it wrote more than {streams.max_output_bytes} bytes to {streams.excess}"
    if result.reason is not Reason.CANCELLED:
        detail += f", and ended ahead of the kill: {result.reason.value}"
        detail += f" {result.exit_code}" if result.exit_code is not None else ""
    return replace(result, reason=Reason.OUTPUT_LIMIT, exit_code=None, detail=detail)
