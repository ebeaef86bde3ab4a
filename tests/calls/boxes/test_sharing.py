"""Who may share a box, and what is left of it when it ends before its time."""

from __future__ import annotations

import os
import signal
import time
from types import ModuleType

import pytest

import sandboxer
from sandboxer import Pool, Stocking
from tests.calls.boxes.pools import boxed, eventually, stocked
from tests.live.leaks import descendants


def test_calls_with_the_same_key_follow_each_other_in_one_box(plain: ModuleType) -> None:
    with stocked(reuse="same-key") as pool:
        count, same = boxed(pool, plain.count), boxed(pool, plain.count)
        assert [count() for _ in range(4)] == [1, 2, 3, 4]
        assert same() == 5, "the same function is the same key"
        assert (pool.stats().reused, pool.stats().shared) == (4, 1)


def test_other_key_is_another_box(plain: ModuleType) -> None:
    with stocked(reuse="same-key") as pool:
        count = boxed(pool, plain.count)
        one, two = count.keyed("one"), count.keyed("two")
        assert [one(), two(), one(), two(), count.keyed(None)()] == [1, 1, 2, 2, 1]
        assert pool.stats().shared == 2


def test_key_means_nothing_where_boxes_are_not_shared(plain: ModuleType) -> None:
    count = sandboxer.sandboxed(plain.count).keyed("one")
    assert [count(), count()] == [1, 1]


def test_box_is_used_as_often_as_it_may(plain: ModuleType) -> None:
    with stocked(reuse="same-key", max_uses=2) as pool:
        count = boxed(pool, plain.count)
        assert [count() for _ in range(5)] == [1, 2, 1, 2, 1]


def test_shared_box_that_dies_is_an_error_of_one_call(plain: ModuleType) -> None:
    with stocked(reuse="same-key") as pool:
        count, dies, killed = (boxed(pool, one).keyed("k") for one in (plain.count, plain.dies, plain.is_killed))
        assert [count(), count()] == [1, 2]
        with pytest.raises(sandboxer.ProcessDied, match="status 3"):
            dies(3)
        assert [count(), count()] == [1, 2]
        with pytest.raises(sandboxer.ProcessDied):
            killed()
        assert count() == 1
        launcher = next(iter(pool._stock._shared.values()))[0].launch.pid
        os.kill(min(descendants(launcher)), signal.SIGKILL)
        time.sleep(0.2)
        assert count() == 1
        assert pool.stats().died == 1


def test_exception_leaves_the_shared_box_as_it_is(plain: ModuleType) -> None:
    with stocked(reuse="same-key") as pool:
        count, fails = boxed(pool, plain.count).keyed("k"), boxed(pool, plain.fails).keyed("k")
        assert count() == 1
        with pytest.raises(ValueError, match="it failed"):
            fails()
        assert count() == 2


def test_output_of_a_shared_box_is_that_of_the_call(plain: ModuleType) -> None:
    says = sandboxer.sandboxed(reuse="same-key")(plain.says)
    for text in ("one", "two"):
        found = says.call(text)
        assert (found.result.stdout, found.result.stderr) == (f"{text}\n".encode(), f"{text}\n".encode())
        assert found.result.usage.wall_us > 0


def test_output_limit_of_a_shared_box_ends_it(plain: ModuleType) -> None:
    with stocked(reuse="same-key", max_output_bytes=1000) as pool:
        says, count = boxed(pool, plain.says).keyed("k"), boxed(pool, plain.count).keyed("k")
        assert count() == 1
        with pytest.raises(sandboxer.OutputLimit):
            says("x" * 2000)
        assert count() == 1


def test_each_call_of_a_shared_box_has_the_whole_time(plain: ModuleType) -> None:
    with Pool(stocking=Stocking(reuse="same-key"), timeout=1.5) as pool:
        wait, count = boxed(pool, plain.value_after).keyed("k"), boxed(pool, plain.count).keyed("k")
        assert [wait(0.7, number) for number in range(3)] == [0, 1, 2]
        time.sleep(1.6)
        assert count() == 1
        with pytest.raises(TimeoutError):
            wait(10, 3)
        assert wait(0, 4) == 4


def test_cancelled_call_ends_the_shared_box(plain: ModuleType) -> None:
    with stocked(reuse="same-key") as pool:
        wait, count = boxed(pool, plain.value_after).keyed("k"), boxed(pool, plain.count).keyed("k")
        assert [count(), count()] == [1, 2]
        future = wait.submit(1000, 1)
        assert eventually(lambda: pool.stats().running == 1)
        time.sleep(0.05)
        assert future.cancel()
        assert future.wait_until_gone(20)
        assert count() == 1


def test_boxes_of_those_who_have_not_called_for_longest_go_first(plain: ModuleType) -> None:
    with stocked(reuse="same-key") as pool:
        count = boxed(pool, plain.count)
        most = pool._most_shared
        for key in range(most + 2):
            assert count.keyed(key)() == 1
        assert pool.stats().shared == most
        assert (count.keyed(0)(), count.keyed(most)()) == (1, 2)
