"""Generators whose items are made in boxes: what comes, how far the box is ahead, and who ends it."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import sandboxer
from sandboxer.calls.boxes.pool import Pool, clear_pools
from sandboxer.calls.boxes.stocking import Stocking
from sandboxer.model.result import Reason


@pytest.fixture
def note(project: Path) -> Iterator[Path]:
    """Where a function of the box notes how many items it has made."""
    path = project / "note"
    yield path
    for _ in range(20):  # a box that is being killed may make it once more
        path.unlink(missing_ok=True)
        time.sleep(0.01)


def made(note: Path) -> int:
    return int(note.read_text() or 0) if note.exists() else 0


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_items_come_one_by_one_and_the_value_at_the_end(yielding: Any) -> None:
    found = yielding.count(50)
    assert [next(found) for _ in range(50)] == list(range(50))
    with pytest.raises(StopIteration) as end:
        next(found)
    assert end.value.value == "counted"
    assert (found.call.value, found.call.result.reason) == ("counted", Reason.EXITED)
    assert next(found, "over") == "over"


def test_generator_of_nothing_is_empty(yielding: Any) -> None:
    assert list(yielding.count(0)) == []


def test_class_of_the_annotation_is_that_of_an_item(jobs: Any, yielding: Any) -> None:
    assert list(yielding.points()) == [jobs.Point(1, 2), jobs.Point(3, 4)]


def test_nothing_runs_before_the_first_item_is_wanted(yielding: Any, note: Path) -> None:
    found = yielding.notes(str(note))
    found.close()
    assert (made(note), list(found)) == (0, [])
    with pytest.raises(sandboxer.SerializationError, match="the arguments cannot cross"):
        yielding.notes(lambda: 0)


def test_box_is_ahead_by_the_window_and_no_further(yielding: Any, note: Path) -> None:
    found = yielding.notes(str(note))
    next(found)
    wait_until(lambda: made(note) >= 17)
    assert made(note) == 17  # one was taken; the next is not begun before there is room for it
    next(found)
    wait_until(lambda: made(note) >= 18)
    found.close()


def test_window_is_one_of_bytes_too(yielding: Any, note: Path) -> None:
    found = yielding.notes(str(note), 3 << 20)
    next(found)
    wait_until(lambda: made(note) >= 3)
    assert made(note) == 3
    assert len(next(found)) == 3 << 20
    found.close()


def test_many_items_of_many_bytes_go_through_the_window(yielding: Any, note: Path) -> None:
    found = yielding.notes(str(note), 1 << 20)
    assert sum(len(next(found)) for _ in range(40)) == 40 << 20
    found.close()


def test_box_is_gone_after_a_close(yielding: Any, note: Path) -> None:
    found = yielding.notes(str(note))
    next(found)
    found.close()
    assert found.call.result.reason is Reason.CANCELLED
    assert next(found, "over") == "over"


def test_exception_that_is_thrown_into_it_ends_the_box_and_is_raised(yielding: Any, note: Path) -> None:
    found = yielding.notes(str(note))
    next(found)
    with pytest.raises(KeyError, match="x"):
        found.throw(KeyError("x"))
    assert found.call.result.reason is Reason.CANCELLED


def test_loop_that_is_left_kills_the_box(yielding: Any, note: Path) -> None:
    """The fixture sees that nothing is left of it."""
    for _ in yielding.notes(str(note)):
        break
    gc.collect()


def test_nothing_is_sent_into_it(yielding: Any) -> None:
    found = yielding.count(3)
    with pytest.raises(TypeError, match="nothing can be sent into"):
        found.send(1)
    assert list(found) == [0, 1, 2]


def test_exception_comes_after_the_items_before_it(yielding: Any) -> None:
    found = yielding.breaks(20)
    assert [next(found) for _ in range(20)] == list(range(20))
    with pytest.raises(ValueError, match="broken") as caught:
        next(found)
    assert isinstance(caught.value, sandboxer.RemoteError)
    assert next(found, "over") == "over"


def test_item_that_the_annotation_denies_ends_it(yielding: Any) -> None:
    found = yielding.lies_later()
    assert next(found) == 1
    with pytest.raises(sandboxer.SerializationError, match="a str came, and the function says int"):
        next(found)
    assert next(found, "over") == "over"


def test_item_that_cannot_cross_is_an_error_of_the_function(yielding: Any) -> None:
    found = yielding.gives_no_value()
    assert next(found) == 1
    with pytest.raises(sandboxer.RemoteError, match="a lock cannot cross"):
        next(found)


def test_time_that_is_up_is_a_timeout_after_the_items(yielding: Any) -> None:
    found = yielding.stops_coming()
    assert next(found) == 1
    with pytest.raises(TimeoutError):
        next(found)


def test_function_that_yields_has_no_value(yielding: Any) -> None:
    for call in (yielding.count.call, lambda n: yielding.count.submit(n).result(60), lambda n: next(yielding.count.map([n]))):
        with pytest.raises(TypeError, match="call it and iterate"):
            call(1)


def test_several_go_on_side_by_side(yielding: Any) -> None:
    assert list(zip(yielding.count(3), yielding.count(3), strict=True)) == [(0, 0), (1, 1), (2, 2)]


def test_descriptors_of_the_caller_do_not_grow_by_generators(yielding: Any, note: Path) -> None:
    list(yielding.count(3))
    clear_pools()
    before = len(os.listdir("/proc/self/fd"))
    list(yielding.count(3))
    found = yielding.notes(str(note))
    next(found)
    found.close()
    with pytest.raises(sandboxer.SerializationError):
        list(yielding.floods())
    clear_pools()
    assert len(os.listdir("/proc/self/fd")) == before


def test_box_that_is_shared_serves_one_generator_after_the_other(yielding: Any) -> None:
    with Pool(stocking=Stocking(reuse="same-key")) as pool:
        count = sandboxer.sandboxed(pool=pool, ahead=2)(yielding.count.local)
        assert [list(count(number)) for number in (3, 100, 0, 5)] == [list(range(number)) for number in (3, 100, 0, 5)]
        assert pool.stats().reused == 3
        found = count(100)
        next(found)
        found.close()
        assert list(count(2)) == [0, 1]


# ── async ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_async_generator_is_one_still(yielding: Any) -> None:
    async def collect() -> list[int]:
        return [item async for item in yielding.later_ones(40)]

    assert asyncio.run(collect()) == list(range(40))


def test_async_generators_go_on_side_by_side(yielding: Any) -> None:
    async def collect() -> list[list[int]]:
        async def one() -> list[int]:
            return [item async for item in yielding.later_ones(5)]

        return await asyncio.gather(one(), one())

    assert asyncio.run(collect()) == [list(range(5))] * 2


def test_async_generator_that_is_closed_has_killed_the_box(yielding: Any) -> None:
    async def leave() -> Any:
        found = yielding.waits_for_ever()
        assert await anext(found) == 1
        await found.aclose()
        assert [item async for item in found] == []
        return found.call

    assert asyncio.run(leave()).result.reason is Reason.CANCELLED


def test_task_that_is_cancelled_while_it_waits_has_killed_the_box(yielding: Any) -> None:
    async def leave() -> Any:
        found = yielding.waits_for_ever()
        assert await anext(found) == 1
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(found), 0.1)
        return found.call

    assert asyncio.run(leave()).result.reason is Reason.CANCELLED


# ── an attacker's ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["floods", "goes_on_after_the_end", "value_of_a_generator"])
def test_word_that_may_not_come_now_ends_a_generator(yielding: Any, name: str) -> None:
    with pytest.raises(sandboxer.SerializationError):
        list(getattr(yielding, name)())


def test_item_of_a_function_that_yields_none_is_refused(yielding: Any) -> None:
    with pytest.raises(sandboxer.SerializationError):
        yielding.item_of_a_function()
