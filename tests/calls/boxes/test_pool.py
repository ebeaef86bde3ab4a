"""Pools: how many run, what waits, who may share, and what is left when something ends before its time."""

from __future__ import annotations

import concurrent.futures
import contextlib
import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
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
from tests.live.leaks import descendants


def stocked(**stocking: Any) -> Pool:
    return Pool(stocking=Stocking(**stocking))


def boxed(pool: Pool, function: Callable[..., Any]) -> Any:
    return sandboxer.sandboxed(pool=pool)(function)


def eventually(is_so: Callable[[], bool], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


# ── how many ──────────────────────────────────────────────────────────────────────────────────────────────────────────


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


def test_functions_with_the_same_settings_share_a_pool(plain: ModuleType) -> None:
    one, other = sandboxer.sandboxed(plain.count), sandboxer.sandboxed(plain.numbers)
    third = sandboxer.sandboxed(timeout=5)(plain.count)
    assert one._terms.pool is other._terms.pool
    assert one._terms.pool is not third._terms.pool


# ── what waits ────────────────────────────────────────────────────────────────────────────────────────────────────────


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
            victim = pid if number % 2 else min(descendants(pid))
            os.kill(victim, signal.SIGKILL)
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


# ── who may share ─────────────────────────────────────────────────────────────────────────────────────────────────────


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


# ── before their time ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_fork_of_the_caller_has_boxes_of_its_own(plain: ModuleType) -> None:
    count = sandboxer.sandboxed(plain.count)
    assert [count() for _ in range(3)] == [1] * 3
    before = [worker.launch.pid for shelf in count._terms.pool._stock.shelves.values() for worker in shelf.spares]
    pid = os.fork()
    if not pid:
        try:
            spare = count._terms.pool.stats().spare
            os._exit(10 * spare + count() + count())
        finally:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 2
    after = [worker.launch.pid for shelf in count._terms.pool._stock.shelves.values() for worker in shelf.spares]
    assert before == after
    assert [count() for _ in range(3)] == [1] * 3


LEAVER = """
import os, sys, time, threading
from sandboxer import sandboxed
import pool_jobs
count = sandboxed(pool_jobs.count)
for _ in range(4):
    count()
shared = sandboxed(reuse="same-key")(pool_jobs.count)
shared()
running = sandboxed(pool_jobs.value_after).submit(1000, 1)
time.sleep(0.3)
print("ready", flush=True)
if sys.argv[1] == "wait":
    time.sleep(1000)
if sys.argv[1] == "raise":
    raise ValueError
"""


@pytest.mark.parametrize("ending", ["return", "raise", "kill", "interrupt", "terminate"])
def test_end_of_the_interpreter_leaves_nothing(ending: str, in_project: Path) -> None:
    how = {"return": "return", "raise": "raise"}.get(ending, "wait")
    words = [sys.executable, "-c", LEAVER, how]
    environment = {**os.environ, "PYTHONPATH": str(in_project)}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    below = descendants(process.pid)
    number = {"kill": signal.SIGKILL, "interrupt": signal.SIGINT, "terminate": signal.SIGTERM}.get(ending)
    if number:
        assert below
        process.send_signal(number)
    process.wait(20)
    process.stdout.close()
    assert eventually(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in below))


def test_interrupt_while_a_call_runs_ends_it_and_not_the_pool(plain: ModuleType) -> None:
    with stocked() as pool:
        wait = boxed(pool, plain.value_after)
        wait(0, 1)
        timer = threading.Timer(0.3, lambda: signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            wait(1000, 1)
        assert (pool.stats().running, wait(0, 2)) == (0, 2)


def test_many_threads_get_each_their_own_answer(plain: ModuleType) -> None:
    with stocked() as pool, concurrent.futures.ThreadPoolExecutor(16) as threads:
        wait = boxed(pool, plain.value_after)
        assert list(threads.map(lambda number: wait(0, number), range(200))) == list(range(200))
        assert (pool.stats().images, pool.stats().running) == (1, 0)


def test_each_of_ten_thousand_calls_has_one_outcome_while_workers_are_killed(plain: ModuleType) -> None:
    """Launchers and what is in their boxes are killed all the time; nothing is lost, doubled, mixed up or left."""
    chance = random.Random(3)
    outcomes: Counter[str] = Counter()
    lock = threading.Lock()
    numbers = iter(range(10_000))
    over = threading.Event()
    with stocked(reuse="same-key", max_uses=50) as pool:
        work = boxed(pool, plain.value_after)
        work(0, 0)
        descriptors, memory = len(os.listdir("/proc/self/fd")), resident_bytes()

        def call() -> None:
            while (number := next(numbers, None)) is not None:
                key = f"k{number % 4}" if number % 10 else None
                try:
                    outcome = "value" if work.keyed(key)(0, number) == number else "wrong"
                except sandboxer.SandboxerError as error:
                    outcome = type(error).__name__
                with lock:
                    outcomes[outcome] += 1

        def kill() -> None:
            while not over.wait(chance.random() * 0.05):
                with contextlib.suppress(ProcessLookupError, ValueError):
                    os.kill(chance.choice(sorted(descendants(os.getpid()))), signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        threads = [threading.Thread(target=call) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        over.set()
        killer.join()
        assert pool.stats().running == 0
        pool.clear()
        assert len(os.listdir("/proc/self/fd")) <= descriptors
    assert sum(outcomes.values()) == 10_000
    assert outcomes["value"] > 9_000
    assert set(outcomes) <= {"value", "ProcessDied", "InternalError", "ExecutionError", "SetupError"}
    assert resident_bytes() - memory < 100 << 20
