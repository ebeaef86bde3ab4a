"""Pools: how many run, and what waits."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import sandboxer
from sandboxer import Pool, PoolError, Stocking
from sandboxer.calls.boxes import pool as pools
from sandboxer.calls.boxes.stock import MAX_SORTS, kill_all
from sandboxer.calls.boxes.worker import Worker
from sandboxer.errors import Problem
from tests.calls.boxes.pools import boxed, eventually, stocked
from tests.live.leaks import descendants

# ── how many ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_more_calls_run_than_may(plain: ModuleType) -> None:
    with stocked(size=2) as pool:
        wait = boxed(pool, plain.value_after)
        wait(0, 0)
        most = 0
        futures = [wait.submit(0.1, number) for number in range(6)]
        while not all(future.done() for future in futures):
            most = max(most, pool.stats().running)
            time.sleep(0.01)
        assert ([future.result() for future in futures], most) == (list(range(6)), 2)


def test_call_that_finds_the_queue_full_is_refused(plain: ModuleType) -> None:
    with stocked(size=1, max_queue=1) as pool:
        wait = boxed(pool, plain.value_after)
        first = wait.submit(0.8, 1)
        assert eventually(lambda: pool.stats().running == 1)
        second = wait.submit(0, 2)
        assert eventually(lambda: pool.stats().waiting == 1)
        with pytest.raises(PoolError, match="1 calls wait for the pool already"):
            wait(0, 3)
        assert (first.result(30), second.result(30), pool.stats().calls) == (1, 2, 2)


def test_call_after_the_close_is_refused(plain: ModuleType) -> None:
    with stocked() as pool:
        wait = boxed(pool, plain.value_after)
        assert wait(0, 1) == 1
    with pytest.raises(PoolError, match="closed"):
        wait(0, 1)


def test_close_waits_for_those_that_run_and_refuses_those_that_wait(plain: ModuleType) -> None:
    pool = stocked(size=1)
    wait = boxed(pool, plain.value_after)
    running, waiting = wait.submit(0.5, 1), None
    assert eventually(lambda: pool.stats().running == 1)
    waiting = wait.submit(0, 2)
    assert eventually(lambda: pool.stats().waiting == 1)
    pool.close()
    assert running.result(1) == 1
    with pytest.raises(PoolError, match="closed"):
        waiting.result(5)


def test_close_that_kills_does_not_wait(plain: ModuleType) -> None:
    pool = stocked()
    wait = boxed(pool, plain.value_after)
    running = wait.submit(1000, 1)
    assert eventually(lambda: pool.stats().running == 1 and pool.stats().images == 1)
    pool.close(kill=True)
    with pytest.raises(sandboxer.ProcessDied, match="cancelled"):
        running.result(5)


def test_exception_in_the_block_kills(plain: ModuleType) -> None:
    running = None
    with contextlib.suppress(KeyError), stocked() as pool:
        running = boxed(pool, plain.value_after).submit(1000, 1)
        assert eventually(lambda: pool.stats().running == 1 and pool.stats().images == 1)
        raise KeyError
    assert running is not None
    with pytest.raises(sandboxer.ProcessDied):
        running.result(5)


@pytest.mark.parametrize(
    "wrong", [{"size": 0}, {"max_queue": -1}, {"spares": -1}, {"max_uses": 0}, {"fresh": "fork"}, {"reuse": "always"}]
)
def test_terms_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"may be|at least"):
        Stocking(**wrong)


@pytest.mark.parametrize("wrong", [{"spares": 1.5}, {"size": "2"}, {"max_queue": None}, {"max_uses": True}, {"preload": "numpy"}])
def test_terms_of_the_wrong_kind_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=next(iter(wrong))):
        Stocking(**wrong)


def test_modules_may_be_in_any_list() -> None:
    assert Stocking(preload=["json"]) == Stocking(preload=("json",))  # type: ignore[arg-type]
    assert hash(Stocking(preload=["json"])) == hash(Stocking(preload=("json",)))  # type: ignore[arg-type]


def test_functions_with_the_same_settings_share_a_pool(plain: ModuleType) -> None:
    one, other = sandboxer.sandboxed(plain.count), sandboxer.sandboxed(plain.numbers)
    third = sandboxer.sandboxed(timeout=5)(plain.count)
    assert one._terms.pool is other._terms.pool
    assert one._terms.pool is not third._terms.pool


# ── what waits ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_boxes_are_made_ahead_where_calls_follow_each_other(plain: ModuleType) -> None:
    with stocked(spares=2) as pool:
        count = boxed(pool, plain.count)
        assert [count() for _ in range(8)] == [1] * 8
        assert pool.stats().spare == 2
        pool.clear()
        assert (pool.stats().spare, pool.stats().image_bytes) == (0, 0)
        assert count() == 1
    with stocked(spares=0) as pool:
        count = boxed(pool, plain.count)
        assert [count() for _ in range(4)] == [1] * 4
        assert (pool.stats().spare, pool.stats().from_image) == (0, 4)


def test_box_that_waits_does_not_use_up_its_time(plain: ModuleType) -> None:
    with Pool(stocking=Stocking(spares=1), timeout=1) as pool:
        wait = boxed(pool, plain.value_after)
        assert [wait(0, number) for number in range(3)] == [0, 1, 2]
        assert pool.stats().spare == 1
        time.sleep(1.5)
        started = pool.stats().from_image
        assert wait(0.5, 4) == 4
        assert pool.stats().from_image == started
        with pytest.raises(TimeoutError):
            wait(5, 5)


def test_box_that_dies_while_it_waits_is_replaced(plain: ModuleType) -> None:
    with stocked(spares=2) as pool:
        count = boxed(pool, plain.count)
        for _ in range(5):
            count()
        launchers = [worker.launch.pid for shelf in pool._stock.shelves.values() for worker in shelf.spares]
        for number, pid in enumerate(launchers):
            while not (below := descendants(pid)):
                time.sleep(0.01)  # it has only just begun
            os.kill(pid if number % 2 else min(below), signal.SIGKILL)
        time.sleep(0.2)
        assert [count() for _ in range(4)] == [1] * 4
        assert pool.stats().died == len(launchers) == 2


def test_profile_that_changes_holds_for_the_next_call(
    plain: ModuleType, in_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "LOOK_SECONDS", 0.0)
    profile = in_project / "own.yaml"
    text = "kind: profile\nname: own\ndescription: One.\nextends: [python]\nfilesystem:\n  hide: [{}]\n"
    seen, secret = in_project / "seen", in_project / "secret"
    for path in (seen, secret):
        path.write_text("text")
    profile.write_text(text.format(secret))
    try:
        with Pool(profile) as pool:
            read = boxed(pool, plain.reads)
            assert (read(str(seen)), read(str(secret))) == ("text", "")
            profile.write_text(text.format(seen))
            assert (read(str(seen)), read(str(secret))) == ("", "text")
    finally:
        for path in (seen, secret, profile):
            path.unlink()


def test_directory_of_the_caller_is_that_of_the_call(
    plain: ModuleType, in_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = sandboxer.sandboxed(plain.where_it_is)
    assert where() == str(in_project)
    (in_project / "below").mkdir()
    monkeypatch.chdir(in_project / "below")
    try:
        with pytest.raises(sandboxer.RemoteError):
            where()  # its module is above the directory, which is all that the profile shows
    finally:
        (in_project / "below").rmdir()


def test_too_many_sorts_are_not_all_kept(plain: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandboxer.calls.boxes.stock.MAX_SORTS", 2)
    assert MAX_SORTS > 2
    with stocked() as pool:
        functions = [boxed(pool, one) for one in (len, plain.count, os.path.join, plain.numbers)]
        assert functions[0]([1]) == 1
        assert functions[1]() == 1
        assert functions[2]("a", "b") == "a/b"
        assert len(pool._stock.shelves) == 2
        assert functions[0]([1, 2]) == 2


def test_box_that_cannot_be_made_ahead_is_no_error_of_the_call_before(plain: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    with stocked(spares=2) as pool:
        count = boxed(pool, plain.count)
        assert [count(), count()] == [1, 1]
        start = Worker.__init__
        starts = iter([True, False, True, True])

        def begin(self: Worker, *arguments: Any, **options: Any) -> None:
            if not next(starts):
                raise sandboxer.HostError(Problem("no more processes"))
            start(self, *arguments, **options)

        for shelf in pool._stock.shelves.values():
            kill_all(shelf.spares)
            shelf.spares.clear()
        with monkeypatch.context() as patched:
            patched.setattr(Worker, "__init__", begin)
            assert count() == 1
            assert pool.stats().spare == 0
        assert count() == 1


def test_pool_that_nobody_has_any_more_leaves_nothing(plain: ModuleType) -> None:
    pool = stocked(spares=2)
    assert [boxed(pool, plain.count)() for _ in range(4)] == [1] * 4
    waiting = [worker.launch.pid for shelf in pool._stock.shelves.values() for worker in shelf.spares]
    assert len(waiting) == 2
    del pool
    gc.collect()
    assert not [pid for pid in waiting if Path(f"/proc/{pid}").exists()]
