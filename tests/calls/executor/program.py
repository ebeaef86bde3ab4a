"""A program with an executor, which ends in the way that its argument names. It runs in a process of its own."""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Callable

from sandboxer import SandboxExecutor


def value(seconds: float) -> int:
    time.sleep(seconds)
    return 7


def wait_until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        time.sleep(0.005)


def end_without_shutdown() -> None:
    for _ in range(3):
        SandboxExecutor(max_workers=1).submit(value, 0.2).add_done_callback(
            lambda future: sys.stdout.write(f"{future.result()}\n")
        )


def end_by_exit() -> None:
    executor = SandboxExecutor(max_workers=1)
    executor.submit(value, 0.2).add_done_callback(lambda future: sys.stdout.write(f"{future.result()}\n"))
    sys.exit(3)


def wait_in_block() -> None:
    """Is interrupted in there."""
    with SandboxExecutor(max_workers=2) as executor:
        futures = [executor.submit(value, 1000) for _ in range(10)]
        wait_until(lambda: executor.pool.stats().running == 2)
        print("running", flush=True)
        futures[0].result()


def wait_at_end_of_block() -> None:
    with SandboxExecutor(max_workers=2) as executor:
        futures = [executor.submit(value, 1000) for _ in range(10)]
        wait_until(lambda: executor.pool.stats().running == 2)
        print("running", flush=True)
    print(futures)


def wait_outside_of_block() -> None:
    submit_for_ever()
    print("running", flush=True)
    time.sleep(1000)


def wait_at_end() -> None:
    """Is interrupted while the end of the interpreter waits."""
    submit_for_ever()
    threading.Thread(target=tell_end, daemon=True).start()


def submit_for_ever() -> None:
    executor = SandboxExecutor(max_workers=2)
    for _ in range(10):
        executor.submit(value, 1000)
    wait_until(lambda: executor.pool.stats().running == 2)


def tell_end() -> None:
    threading.main_thread().join()
    print("running", flush=True)


def forget() -> None:
    for _ in range(3):
        executor = SandboxExecutor()
        print([executor.submit(value, 0).result() for _ in range(3)])
        del executor
        wait_until(lambda: threading.active_count() == 2)
        gc.collect()
    print("forgotten", flush=True)
    time.sleep(1000)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
