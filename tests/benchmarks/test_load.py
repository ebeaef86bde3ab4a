"""The benchmark of many boxes: what it counts, what it says of what stays, and a small run of it, by root and by a user."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import load
from benchmarks.load import Machine, Traces, left_over, read_machine, read_traces, show_machine

TREE = Path(__file__).resolve().parents[2]


def test_nothing_is_left_of_nothing() -> None:
    assert left_over(read_traces()) == ""


def test_what_stays_is_counted_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "SETTLE_S", 0.0)
    monkeypatch.setattr(load, "read_traces", lambda: Traces(3, 20, 9, 2))
    assert left_over(Traces(1, 20, 10, 1)) == "2 processes, 1 groups"


def test_descriptor_of_ours_is_a_trace() -> None:
    before = read_traces().descriptors
    with open("/dev/null"):
        assert read_traces().descriptors == before + 1


def test_machine_is_shown_from_before_and_after(capsys: pytest.CaptureFixture[str]) -> None:
    assert read_machine().used_mib > 0
    show_machine(Machine(100, 20, 3), Machine(101, 22, 3))
    line = "this machine, before and after: 100 -> 101 MiB of memory in use, 20 -> 22 open files, 3 -> 3 control groups\n"
    assert capsys.readouterr().out == line


def test_small_run_leaves_nothing_and_fails_nowhere() -> None:
    words = ["--boxes", "6", "--short", "12", "--workers", "3", "--alone", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load", *words], cwd=TREE, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert (list(found["peers"]), found["left"]) == (["sandboxer"], "")
    assert found["peers"]["sandboxer"]["at once"]["boxes"] == 6
    assert found["peers"]["sandboxer"]["one after another"]["failures"] == 0
    assert len(found["machine"]) == 2


def test_user_who_cannot_reach_the_tree_is_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nothing = tmp_path / "python"
    nothing.write_text("#!/bin/sh\nexit 126\n")
    nothing.chmod(0o755)
    monkeypatch.setattr(load, "BIN", tmp_path)
    monkeypatch.setattr(load, "USER_ID", os.getuid())
    given = load.argparse.Namespace(boxes=1, short=1, workers=1)
    with pytest.raises(SystemExit, match="can everybody reach"):
        load.measure_as_user(given)
