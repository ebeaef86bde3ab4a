"""Tasks of a real Dask cluster in boxes: what they may, what is refused, and that nobody but the box runs their functions."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.calls.conftest import copy_jobs
from tests.live.leaks import adopt_orphans, read_traces, wait_until_gone

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def told(open_directory: Path) -> dict[str, Any]:
    """What the session told. Nothing of its cluster and boxes is left."""
    project = open_directory / "cluster"
    project.mkdir()
    copy_jobs(project)
    session = shutil.copy(HERE / "session.py", project)
    secret = open_directory / "cluster-secret"
    secret.write_text("hush")
    adopt_orphans()
    before = read_traces()
    done = subprocess.run(
        [sys.executable, str(session), str(secret)], cwd=project, capture_output=True, text=True, timeout=250, check=False
    )
    assert wait_until_gone(before) == []
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("named", 3),
        ("by value", 42),
        ("mapped", list(range(1, 21))),
        ("chained", [13, "add"]),
        ("delayed", 6),
        ("class", True),
        ("after all that", 7),
    ],
)
def test_task_in_a_box_has_its_value(told: dict[str, Any], what: str, value: Any) -> None:
    assert told[what] == value


def test_workers_never_import_the_module_of_a_function(told: dict[str, Any]) -> None:
    assert told["imported by workers"] == [False, False]


def test_secret_is_seen_without_a_box_and_not_in_one(told: dict[str, Any]) -> None:
    assert told["secret without a box"] == "hush"
    assert "FileNotFoundError" in told["secret"]["classes"]


def test_box_has_no_way_out(told: dict[str, Any]) -> None:
    assert told["calls out"] in ("PermissionError", "ConnectionRefusedError", "OSError")


@pytest.mark.parametrize(
    ("what", "kind", "reason"),
    [
        ("killed", "ProcessDied", "exited"),
        ("hung", "TimeoutError", "wall_timeout"),
        ("garbage", "SerializationError", ""),
        ("raised", "ValueError", "exited"),
    ],
)
def test_end_of_a_box_is_an_error_of_its_task_with_all_that_is_known(
    told: dict[str, Any], what: str, kind: str, reason: str
) -> None:
    assert kind in told[what]["classes"]
    assert told[what]["reason"] == reason


def test_workers_outlive_the_boxes(told: dict[str, Any]) -> None:
    assert len(told["workers"]) == 2
    assert told["workers after all that"] == told["workers"]


def test_nobody_unpickles_what_a_box_sent(told: dict[str, Any]) -> None:
    assert [found["classes"][0] for found in told["forged"]] == ["RemoteSerializationError", "SerializationError"]
    assert not Path("/tmp/reduced").exists()
    assert not Path("/tmp/forged").exists()


def test_executor_of_a_worker_refuses_what_that_has_unpickled_already(told: dict[str, Any]) -> None:
    assert told["refused by the executor"] is True
