"""How threads share a cold start."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sandboxer.compile.cache import Entry
from sandboxer.run import start
from sandboxer.run.start import find_or_prepare, make_request


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """The requests that were compiled, each a moment after it was asked for; the cache is empty."""
    found: list[Any] = []
    prepare = start.prepare

    def wait_and_prepare(request: Any, *rest: Any, **more: Any) -> Entry:
        time.sleep(0.1)
        found.append(request)
        return prepare(request, *rest, **more)

    monkeypatch.setattr(start, "prepare", wait_and_prepare)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return found


def test_threads_that_start_the_same_at_once_compile_it_once(compiled: list[Any], tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: find_or_prepare(make_request("default", {})), range(4)))
    assert len(compiled) == 1
    assert {entry.plan for entry in found} == {found[0].plan}
    find_or_prepare(make_request("default", {"memory": "64M"}))
    assert len(compiled) == 2


def test_where_nothing_is_kept_each_compiles(compiled: list[Any]) -> None:
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda _: find_or_prepare(make_request("default", {}), is_cached=False), range(2)))
    assert len(compiled) == 2


def test_thread_that_fails_keeps_no_other_waiting(compiled: list[Any]) -> None:
    with ThreadPoolExecutor(3) as threads:
        tries = [threads.submit(find_or_prepare, make_request(name, {})) for name in ("no-such", "no-such", "default")]
    assert [type(one.exception()).__name__ for one in tries] == ["PolicyError", "PolicyError", "NoneType"]


FORKED = """
import os, sys, threading
from sandboxer.run import start
start._compiling.acquire()
def fork_and_start():
    pid = os.fork()
    if not pid:
        os._exit(0 if start.find_or_prepare(start.make_request("default", {})).plan else 1)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
thread = threading.Thread(target=fork_and_start)
thread.start()
thread.join()
"""


def test_child_of_a_fork_waits_for_nobody(tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", FORKED], env=environment, stdout=subprocess.PIPE, text=True, timeout=60)
    assert done.stdout == "0\n"
