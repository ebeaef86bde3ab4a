"""`sandboxer schema`."""

from __future__ import annotations

import json

from sandboxer.controls import ROOMS
from sandboxer.controls.limits.table import ROWS
from tests.cli.front import Front


def test_schema_is_json_with_every_section(front: Front) -> None:
    schema = json.loads(front.run("schema").stdout)
    assert {room.NAME for room in ROOMS} <= set(schema["properties"])
    assert schema["$schema"].startswith("https://json-schema.org/")


def test_section_is_printed_from_its_rows(front: Front) -> None:
    page = front.run("schema", "limits", "network").stdout
    assert page.startswith("limits: how much the job may use\n")
    for row in ROWS:
        assert f"\n  {row.word}: " in page
        assert all(keeper in " ".join(page.split()) for keeper in row.keepers)
    assert "memory: size from 4M, or unlimited; if nobody says: unlimited (limit: smallest)" in page
    assert "Kept by memory.max, memory.oom.group (v2) and memory.limit_in_bytes (v1)." in page
    assert "cpuset: list of processors, or unlimited; if nobody says: unlimited (limit: common)" in page
    assert "\n\nnetwork: " in page


def test_section_that_there_is_not_is_refused(front: Front) -> None:
    done = front.run("schema", "limit")
    assert done.returncode == 2
    assert "there is no section limit" in done.stderr
    assert "did you mean limits?" in done.stderr
