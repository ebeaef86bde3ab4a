"""Who is asked for a control group, by whom, and what is kept of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sandboxer.compile.cache import PlanCache
from sandboxer.compile.encode import decode_ops
from sandboxer.errors import HostError
from sandboxer.kernel.stamp import stamp
from sandboxer.model.host import Hierarchy, Host
from sandboxer.model.op import MakeGroup
from sandboxer.run import prepare as cold
from sandboxer.run import scoped
from sandboxer.run.prepare import prepare, resolve_request
from sandboxer.run.request import Request
from sandboxer.run.scoped import is_bare, probe_in_scope, told_problem, wants_scope
from sandboxer.run.warm import request_key
from tests.live.needs import this_host

KEY = "k" * 40
PROFILE = "kind: profile\nname: mine\ndescription: of a test\nextends: [default]\n"
FREE = """\
override:
  - {path: limits.memory, value: unlimited, reason: of a test}
"""
SHARED = f"""\
namespaces: {{pid: host}}
process: {{init: false}}
{FREE}
  - {{path: filesystem.proc, value: none, reason: there is no pid namespace to show}}
"""
WHY = "/sys/fs/cgroup/user.slice is not delegated to the caller"
CONTROLLERS = ("cpu", "cpuset", "hugetlb", "io", "memory", "pids")


def bare() -> Host:
    """This machine, for an ordinary user of a v2 host without a group."""
    problems = dict.fromkeys(CONTROLLERS, WHY)
    return replace(this_host(), uid=4242, capabilities=0, cgroup="v2", hierarchies=(), controller_problems=problems)


def rich() -> Host:
    """The same in a scope."""
    return replace(bare(), hierarchies=(Hierarchy(0, "/sys/fs/cgroup", CONTROLLERS, 1),), controller_problems={}, has_scope=True)


class Asked:
    """A systemd that moves the caller, or says why not."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, problem: str = "") -> None:
        self.problem, self.times = problem, 0
        for module in (cold, scoped):
            monkeypatch.setattr(module, "probe", self.probe)
        monkeypatch.setattr(scoped, "candidate_sockets", lambda environment: ())

    def __call__(self) -> str:
        self.times += 1
        return self.problem

    def probe(self) -> Host:
        return rich() if self.times and not self.problem else bare()


Write = Callable[[str], Request]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes the profile of a project, and asks for it."""
    path = tmp_path / "project/.sandboxer/profiles/mine.yaml"
    path.parent.mkdir(parents=True)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "project")
    monkeypatch.setattr(cold, "is_settled", lambda paths, begun_ns: True)

    def write_it(more: str) -> Request:
        path.write_text(PROFILE + more)
        return Request("mine")

    return write_it


def plans(tmp_path: Path) -> PlanCache:
    return PlanCache(str(tmp_path / "cache/plans"))


def has_group(plan: bytes) -> bool:
    return any(isinstance(op, MakeGroup) for op in decode_ops(plan)["before"])


def test_scope_is_wanted_for_limits_of_the_whole_box_and_for_nothing_else(write: Write) -> None:
    limited = resolve_request(write("limits: {memory: 64M}\n")).policy
    free = resolve_request(write(FREE)).policy
    shared = resolve_request(write(SHARED)).policy
    assert [wants_scope(policy, bare()) for policy in (limited, free, shared)] == [True, False, True]
    assert not any(wants_scope(policy, rich()) for policy in (limited, free, shared))


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({}, True),
        ({"uid": 0}, False),
        ({"cgroup": "hybrid"}, False),
        ({"hierarchies": (Hierarchy(0, "/c"),)}, True),
        ({"hierarchies": (Hierarchy(0, "/c", ("pids",)),)}, False),
    ],
)
def test_only_an_ordinary_user_without_controllers_on_v2_is_bare(change: dict[str, object], wanted: bool) -> None:
    assert is_bare(replace(bare(), **change)) == wanted  # type: ignore[arg-type]


def test_plan_of_the_new_group_is_kept_and_a_note_for_the_old_one(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, asked = write("limits: {memory: 64M}\n"), Asked(monkeypatch)
    entry = prepare(request, KEY, plans(tmp_path), ask=asked)
    assert (asked.times, has_group(entry.plan)) == (1, True)
    note = plans(tmp_path).find(KEY, stamp)
    kept = plans(tmp_path).find(request_key(request, dict(os.environb)), stamp)
    assert note is not None
    assert kept is not None
    assert (note.plan, kept.plan) == (b"", entry.plan)


def test_note_is_stale_with_its_profile(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(write("limits: {memory: 64M}\n"), KEY, plans(tmp_path), ask=Asked(monkeypatch))
    write(FREE)
    assert plans(tmp_path).find(KEY, stamp) is None


def test_without_an_answer_the_box_is_weakened_says_why_and_is_kept_only_where_nobody_can_be_asked(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = write("limits: {memory: 64M}\n")
    asked = Asked(monkeypatch, "it hangs")
    entry = prepare(request, KEY, plans(tmp_path), ask=asked)
    assert (asked.times, has_group(entry.plan), b"is not delegated to the caller; it hangs" in entry.about) == (1, False, True)
    assert plans(tmp_path).find(KEY, stamp) is not None
    monkeypatch.setattr(cold, "can_be_asked", lambda: True)
    prepare(request, "p" * 40, plans(tmp_path), ask=asked)
    assert plans(tmp_path).find("p" * 40, stamp) is None


def test_required_limits_are_had_by_asking_and_refused_without_an_answer(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = write("limits: {memory: 64M, enforce: required}\n")
    assert has_group(prepare(request, "", PlanCache(""), ask=Asked(monkeypatch)).plan)
    with pytest.raises(HostError, match="it hangs"):
        prepare(request, "", PlanCache(""), ask=Asked(monkeypatch, "it hangs"))


def test_library_stays_where_it_is(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(monkeypatch)
    entry = prepare(write("limits: {memory: 64M}\n"), KEY, plans(tmp_path))
    assert (asked.times, has_group(entry.plan)) == (0, False)
    assert plans(tmp_path).find(KEY, stamp) is not None
    environment = dict(os.environb)
    assert request_key(Request("mine"), environment) != request_key(Request("mine"), environment, stays=True)


def test_check_looks_at_the_group_that_exec_would_have(monkeypatch: pytest.MonkeyPatch) -> None:
    assert probe_in_scope(Asked(monkeypatch)).has_scope
    host = probe_in_scope(Asked(monkeypatch, "it hangs"))
    assert (host.hierarchies, host.controller_problems["memory"]) == ((), f"{WHY}; it hangs")
    assert told_problem(rich(), "it hangs").controller_problems == {}


def test_nobody_to_ask_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoped, "candidate_sockets", lambda environment: ())
    assert scoped.ask_for_scope() == "there is no systemd of the user's own that could be asked for a group"
