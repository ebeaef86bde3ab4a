"""What a start asks of SELinux for a plan that is compiled: whether the command keeps what it is handed, this time; and the
categories that were put into it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from sandboxer.compile.cache import Entry
from sandboxer.compile.encode import encode_plan, find_holes
from sandboxer.compile.resolve import resolve
from sandboxer.compile.seal import HOLE
from sandboxer.errors import HostError
from sandboxer.kernel.lsm import handed
from sandboxer.kernel.lsm.handed import Lost
from sandboxer.launcher.spawn import Launch
from sandboxer.model.host import Host
from sandboxer.model.plan import Plan
from sandboxer.run import warm
from sandboxer.run.prepare import host_for, make_plan
from sandboxer.run.request import Command, Request
from sandboxer.run.warm import launch_entry
from tests.launcher.plans import Parts

COMMAND = Command((), candidates=(), environment=())
STARTED = Launch()
HOST = Host(landlock_abi=7, selinux_problem="", selinux_mend="")
HEAD = "kind: profile\nname: mine\ndescription: of a test\npolicies: [syscalls/application, filesystem/runtime]\n"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[tuple[int, int]]]]:
    """The questions; the policy refuses what is 77 here, and nothing is started."""
    found: list[tuple[str, list[tuple[int, int]]]] = []

    def find(context: str, given: Iterable[tuple[int, int]]) -> Lost | None:
        found.append((context, list(given)))
        return next((Lost(number, "u:r:mine_t:s0", "fifo_file", ("read",)) for number, here in found[-1][1] if here == 77), None)

    monkeypatch.setattr(handed, "find_lost", find)
    monkeypatch.setattr(warm, "spawn", lambda plan, **_: STARTED)
    return found


def entry(context: bytes, *, holes: tuple[int, ...] = (), streams: tuple[int, ...] = (0, 1, 2)) -> Entry:
    plan = Parts([], [], [], b"").bytes() + context
    return Entry(plan, context=context, handed=streams, kept=(0, 1, 2, 9), holes=holes)


def test_each_start_asks_for_the_streams_that_it_has_and_for_what_is_kept(asked: list[object]) -> None:
    kept = entry(b"u:r:box_t:s0")
    assert launch_entry(kept, COMMAND, stdio=(10, 11, 12)) is STARTED
    assert asked == [("u:r:box_t:s0", [(0, 10), (1, 11), (2, 12), (9, 9)])]
    with pytest.raises(HostError, match="standard error is a pipe"):
        launch_entry(kept, COMMAND, stdio=(10, 11, 77))


def test_streams_that_are_not_the_callers_are_not_asked_for(asked: list[object]) -> None:
    assert launch_entry(entry(b"u:r:box_t:s0", streams=()), COMMAND, stdio=(77, 77, 77)) is STARTED
    assert asked == [("u:r:box_t:s0", [(9, 9)])]


def test_context_is_asked_with_the_pair_that_the_box_has(asked: list[tuple[str, object]], tmp_path: Path) -> None:
    text = b"u:r:box_t:s0:" + HOLE
    hole = len(Parts([], [], [], b"").bytes()) + len(text) - len(HOLE)
    before = len(os.listdir("/proc/self/fd"))
    assert launch_entry(entry(text, holes=(hole,)), COMMAND) is STARTED
    with pytest.raises(HostError):
        launch_entry(entry(text, holes=(hole,)), COMMAND, stdio=(77, 1, 2))
    assert all(context.startswith("u:r:box_t:s0:c") and "?" not in context for context, _ in asked)
    assert len(os.listdir("/proc/self/fd")) == before


def test_plan_without_a_context_asks_nobody(asked: list[object]) -> None:
    assert launch_entry(entry(b""), COMMAND, stdio=(77, 77, 77)) is STARTED
    assert asked == []


def plan_of(root: Path, text: str) -> Plan:
    path = root / ".sandboxer/profiles/mine.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(HEAD + text)
    policy = resolve("mine").policy
    return make_plan(Request("mine"), policy, host_for(policy, HOST))


@pytest.mark.parametrize(
    ("text", "has_pair"),
    [("", False), ("selinux: {type: generate}\n", True), ("selinux: {type: generate, categories: none}\n", False)],
    ids=["no domain", "own", "none"],
)
def test_launch_knows_the_categories_that_were_put_into_its_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, has_pair: bool
) -> None:
    started: list[bytes] = []

    def spawn(sealed: bytes, **_: Any) -> Launch:
        started.append(bytes(sealed))
        return Launch()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warm, "spawn", spawn)
    plan = plan_of(tmp_path, text)
    entry = Entry(encode_plan(plan), holes=find_holes(plan))
    before = os.listdir("/proc/self/fd")
    launch = warm.launch_entry(entry, Command(["true"], candidates=[b"/bin/true"], environment=[]))
    assert os.listdir("/proc/self/fd") == before
    assert bool(launch.pair) == has_pair == bool(entry.holes)
    assert b"c???,c???" not in started[0]
    assert started[0].count(b"_t:s0:" + launch.pair) == (2 if has_pair else 0)
