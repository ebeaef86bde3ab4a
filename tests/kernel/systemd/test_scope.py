"""A scope is asked for, waited for and gone into; and whoever does not give one is told of, in time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from sandboxer.kernel import stamp
from sandboxer.kernel.groups import is_own_scope
from sandboxer.kernel.systemd import scope
from sandboxer.kernel.systemd.scope import enter_scope
from sandboxer.kernel.systemd.sockets import Socket, candidate_sockets
from tests.kernel.systemd.fake import Answer, Refused, close, say, served, speak

LIMIT_S = 0.3


class Pretended:
    """A systemd that moves the caller into groups below a directory, as far as the caller can see."""

    def __init__(self, top: Path, monkeypatch: pytest.MonkeyPatch, *, moves: bool = True, keeps: bool = True) -> None:
        self.top, self.moves, self.keeps = top, moves, keeps
        self.group = f"{top}/session-1.scope"
        self.asked: list[tuple[str, tuple[Any, ...]]] = []
        monkeypatch.setattr(scope, "find_own_group", lambda: self.group)

    def __call__(self, member: str, body: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
        self.asked.append((member, body))
        if member == "StartTransientUnit" and self.moves:
            (self.top / body[0]).mkdir()
            self.group = f"{self.top}/{body[0]}"
        if member == "GetUnit" and not self.keeps:
            raise Refused("org.freedesktop.systemd1.NoSuchUnit", "not loaded")
        return "o", ("/org/freedesktop/systemd1/job/1",)


def enter(*paths: str, is_direct: bool = False) -> str:
    return enter_scope([Socket(path, is_direct) for path in paths], limit_s=LIMIT_S)


@pytest.mark.parametrize("is_direct", [False, True])
def test_process_goes_into_a_scope_and_on_below_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_direct: bool) -> None:
    manager = Pretended(tmp_path, monkeypatch)
    with served(tmp_path / "bus", speak(manager)) as path:
        assert enter(path, is_direct=is_direct) == ""
    (member, (name, mode, properties, more)), *_ = manager.asked
    assert (member, mode, more) == ("StartTransientUnit", "fail", [])
    said = dict(properties)
    assert said.pop("Description")
    assert said == {
        "PIDs": ("au", [0]),
        "Delegate": ("b", True),
        "CollectMode": ("s", "inactive-or-failed"),
        "Slice": ("s", "app.slice"),
    }
    assert (tmp_path / name / "front/cgroup.procs").read_text() == "0"
    assert is_own_scope(f"/a/{name}/front")


def test_manager_that_hangs_is_left_in_time_and_not_asked_twice(tmp_path: Path) -> None:
    with served(tmp_path / "bus", say()) as path:
        assert enter(path, path) == "the user's systemd was asked for a group: it did not answer in time"


def test_second_socket_is_tried_where_the_first_is_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manager = Pretended(tmp_path, monkeypatch)
    with served(tmp_path / "dead", close) as dead, served(tmp_path / "bus", speak(manager)) as path:
        assert enter(dead, path) == ""


def test_refusal_and_noise_are_told(tmp_path: Path) -> None:
    def refuse(member: str, body: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
        raise Refused("org.freedesktop.DBus.Error.AccessDenied", "Permission denied")

    with served(tmp_path / "bus", speak(refuse)) as path:
        assert enter(path).endswith("group: Permission denied")
    with served(tmp_path / "noise", say(b"\r\n\r\n")) as path:
        assert enter(path).endswith("group: what answers is no bus")


@pytest.mark.parametrize(("keeps", "said"), [(True, "in time"), (False, "could not put")])
def test_manager_that_moves_nobody_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keeps: bool, said: str) -> None:
    manager = Pretended(tmp_path, monkeypatch, moves=False, keeps=keeps)
    with served(tmp_path / "bus", speak(manager)) as path:
        assert said in enter(path)


def test_scope_that_is_not_ours_to_use_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manager: Answer = Pretended(tmp_path, monkeypatch)

    def spoil(member: str, body: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
        answer = manager(member, body)
        if member == "StartTransientUnit":
            (tmp_path / body[0] / "front").mkdir()
        return answer

    with served(tmp_path / "bus", speak(spoil)) as path:
        assert "cannot be used (File exists)" in enter(path)


def test_sockets_are_those_of_the_callers_session() -> None:
    found = candidate_sockets({"XDG_RUNTIME_DIR": "/run/user/7"})
    assert found == (Socket("/run/user/7/systemd/private", True), Socket("/run/user/7/bus", False))
    for environment in ({}, {"XDG_RUNTIME_DIR": "relative"}):
        assert candidate_sockets(environment)[1].path == f"/run/user/{os.geteuid()}/bus"


def test_name_of_a_scope_makes_no_other_plan_and_all_else_does() -> None:
    """The cache's key is the same for each run in a scope of its own."""
    lines = "0::/user.slice/app.slice/sandboxer-{}.scope/{}\n"
    one, other = (stamp._groups(lines.format(name, "front")) for name in ("0123456789abcdef", "fedcba9876543210"))
    assert one == other
    assert is_own_scope("/user.slice/app.slice/sandboxer-0123456789abcdef.scope/front")
    for text in (lines.format("1/2", "front"), lines.format("1", "front/below"), "0::/user.slice/session-1.scope\n"):
        assert stamp._groups(text) == text
    assert stamp._groups(lines.format("1", "front").replace("user", "root")) != stamp._groups(lines.format("1", "front"))
