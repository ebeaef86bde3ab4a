"""compile/schema.py: the JSON Schema says what the rows say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandboxer.compile.schema import ENFORCE, json_schema, vocabulary
from sandboxer.compile.search import shipped_directory
from sandboxer.controls import ROOMS
from sandboxer.controls.shape import Rule, check_rule
from tests.compile.tree import fake_rooms

SCHEMA: dict[str, Any] = json_schema(ROOMS)  # type: ignore[assignment]
WORDS = vocabulary(ROOMS)
RULES = {f"{name}.{row.name}": row.shape for name, rows in WORDS.rows.items() for row in rows.values()}
RULES |= {row.name: row.shape for row in WORDS.top}
SHIPPED = sorted(Path(shipped_directory()).glob("p*/**/*.yaml"))


def fits(value: object, rule: dict[str, Any]) -> bool:
    """A judge of the words of JSON Schema that ours uses. It knows nothing of sandboxer, and refuses other words."""
    types = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool}
    for word, limit in rule.items():
        match word:
            case "type":
                kinds = limit if isinstance(limit, list) else [limit]
                if not any(isinstance(value, types[k]) and not (isinstance(value, bool) and k != "boolean") for k in kinds):  # type: ignore[arg-type]
                    return False
            case "enum":
                if value not in limit:
                    return False
            case "anyOf":
                if not any(fits(value, one) for one in limit):
                    return False
            case "properties":
                if isinstance(value, dict) and not all(fits(value[k], one) for k, one in limit.items() if k in value):
                    return False
            case "additionalProperties":
                rest = [v for k, v in value.items() if k not in rule.get("properties", {})] if isinstance(value, dict) else []
                if rest and (limit is False or (isinstance(limit, dict) and not all(fits(v, limit) for v in rest))):
                    return False
            case "propertyNames":
                if isinstance(value, dict) and not all(fits(k, limit) for k in value):
                    return False
            case "required":
                if isinstance(value, dict) and not set(limit) <= set(value):
                    return False
            case "items":
                if isinstance(value, list) and not all(fits(v, limit) for v in value):
                    return False
            case "minItems" | "minLength":
                if isinstance(value, list | str) and len(value) < limit:
                    return False
            case "maxItems" | "maxLength":
                if isinstance(value, list | str) and len(value) > limit:
                    return False
            case "minimum":
                if isinstance(value, int) and value < limit:
                    return False
            case "maximum":
                if isinstance(value, int) and value > limit:
                    return False
            case "pattern":
                if isinstance(value, str) and not re.search(limit, value):
                    return False
            case "description" | "title" | "$schema":
                pass
            case _:
                raise AssertionError(f"the schema uses {word}, which this test does not know")
    return True


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_every_row_has_a_rule_that_cerberus_accepts(rule: Rule) -> None:
    """A start believes the rules."""
    check_rule(rule)


@pytest.mark.parametrize("control", [room.NAME for room in ROOMS])
def test_every_row_is_in_the_schema_with_its_help(control: str) -> None:
    room = next(room for room in ROOMS if control == room.NAME)
    section = SCHEMA["properties"][control]
    assert section["description"] == room.TITLE
    assert set(section["properties"]) == {row.name for row in room.FIELDS} | {ENFORCE}
    for row in room.FIELDS:
        assert row.help in section["properties"][row.name]["description"]
    assert section["additionalProperties"] is False


def test_keys_of_a_file_are_in_the_schema() -> None:
    assert set(SCHEMA["properties"]) == {row.name for row in WORDS.top} | set(WORDS.rows)
    assert SCHEMA["required"] == ["kind", "name", "description"]
    assert SCHEMA["properties"]["kind"]["enum"] == ["profile", "policy"]
    assert SCHEMA["additionalProperties"] is False


def test_every_row_has_help_and_a_title_is_one_line() -> None:
    assert all(row.help for rows in WORDS.rows.values() for row in rows.values())
    assert all(room.TITLE and "\n" not in room.TITLE for room in ROOMS)


def test_schema_is_json() -> None:
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


def test_schema_follows_the_rooms() -> None:
    properties: dict[str, Any] = json_schema(fake_rooms())["properties"]  # type: ignore[assignment]
    assert "devices" not in properties
    assert properties["limits"]["properties"]["wall"]["type"] == ["integer", "string"]
    assert properties["network"]["properties"]["mode"]["anyOf"][0] == {"type": "string", "enum": ["none", "loopback", "host"]}
    assert properties["process"]["properties"]["init"]["anyOf"][0] == {"type": "boolean"}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_shipped_file_fits_the_schema(path: Path) -> None:
    assert fits(yaml.safe_load(path.read_text()), SCHEMA)


HEAD = "{kind: profile, name: x, description: x, %s}"


@pytest.mark.parametrize(
    "text",
    [
        "limits: {wall: 10s, open_files: 64}",
        "limits: {open_files: '${files}'}",
        "process: {init: '${init}'}",
        "params: {memory: {type: bytes, default: 1G}}",
        "restrict: [no-network, {limits: {wall: 1s}}]",
        "override: [{path: limits.wall, value: 1h, reason: slow}]",
        "filesystem: {read: [/usr, {path: /data, optional: true}]}",
    ],
)
def test_right_shape_fits_the_schema(text: str) -> None:
    assert fits(yaml.safe_load(HEAD % text), SCHEMA)


@pytest.mark.parametrize(
    "text",
    [
        "limit: {wall: 10s}",
        "limits: {wal: 10s}",
        "limits: 10s",
        "extends: default",
        "network: {mode: wide}",
        "process: {init: maybe}",
        "params: {memory: {type: byte}}",
        "override: [{path: limits.wall, value: 1h}]",
        "restrict: [{options: {read: [/]}}]",
        "filesystem: {read: [{optional: true}]}",
    ],
)
def test_wrong_shape_does_not_fit_the_schema(text: str) -> None:
    assert not fits(yaml.safe_load(HEAD % text), SCHEMA)
