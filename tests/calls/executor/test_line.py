"""The line without boxes: its order, its bound, and its end."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from sandboxer.calls.executor.line import Line
from sandboxer.calls.executor.pending import ExecutorFuture


class Rows:
    """A line, and what happened in it."""

    def __init__(self, most_threads: int) -> None:
        self.told: list[str] = []
        self.gate = threading.Event()
        self.line = Line(most_threads, lambda: self.told.append("end"))

    def enter(self, what: str, work: Callable[[], None] | None = None) -> ExecutorFuture[Any]:
        future: ExecutorFuture[Any] = ExecutorFuture(self.line.leave)
        self.line.enter(future, work or (lambda: self.told.append(what)))
        return future

    def block(self) -> threading.Event:
        """Work that is at it until the gate is open. The event is set once it has begun."""
        begun = threading.Event()

        def work() -> None:
            begun.set()
            self.gate.wait(60)

        self.enter("block", work)
        assert begun.wait(60)
        return begun

    def end(self) -> list[str]:
        self.gate.set()
        self.line.close()
        self.line.join()
        return self.told


def count_threads() -> int:
    return sum(thread.name == "sandboxer-executor" for thread in threading.enumerate())


def test_work_is_done_in_order() -> None:
    rows = Rows(1)
    for name in "abc":
        rows.enter(name)
    assert rows.end() == ["a", "b", "c", "end"]


def test_waiting_takes_no_thread_and_nobody_is_idle() -> None:
    rows = Rows(2)
    rows.block()
    rows.block()
    for number in range(100):
        rows.enter(str(number))
    assert count_threads() == 2
    assert len(rows.end()) == 101
    assert count_threads() == 0


def test_who_leaves_is_not_served() -> None:
    rows = Rows(1)
    rows.block()
    first, second = rows.enter("first"), rows.enter("second")
    assert rows.line.leave(first)
    assert not rows.line.leave(first)
    assert rows.end() == ["second", "end"]
    assert not rows.line.leave(second)


def test_line_that_is_closed_takes_nobody_and_serves_who_waits() -> None:
    rows = Rows(1)
    rows.block()
    rows.enter("waited")
    rows.line.close()
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        rows.enter("late")
    assert rows.end() == ["waited", "end"]


def test_line_that_drops_cancels_who_waits() -> None:
    rows = Rows(1)
    rows.block()
    future = rows.enter("waited")
    rows.line.close(drop=True)
    assert future.cancelled()
    assert rows.end() == ["end"]


def test_line_that_nobody_entered_ends_when_it_is_closed() -> None:
    rows = Rows(1)
    rows.line.close()
    rows.line.close()
    assert rows.told == ["end"]


def test_thread_that_cannot_be_started_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Rows(2)

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="start new thread"):
            rows.enter("a")
    rows.block()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        rows.enter("b")  # whoever works already will do it
    assert rows.end() == ["b", "end"]


def test_child_of_a_fork_has_a_line_of_its_own() -> None:
    rows = Rows(1)
    rows.block()
    rows.enter("of the parent")
    pid = os.fork()
    if not pid:
        try:
            rows.enter("of the child")
            os._exit(0 if rows.end() == ["of the child", "end"] else 1)
        finally:
            os._exit(2)
    assert os.waitpid(pid, 0)[1] == 0
    assert rows.end() == ["of the parent", "end"]
