"""A plan with a hole for two categories is launched with some, and who watches the box is told which."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from sandboxer.compile.cache import Entry
from sandboxer.compile.encode import encode_plan, find_holes
from sandboxer.compile.resolve import resolve
from sandboxer.launcher.spawn import Launch
from sandboxer.model.host import Host
from sandboxer.model.plan import Plan
from sandboxer.run import warm
from sandboxer.run.prepare import host_for, make_plan
from sandboxer.run.request import Command, Request

HOST = Host(landlock_abi=7, selinux_problem="", selinux_mend="")
HEAD = "kind: profile\nname: mine\ndescription: of a test\npolicies: [syscalls/application, filesystem/runtime]\n"


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
