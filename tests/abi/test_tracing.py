"""Where the kernel tells nothing of its calls, the reason is said."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.abi import tracing
from tests.abi.tracing import Types, Unreadable, read_formats


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        ("unshare: unshare failed: Operation not permitted", "this user may not mount tracefs"),
        ("mount: /x: permission denied.", "this user may not mount tracefs"),
        ("sh: 1: cd: can't cd to /x/events/syscalls", "CONFIG_FTRACE_SYSCALLS"),
        ("mount: /x: unknown filesystem type 'tracefs'.", "could not be read: mount: /x"),
    ],
)
def test_reason_is_what_failed(stderr: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 1, "", stderr)

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(Unreadable, match=reason):
        read_formats(tmp_path)


def test_type_information_of_something_else_is_refused() -> None:
    with pytest.raises(Unreadable, match="magic"):
        Types(bytes(64))


def test_absent_type_information_is_told_from_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "BTF", tmp_path / "none")
    with pytest.raises(Unreadable, match="CONFIG_DEBUG_INFO_BTF"):
        tracing.read_types()
    monkeypatch.setattr(tracing, "BTF", tmp_path)
    with pytest.raises(Unreadable, match="EISDIR"):
        tracing.read_types()
