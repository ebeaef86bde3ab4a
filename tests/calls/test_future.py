"""Calls beside each other: futures, maps and tasks; whoever is cancelled is dead."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import time
from typing import Any

import pytest

import sandboxer
from sandboxer.calls.future import Stop


def test_future_has_the_value_or_the_error(jobs: Any) -> None:
    futures = [jobs.odd_is_wrong.submit(number) for number in (2, 3)]
    assert futures[0].result(60) == 2
    with pytest.raises(ValueError, match="ValueError: 3"):
        futures[1].result(60)
    assert (futures[0].done(), futures[0].running(), futures[0].cancel()) == (True, False, False)


def test_what_cannot_begin_is_the_futures_exception(jobs: Any) -> None:
    assert isinstance(jobs.whole.submit(lambda: 0).exception(60), sandboxer.SerializationError)


def test_future_that_is_cancelled_has_killed_its_box(jobs: Any) -> None:
    future = jobs.after.submit(1000.0, 1)
    with pytest.raises(TimeoutError):
        future.result(0.5)
    assert (future.running(), future.cancel(), future.cancelled()) == (True, True, True)
    assert future.wait_until_gone(60)
    with pytest.raises(concurrent.futures.CancelledError):
        future.result()


def test_future_can_be_cancelled_before_anything_runs(jobs: Any) -> None:
    for _ in range(3):
        future = jobs.after.submit(1000.0, 1)
        assert future.cancel()
        assert future.wait_until_gone(60)


def test_map_is_in_order_and_stops_at_the_first_error(jobs: Any) -> None:
    assert list(jobs.add.map([1, 2, 3], [10, 20, 30], concurrency=2)) == [11, 22, 33]
    with pytest.raises(ValueError, match="ValueError: 5"):
        list(jobs.odd_is_wrong.map([2, 4, 5, 6, 8], concurrency=2))


def test_map_gives_errors_where_that_is_asked_for(jobs: Any) -> None:
    found = list(jobs.odd_is_wrong.map([2, 3, 4], return_exceptions=True))
    assert (found[0], type(found[1]).__mro__[2], found[2]) == (2, ValueError, 4) or isinstance(found[1], ValueError)


def test_map_without_order_gives_what_is_there(jobs: Any) -> None:
    found = list(jobs.after.map([3.0, 0.0], [1, 2], concurrency=2, ordered=False))
    assert found == [2, 1]


def test_map_that_is_left_kills_what_runs(jobs: Any) -> None:
    begun = time.monotonic()
    for value in jobs.after.map([0.0, 1000.0, 1000.0], [1, 2, 3], concurrency=2):
        assert value == 1
        break
    assert time.monotonic() - begun < 100


def test_map_begins_no_more_than_there_is_room_for(jobs: Any) -> None:
    taken: list[int] = []

    def numbers() -> Any:
        for number in range(100):
            taken.append(number)
            yield number

    assert next(jobs.add.map(numbers(), concurrency=2)) == 0
    assert len(taken) <= 3


def test_map_with_no_concurrency_at_all_is_refused(jobs: Any) -> None:
    with pytest.raises(ValueError, match="concurrency"):
        list(jobs.add.map([1], concurrency=-1))


def test_tasks_await_calls_side_by_side(jobs: Any) -> None:
    async def both() -> list[int]:
        return list(await asyncio.gather(jobs.add.aio(1, 2), jobs.add.aio(3, 4)))

    assert asyncio.run(both()) == [3, 7]


def test_task_that_is_cancelled_has_killed_the_box(jobs: Any) -> None:
    async def late() -> None:
        async with asyncio.timeout(1):
            await jobs.after.aio(1000.0, 1)

    with pytest.raises(TimeoutError):
        asyncio.run(late())


def test_stop_after_the_end_touches_nothing() -> None:
    stop = Stop()
    stop.close()
    before = len(os.listdir("/proc/self/fd"))
    stop.ask()
    stop.close()
    assert len(os.listdir("/proc/self/fd")) == before
