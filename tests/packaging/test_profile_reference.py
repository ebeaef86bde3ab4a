"""The reference page says what the rows say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_profile_reference_is_current() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "profile_reference.py"), "--check"],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_profile_reference_names_every_field() -> None:
    from sandboxer.controls import ROOMS

    page = (ROOT / "docs" / "profile-reference.md").read_text()
    missing = [
        f"{room.NAME}.{row.name}"
        for room in ROOMS
        for row in room.FIELDS
        if f"| `{row.name}` |" not in page.split(f"## {room.NAME}\n")[1].split("\n## ")[0]
    ]
    assert missing == []
