"""Whose a process is, asked of real ones."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from sandboxer.kernel.audit import kin
from sandboxer.kernel.audit.kin import Kin, find_parent


def pretend(monkeypatch: pytest.MonkeyPatch, parents: dict[int, int]) -> None:
    monkeypatch.setattr(kin, "find_parent", parents.get)


def test_parent_of_a_real_process_is_found_whatever_it_calls_itself() -> None:
    code = "import pathlib; pathlib.Path('/proc/self/comm').write_text('a) 1 2 (b'); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert find_parent(child.pid) == os.getpid()
        assert Kin(os.getpid()).holds(child.pid) is True
        assert Kin(child.pid).holds(os.getpid()) is False
        child.communicate(b"\n")
    assert find_parent(child.pid) is None
    assert Kin(os.getpid()).holds(child.pid) is None


def test_descendants_of_any_depth_are_ours_and_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, {10: 1, 11: 10, 12: 11, 20: 1, 21: 20})
    ours = Kin(10)
    assert [ours.holds(pid) for pid in (10, 11, 12)] == [True, True, True]
    assert [ours.holds(pid) for pid in (20, 21, 1)] == [False, False, None]


def test_process_that_was_ours_stays_so_when_it_has_ended_and_one_that_nobody_saw_is_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parents = {10: 1, 11: 10}
    pretend(monkeypatch, parents)
    ours = Kin(10)
    assert ours.holds(11)
    del parents[11]
    assert ours.holds(11) is True
    assert ours.holds(12) is None
    ours.add(12)
    assert ours.holds(12) is True


@pytest.mark.parametrize("depth", [kin.DEPTH + 5, 100_000])
def test_way_up_that_has_no_end_is_given_up(monkeypatch: pytest.MonkeyPatch, depth: int) -> None:
    monkeypatch.setattr(kin, "find_parent", lambda pid: pid + 1)
    assert Kin(depth + 2).holds(2) is False


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kin, "find_parent", lambda pid: 10)
    ours = Kin(10)
    assert all(ours.holds(pid) for pid in range(11, kin.KNOWN * 2))
    assert len(ours._known) <= kin.KNOWN
