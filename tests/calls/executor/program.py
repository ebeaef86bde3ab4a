"""A program with an executor, which ends in the way that its argument names. It runs in a process of its own."""

from __future__ import annotations

import atexit
import faulthandler
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

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


def submit_after_the_end() -> None:
    executor = SandboxExecutor(1)

    def late() -> None:
        try:
            executor.submit(value, 0)
        except RuntimeError as error:
            print(error)

    executor.submit(value, 0.2).add_done_callback(lambda _: late())
    atexit.register(late)


def wait_in_block() -> None:
    """Is interrupted in there."""
    with SandboxExecutor(max_workers=2) as executor:
        futures = [executor.submit(value, 1000) for _ in range(10)]
        tell_when_blocked(executor)
        futures[0].result()


def wait_at_end_of_block() -> None:
    with SandboxExecutor(max_workers=2) as executor:
        futures = [executor.submit(value, 1000) for _ in range(10)]
        tell_when_blocked(executor)
    print(futures)


def wait_outside_of_block() -> None:
    submit_for_ever()
    time.sleep(1000)


def wait_at_end() -> None:
    """Is interrupted while the end of the interpreter waits."""
    submit_for_ever()


def submit_for_ever() -> None:
    executor = SandboxExecutor(max_workers=2)
    for _ in range(10):
        executor.submit(value, 1000)
    tell_when_blocked(executor)


def tell_when_blocked(executor: SandboxExecutor) -> None:
    """Say so once two boxes run and the main thread waits in the kernel. What interrupts it ahead of that is seen too late."""
    wait_until(lambda: executor.pool.stats().running == 2)
    threading.Thread(target=tell_when_main_waits, daemon=True).start()


def tell_when_main_waits() -> None:
    state, since = "", 0
    while since < 20:
        time.sleep(0.005)
        found = Path(f"/proc/self/task/{os.getpid()}/syscall").read_text()
        state, since = found, since + 1 if found == state and found != "running\n" else 0
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
    faulthandler.register(signal.SIGUSR1)  # the test wants to know where one hangs
    globals()[sys.argv[1]]()
