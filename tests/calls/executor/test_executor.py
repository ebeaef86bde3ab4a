"""`SandboxExecutor` against the contract of `concurrent.futures`, in real boxes; and what it has beyond that: it kills."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import gc
import os
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest

import sandboxer
from sandboxer import Pool, PoolError, SandboxExecutor, Stocking, box_task
from sandboxer.calls.boxes.pool import shared_pool
from sandboxer.calls.executor.naming import find_task


@pytest.fixture
def executor(jobs: Any) -> Iterator[SandboxExecutor]:
    """With two workers, and boxes out of a pool that these tests share."""
    with SandboxExecutor(pool=shared_pool("python", Stocking(), {}), max_workers=2) as made:
        yield made


def wait_until_running(executor: SandboxExecutor, count: int) -> None:
    end = time.monotonic() + 60
    while executor.pool.stats().running != count:
        assert time.monotonic() < end
        time.sleep(0.005)


# ── submit ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_value_comes_back_from_another_process(executor: SandboxExecutor, jobs: Any) -> None:
    future = executor.submit(jobs.where.local)
    assert isinstance(future, concurrent.futures.Future)
    assert future.result(60)["pid"] != os.getpid()
    assert (future.done(), future.running(), future.cancelled(), future.exception()) == (True, False, False, None)


def test_any_names_are_keywords_of_the_function(executor: SandboxExecutor) -> None:
    assert executor.submit(dict, self=1, fn=2).result(60) == {"self": 1, "fn": 2}


def test_function_without_a_name_goes_by_value(executor: SandboxExecutor, jobs: Any) -> None:
    factor = 7
    assert executor.submit(lambda value: factor * value, 6).result(60) == 42
    assert executor.submit(functools.partial(jobs.add.local, 1), b=2).result(60) == 3
    assert executor.submit("text".replace, "t", "n").result(60) == "nexn"


def test_class_of_the_annotation_crosses(executor: SandboxExecutor, jobs: Any) -> None:
    assert executor.submit(jobs.move.local, jobs.Point(1, 2), 3).result(60) == [jobs.Point(4, 5)]
    assert executor.submit(jobs.Point, 1, 2).result(60) == jobs.Point(1, 2)


def test_function_that_is_async_gives_its_value(executor: SandboxExecutor, jobs: Any) -> None:
    assert executor.submit(jobs.later.local, 3).result(60) == 6


def test_error_of_the_function_is_the_futures_exception(executor: SandboxExecutor, jobs: Any) -> None:
    future = executor.submit(jobs.refuse.local, "this")
    assert isinstance(future.exception(60), sandboxer.RemoteError)
    with pytest.raises(ValueError, match="this"):
        future.result()


def test_box_that_dies_is_an_error_of_its_call_alone(executor: SandboxExecutor, jobs: Any, hostile: Any) -> None:
    futures = [
        executor.submit(jobs.leave.local, 3),
        executor.submit(jobs.add.local, 1, 2),
        executor.submit(hostile.garbage.local),
    ]
    assert isinstance(futures[0].exception(60), sandboxer.ProcessDied)
    assert futures[1].result(60) == 3
    assert isinstance(futures[2].exception(60), sandboxer.SerializationError)


def test_answer_is_never_unpickled(executor: SandboxExecutor, hostile: Any) -> None:
    for function in (hostile.reduces.local, hostile.forged_code.local):
        assert isinstance(executor.submit(function).exception(60), sandboxer.RemoteError | sandboxer.SerializationError)
    assert not os.path.exists("/tmp/reduced")
    assert not os.path.exists("/tmp/forged")


def test_what_cannot_go_is_the_futures_exception(executor: SandboxExecutor, jobs: Any) -> None:
    assert isinstance(executor.submit(jobs.whole.local, lambda: 0).exception(60), sandboxer.SerializationError)


def test_array_goes_there_and_back_without_being_copied_into_a_pickle(
    executor: SandboxExecutor, jobs: Any, packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(packages))
    array = numpy.arange(1 << 18)
    with find_task(jobs.whole.local, (array,), {}).pack(executor._terms) as packed:
        assert (len(packed.descriptors), len(packed.data) < array.nbytes) == (1, True)
    assert numpy.array_equal(executor.submit(jobs.whole.local, array).result(60), array)
    assert numpy.array_equal(box_task(jobs.whole.local)(array), array)


def test_no_more_boxes_run_than_there_are_workers(executor: SandboxExecutor, jobs: Any) -> None:
    futures = [executor.submit(jobs.after.local, 1000.0, number) for number in range(20)]
    wait_until_running(executor, 2)
    assert sum(future.running() for future in futures) == 2
    assert (executor.pool.stats().running, executor.pool.stats().waiting) == (2, 0)
    for future in reversed(futures):
        assert future.cancel()


def test_host_functions_are_the_executors(jobs: Any, asking: Any) -> None:
    with SandboxExecutor(host=asking.FUNCTIONS) as executor:
        assert executor.submit(asking.asks_twice.local, 1).result(60) == jobs.Point(8, 0)


def test_calls_may_share_a_box_where_that_is_said(jobs: Any) -> None:
    with SandboxExecutor(stocking=Stocking(reuse="same-key")) as executor:
        for _ in range(3):
            executor.submit(jobs.where.local).result(60)
        assert executor.pool.stats().reused == 2
    with SandboxExecutor() as executor:
        for _ in range(3):
            executor.submit(jobs.where.local).result(60)
        assert executor.pool.stats().reused == 0


def test_arguments_and_values_are_not_kept(executor: SandboxExecutor, jobs: Any) -> None:
    given = jobs.Point(1, 2)
    seen = weakref.ref(given)
    executor.submit(jobs.move.local, given, 1).result(60)
    with pytest.raises(ValueError, match="2"):
        executor.submit(jobs.refuse.local, given).result(60)
    del given
    gc.collect()
    assert seen() is None


# ── cancel, wait, callbacks ───────────────────────────────────────────────────────────────────────────────────────────


def test_cancel_kills_what_runs(executor: SandboxExecutor, jobs: Any) -> None:
    future = executor.submit(jobs.after.local, 1000.0, 1)
    wait_until_running(executor, 1)
    assert (future.running(), future.cancel(), future.cancelled()) == (True, True, True)
    assert concurrent.futures.wait([future], 60).done == {future}
    assert executor.pool.stats().running == 0
    with pytest.raises(concurrent.futures.CancelledError):
        future.result()


def test_cancel_of_what_waits_is_done_at_once(executor: SandboxExecutor, jobs: Any) -> None:
    busy = [executor.submit(jobs.after.local, 1000.0, 1) for _ in range(2)]
    waiting = executor.submit(jobs.add.local, 1)
    assert (waiting.running(), waiting.cancel()) == (False, True)
    assert concurrent.futures.wait([*busy, waiting], 60, concurrent.futures.FIRST_COMPLETED).done == {waiting}
    for future in busy:
        future.cancel()


def test_completed_come_as_they_end(executor: SandboxExecutor, jobs: Any) -> None:
    late = executor.submit(jobs.after.local, 3.0, 1)
    soon = executor.submit(jobs.after.local, 0.0, 2)
    assert [future.result() for future in concurrent.futures.as_completed([late, soon], 60)] == [2, 1]


def test_callbacks_are_called_once(executor: SandboxExecutor, jobs: Any) -> None:
    told: list[int] = []
    future = executor.submit(jobs.add.local, 1, 2)
    future.add_done_callback(lambda done: told.append(done.result()))
    concurrent.futures.wait([future], 60)
    future.add_done_callback(lambda done: told.append(-done.result()))
    executor.shutdown()
    assert told == [3, -3]


# ── map ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_map_is_in_the_order_of_its_rows(executor: SandboxExecutor) -> None:
    assert list(executor.map(pow, range(5), [2] * 9, timeout=60, chunksize=3)) == [0, 1, 4, 9, 16]


def test_map_raises_where_the_error_was(executor: SandboxExecutor, jobs: Any) -> None:
    found = executor.map(jobs.odd_is_wrong.local, [2, 3, 4])
    assert next(found) == 2
    with pytest.raises(ValueError, match="3"):
        next(found)


def test_map_whose_time_is_up_kills_what_runs(executor: SandboxExecutor, jobs: Any) -> None:
    with pytest.raises(TimeoutError):
        list(executor.map(jobs.after.local, [0.0, 1000.0, 1000.0, 1000.0], [1, 2, 3, 4], timeout=2))
    wait_until_running(executor, 0)


# ── shutdown ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_taken_after_shutdown(executor: SandboxExecutor, jobs: Any) -> None:
    executor.shutdown()
    executor.shutdown()
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        executor.submit(jobs.add.local, 1)


def test_shutdown_waits_for_everything(executor: SandboxExecutor, jobs: Any) -> None:
    futures = [executor.submit(jobs.after.local, 0.05, number) for number in range(6)]
    executor.shutdown()
    assert [future.result(0) for future in futures] == list(range(6))


def test_shutdown_that_does_not_wait_lets_everything_be_done(executor: SandboxExecutor, jobs: Any) -> None:
    futures = [executor.submit(jobs.after.local, 0.05, number) for number in range(6)]
    executor.shutdown(wait=False)
    assert [future.result(60) for future in futures] == list(range(6))


def test_shutdown_that_cancels_lets_what_runs_end(executor: SandboxExecutor, jobs: Any) -> None:
    futures = [executor.submit(jobs.after.local, 0.5, number) for number in range(20)]
    wait_until_running(executor, 2)
    executor.shutdown(cancel_futures=True)
    assert [future.result(0) for future in futures if not future.cancelled()] == [0, 1]
    assert sum(future.cancelled() for future in futures) == 18


def test_executor_that_is_gone_has_done_its_work(jobs: Any) -> None:
    future = SandboxExecutor(max_workers=1).submit(jobs.add.local, 1, 2)
    assert future.result(60) == 3


def test_block_that_an_exception_leaves_kills(jobs: Any) -> None:
    futures = []

    def leave() -> None:
        with SandboxExecutor(max_workers=2) as executor:
            futures.extend(executor.submit(jobs.after.local, 1000.0, 1) for _ in range(4))
            wait_until_running(executor, 2)
            raise KeyError

    with pytest.raises(KeyError):
        leave()
    assert all(future.cancelled() for future in futures)


def test_pool_of_its_own_ends_with_it(jobs: Any) -> None:
    for waits in (True, False):
        executor = SandboxExecutor(max_workers=1)
        future = executor.submit(jobs.add.local, 1)
        executor.shutdown(wait=waits)
        assert future.result(60) == 1
        executor.shutdown()
        assert executor.pool.stats().images == 1
        assert executor.pool.stats().image_bytes == 0


def test_pool_that_was_given_stays(jobs: Any) -> None:
    with Pool("python") as pool:
        for _ in range(2):
            with SandboxExecutor(pool=pool, max_workers=1) as executor:
                assert executor.submit(jobs.add.local, 1).result(60) == 1
        assert (pool.stats().calls, pool.stats().images) == (2, 1)
    with SandboxExecutor(pool=pool) as executor:
        assert isinstance(executor.submit(jobs.add.local, 1).exception(60), PoolError)


# ── asyncio ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_loop_runs_functions_in_it(executor: SandboxExecutor, jobs: Any) -> None:
    async def both() -> list[int]:
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loop.run_in_executor(executor, jobs.add.local, number, 1) for number in (1, 2)))

    assert asyncio.run(both()) == [2, 3]


def test_task_that_is_cancelled_kills(executor: SandboxExecutor, jobs: Any) -> None:
    async def late() -> None:
        async with asyncio.timeout(1):
            await asyncio.get_running_loop().run_in_executor(executor, jobs.after.local, 1000.0, 1)

    with pytest.raises(TimeoutError):
        asyncio.run(late())
    wait_until_running(executor, 0)


# ── what is refused ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_function_with_terms_of_its_own_is_refused(executor: SandboxExecutor, jobs: Any) -> None:
    with pytest.raises(TypeError, match="add is sandboxed, on terms of its own"):
        executor.submit(jobs.add, 1)
    with pytest.raises(TypeError, match="7 cannot be called"):
        executor.submit(7)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"initializer": print}, "there is no initializer: each box is a new one"),
        ({"initargs": ()}, "there is no initargs"),
        ({"max_tasks_per_child": 1}, "unexpected keyword argument 'max_tasks_per_child'"),
        ({"pool": Pool(), "profile": "strict"}, "the pool says which profile"),
        ({"pool": Pool(), "timeout": "1s"}, "the pool says which profile"),
        ({"pool": Pool(), "stocking": Stocking()}, "the pool says which profile"),
    ],
)
def test_argument_that_means_nothing_here_is_refused(arguments: dict[str, Any], error: str) -> None:
    with pytest.raises(TypeError, match=error):
        SandboxExecutor(**arguments)


@pytest.mark.parametrize("workers", [0, -1])
def test_executor_without_workers_is_refused(workers: int) -> None:
    with pytest.raises(ValueError, match="max_workers must be greater than 0"):
        SandboxExecutor(max_workers=workers)
