"""Python and C hold the same rows: ops, fields of the record, outcomes. Neither can change alone."""

from __future__ import annotations

import re
from pathlib import Path

from sandboxer.compile.encode import wire_letters
from sandboxer.compile.seal import FLAG_IN_PLACE, FLAG_TERMINAL, HEADER_BYTES, MAX_PLAN_BYTES
from sandboxer.kernel.in_place.confinement import APPLY, NOT_MINE
from sandboxer.launcher.record import FIELDS, MAGIC, Outcome
from sandboxer.model.op import IN_PLACE, NO_SLOT, OPS, SLOTS

SOURCES = Path(__file__).resolve().parents[2] / "sandboxer" / "launcher" / "c"


def read(name: str) -> str:
    return (SOURCES / name).read_text()


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def test_ops_have_the_same_tags_names_and_fields() -> None:
    rows = re.findall(r'^OP\((\d+), (\w+), "(\w*)", "\w+"\)', read("ops.def"), re.M)
    assert rows == [(str(kind.TAG), snake(kind.__name__), wire_letters(kind)) for kind in OPS]


def test_ops_in_place_are_the_same_ones() -> None:
    rows = re.findall(r'^OP\(\d+, (\w+), "\w*", "\w*P"\)', read("ops.def"), re.M)
    assert sorted(rows) == sorted(snake(kind.__name__) for kind in IN_PLACE)


def test_ops_in_place_can_be_applied_from_python_too() -> None:
    landlock = {kind for kind in IN_PLACE if kind.__name__.startswith("Landlock")}
    assert frozenset(APPLY) | landlock | frozenset(NOT_MINE) == IN_PLACE


def test_record_has_the_same_fields() -> None:
    assert tuple(re.findall(r"^FIELD\((\w+)\)", read("record.def"), re.M)) == FIELDS


def test_record_has_the_same_magic() -> None:
    assert f"{MAGIC:#x}" in read("record.def")


def test_outcomes_have_the_same_numbers() -> None:
    body = re.search(r"enum outcome \{(.*?)\}", read("box.h"), re.S)
    assert body is not None
    names = re.findall(r"OUTCOME_(\w+)", body[1])
    assert "OUTCOME_EXITED = 1," in body[1]
    assert {name: number for number, name in enumerate(names, 1)} == {
        name: value for name, value in vars(Outcome).items() if not name.startswith("_")
    }


def test_plan_has_the_same_bounds() -> None:
    found = dict(re.findall(r"#define (\w+) \(?([0-9a-fx <u]+?)\)?\n", read("plan.h")))
    assert int(found["PLAN_HEADER_BYTES"].rstrip("u"), 0) == HEADER_BYTES
    assert found["PLAN_MAX_BYTES"] == f"{MAX_PLAN_BYTES >> 20}u << 20"
    assert int(found["PLAN_FLAG_TERMINAL"].rstrip("u"), 0) == FLAG_TERMINAL
    assert int(found["PLAN_FLAG_IN_PLACE"].rstrip("u"), 0) == FLAG_IN_PLACE
    assert (int(found["SLOTS"].rstrip("u"), 0), int(found["NO_SLOT"].rstrip("u"), 0)) == (SLOTS, NO_SLOT)
