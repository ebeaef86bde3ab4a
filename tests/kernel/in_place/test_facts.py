"""What a process finds out about itself, without a child and without files."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from sandboxer.errors import HostError
from sandboxer.kernel.in_place import facts
from sandboxer.kernel.probe import probe


def test_facts_are_those_of_the_whole_probe() -> None:
    mine, whole = facts.find_process_facts(), probe()
    for name in ("kernel", "arch", "uid", "gid", "groups", "home", "cwd", "capabilities", "last_capability", "rlimits"):
        assert getattr(mine, name) == getattr(whole, name)
    assert (mine.landlock_abi, mine.landlock_problem) == (whole.landlock_abi, whole.landlock_problem)
    assert set(facts.ACTIONS) >= mine.seccomp_actions
    assert mine.seccomp_actions == whole.seccomp_actions & set(facts.ACTIONS)


def test_threads_are_counted_whoever_started_them() -> None:
    before = facts.count_threads()
    ends = threading.Event()
    thread = threading.Thread(target=ends.wait)
    thread.start()
    assert facts.count_threads() == before + 1
    ends.set()
    thread.join()


def test_without_proc_nobody_knows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(facts, "TASKS", str(tmp_path / "missing"))
    with pytest.raises(HostError, match="it cannot be told whether this process has other threads"):
        facts.count_threads()
