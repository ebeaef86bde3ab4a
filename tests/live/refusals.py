"""Calls for a box to make that are refused, and what a report says of them."""

from __future__ import annotations

import platform
from typing import Any

from sandboxer.abi.syscalls_table import NUMBERS

CALLS = NUMBERS[platform.machine()]


def rows_of(data: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What was refused, by its words."""
    return {row["words"]: row for row in data["denials"]["rows"]}


def counts_of(data: dict[str, Any], call: str) -> int:
    """How often a call was refused, in all of its uses."""
    return sum(row["count"] for row in data["denials"]["rows"] if row["call"] == call)


def raw(name: str, *arguments: object) -> str:
    """The code of one raw call."""
    return f"raw({', '.join(map(str, (CALLS[name], *arguments)))})"
