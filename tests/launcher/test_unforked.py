"""A process that forks in one thread while another starts boxes keeps nothing of them from its end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from sandboxer.launcher.unforked import unforked
from tests.calls.boxes.pools import eventually

PROGRAM = """
import os, signal, threading, time
import sandboxer
from sandboxer.launcher import spawn

start = spawn._spawn

def start_slowly(*words):
    time.sleep(0.02)
    return start(*words)

def fork():
    while not over.is_set() and len(children) < 300:
        pid = os.fork()
        if pid == 0:
            signal.alarm(50)
            signal.pause()
        children.append(pid)
        time.sleep(0.004)

spawn._spawn = start_slowly
children, over = [], threading.Event()
forks = threading.Thread(target=fork)
with sandboxer.Pool() as pool:
    call = sandboxer.sandboxed(pool=pool)(len)
    call("four")
    try:
        forks.start()
        for _ in range(3):
            sandboxer.run(["true"]).check()
            assert call("four") == 4
            sandboxer.run(["cat"], files={"x": b"y"}, stdin=b"z").check()
            assert call("four") == 4
    finally:
        over.set()
        forks.join()
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
print("forked" if len(children) > 5 else "did not fork")
"""


def test_streams_end_with_the_box_whoever_forks_meanwhile(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True, timeout=45, check=False)
    assert (done.stdout, done.returncode) == ("forked\n", 0), done.stderr


LEFT = """
import os, signal, sys, threading, time
import sandboxer

threading.Thread(target=sandboxer.run, args=(["sleep", sys.argv[1]],), daemon=True).start()

def has_started():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline") as file:
                if file.read().split("\\0")[:2] == ["sleep", sys.argv[1]]:
                    return True
        except OSError:
            continue
    return False

while not has_started():
    time.sleep(0.01)
pid = os.fork()
if pid == 0:
    os.close(1)
    signal.alarm(50)
    signal.pause()
print(pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def sleepers(word: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes().split(b"\0")[:2] == [b"sleep", word.encode()]:
                found.append(path.parent.name)
    return found


def test_box_ends_with_its_caller_who_has_forked(tmp_path: Path) -> None:
    word = str(10**6 + os.getpid())
    done = subprocess.run(
        [sys.executable, "-c", LEFT, word], cwd=tmp_path, stdout=subprocess.PIPE, text=True, timeout=45, check=False
    )
    forked = int(done.stdout)
    try:
        assert done.returncode == -signal.SIGKILL
        assert eventually(lambda: not sleepers(word), 10)
        os.kill(forked, 0)
    finally:
        os.kill(forked, signal.SIGKILL)


def test_fork_of_another_thread_waits() -> None:
    told: list[str] = []

    def fork() -> None:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        told.append("forked")
        os.waitpid(pid, 0)

    thread = threading.Thread(target=fork)
    with unforked():
        thread.start()
        thread.join(0.2)
        told.append("over")
    thread.join(30)
    assert told == ["over", "forked"]


def test_fork_of_the_same_thread_goes_on_and_its_child_can_start_boxes() -> None:
    with unforked():
        pid = os.fork()
        if pid == 0:
            free = []
            thread = threading.Thread(target=lambda: free.append(unforked().acquire(timeout=10)))
            thread.start()
            thread.join()
            os._exit(0 if free == [True] else 1)
    assert os.waitpid(pid, 0)[1] == 0
