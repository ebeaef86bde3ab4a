"""What is left of pools and their boxes when something ends before its time."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

import sandboxer
from tests.calls.boxes.pools import boxed, eventually, resident_bytes, stocked
from tests.live.leaks import descendants


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
        work(0, 0)  # whoever starts next removes the groups of launchers that were killed
        assert pool.stats().running == 0
        pool.clear()
        assert len(os.listdir("/proc/self/fd")) <= descriptors
    assert sum(outcomes.values()) == 10_000
    assert outcomes["value"] > 9_000
    assert set(outcomes) <= {"value", "ProcessDied", "InternalError", "ExecutionError", "SetupError"}
    assert resident_bytes() - memory < 100 << 20
