"""Jobs that will not go: whatever they leave is gone when `exec` returns, also where the box has no processes of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attack.seats import Seat, eventually
from tests.live.boxes import enforced
from tests.live.leaks import adopt_orphans, read_traces, wait_until_gone
from tests.live.needs import this_host

LIMITS = "limits: {processes: 60, wall: 60s}\n"
SHARED = """\
namespaces: {pid: host}
process: {init: false}
override:
  - {path: filesystem.proc, value: none, reason: there is no pid namespace to show}
"""
PROFILES = {"own": LIMITS, "shared": LIMITS + SHARED}


@pytest.fixture(autouse=True)
def watch(seat: Seat, actor: Path) -> Iterator[None]:
    """No process, mount or group is left."""
    for name, text in PROFILES.items():
        seat.profile(name, text)
    adopt_orphans()
    before = read_traces()
    yield
    assert wait_until_gone(before) == []


def find_heads(word: str) -> list[int]:
    """The processes that have this word on their command line; what is dead has none. The front has it too."""
    found = []
    for entry in os.scandir("/proc"):
        try:
            words = Path(entry.path, "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
        except OSError:
            continue
        if words[:2] == [b"./actor", b"hydra"] and word.encode() in words:
            found.append(int(entry.name))
    return found


@pytest.mark.parametrize("profile", PROFILES)
def test_nothing_of_a_hydra_is_left_when_exec_returns(seat: Seat, profile: str) -> None:
    """No head has to be waited for: looked at once, in the moment after."""
    for _ in range(3):
        word = f"head-{os.urandom(6).hex()}"
        ended = seat.run(["./actor", "hydra", "200", word], profile=profile)
        left = find_heads(word)
        assert (ended.status, ended.out.split()[0], left) == (0, "left", [])


@pytest.mark.parametrize("profile", PROFILES)
def test_hydra_that_outlives_its_wall_clock_is_gone_too(seat: Seat, profile: str) -> None:
    seat.profile(profile, PROFILES[profile].replace("60s", "500ms, grace: 0s"))
    word = f"head-{os.urandom(6).hex()}"
    ended = seat.run(["./actor", "hydra", "600000", word], profile=profile)
    assert (ended.status, ended.reason, find_heads(word)) == (124, "wall_timeout", [])


def test_one_box_that_shares_pids_leaves_another_alone(seat: Seat) -> None:
    """The twin: the hydra is gone, and its neighbour, of the same person and the same profile, never noticed."""
    with seat.start(["sh", "-c", "echo ready; read line; echo well"], profile="shared") as neighbour:
        assert neighbour.stdout is not None
        assert neighbour.stdin is not None
        assert neighbour.stdout.readline() == b"ready\n"
        word = f"head-{os.urandom(6).hex()}"
        with seat.start(["./actor", "hydra", "1000", word], profile="shared") as hydra:
            assert eventually(lambda: len(find_heads(word)) > 3)
            assert hydra.wait(30) == 0
            assert find_heads(word) == []
        out, _ = neighbour.communicate(b"\n", timeout=30)
    assert (neighbour.returncode, out) == (0, b"well\n")


def test_report_says_how_what_is_left_is_killed(seat: Seat) -> None:
    ended = seat.run(["true"], profile="shared")
    has_group = seat.person.uid == 0 and bool(this_host().hierarchies)
    how = "all of its control group" if has_group else "one by one, for it has no control group"
    assert any(
        line.endswith(f"what the command leaves is killed when it ends: {how}") for line in enforced(ended.report, "process")
    )
