"""Futures of submissions, without boxes: their states, and what a cancel does in each."""

from __future__ import annotations

import concurrent.futures
import os
import select
import threading
from typing import Any

import pytest

from sandboxer.calls.call import Call
from sandboxer.calls.executor.pending import ExecutorFuture
from sandboxer.errors import Problem, SandboxerError


def call_of(value: Any = None, error: SandboxerError | None = None) -> Call[Any]:
    return Call(value, error, None)  # type: ignore[arg-type]  # nobody looks at the result here


def test_value_and_error_are_those_of_the_call() -> None:
    good: ExecutorFuture[int] = ExecutorFuture(lambda _: False)
    bad: ExecutorFuture[int] = ExecutorFuture(lambda _: False)
    unbegun: ExecutorFuture[int] = ExecutorFuture(lambda _: False)
    good.run(lambda _: call_of(7))
    bad.run(lambda _: call_of(error=SandboxerError(Problem("no"))))
    unbegun.run(lambda _: (_ for _ in ()).throw(OSError("none left")))
    assert (good.result(0), str(bad.exception(0)), str(unbegun.exception(0))) == (7, "no", "none left")
    assert [one.running() for one in (good, bad, unbegun)] == [False] * 3
    assert not good.cancel()


def test_cancel_in_the_line_is_seen_at_once() -> None:
    future: ExecutorFuture[int] = ExecutorFuture(lambda _: True)
    told: list[Any] = []
    future.add_done_callback(told.append)
    assert (future.running(), future.cancel(), future.cancelled()) == (False, True, True)
    assert concurrent.futures.wait([future], 0).done == {future}
    assert told == [future]


def test_cancel_of_what_runs_asks_for_its_end_and_is_seen_after_that() -> None:
    future: ExecutorFuture[int] = ExecutorFuture(lambda _: False)
    begun, may_end = threading.Event(), threading.Event()

    def start(stop_fd: int) -> Call[Any]:
        begun.set()
        assert select.select([stop_fd], [], [], 60)[0]
        may_end.wait(60)
        return call_of(1)

    thread = threading.Thread(target=future.run, args=(start,))
    thread.start()
    assert begun.wait(60)
    assert future.running()
    assert (future.cancel(), future.cancel(), future.running()) == (True, True, False)
    assert concurrent.futures.wait([future], 0).not_done == {future}
    may_end.set()
    assert concurrent.futures.wait([future], 60).done == {future}
    thread.join()
    with pytest.raises(concurrent.futures.CancelledError):
        future.result(0)


def test_cancel_between_the_line_and_the_start_begins_nothing() -> None:
    future: ExecutorFuture[int] = ExecutorFuture(lambda _: False)
    assert future.cancel()
    future.run(lambda _: pytest.fail("it was begun"))
    assert concurrent.futures.wait([future], 0).done == {future}


def test_future_leaves_no_descriptor() -> None:
    before = os.listdir("/proc/self/fd")
    for _ in range(10):
        future: ExecutorFuture[int] = ExecutorFuture(lambda _: False)
        future.run(lambda _: call_of(1))
    assert len(os.listdir("/proc/self/fd")) == len(before)
