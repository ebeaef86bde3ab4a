"""`sandboxer schema`."""

from __future__ import annotations

import json

from sandboxer.controls import ROOMS
from tests.cli.front import Front


def test_schema_is_json_with_every_section(front: Front) -> None:
    schema = json.loads(front.run("schema").stdout)
    assert {room.NAME for room in ROOMS} <= set(schema["properties"])
    assert schema["$schema"].startswith("https://json-schema.org/")
