"""Run the command line as a person would, in a directory and a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LEAST_PROFILE = """\
kind: profile
name: {name}
description: what a test needs
extends: [default]
{more}
"""


@dataclass
class Front:
    """A project directory with profiles in `.sandboxer/`, and a home without any."""

    project: Path
    home: Path
    env: dict[str, str] = field(default_factory=dict)

    def run(
        self, *arguments: str, stdin: str | None = None, python: tuple[str, ...] = (), **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """`sandboxer ARGUMENTS`, to its end."""
        return subprocess.run(
            [sys.executable, "-I", *python, "-m", "sandboxer", *arguments],
            cwd=self.project,
            env=self.environment,
            input=stdin,
            stdin=None if stdin is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            **options,
        )

    @property
    def environment(self) -> dict[str, str]:
        plain = {"HOME": str(self.home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TERM": "dumb"}
        return {**plain, **self.env}

    def profile(self, name: str, more: str = "") -> Path:
        """Write a profile that extends `default`."""
        path = self.project / ".sandboxer" / "profiles" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(LEAST_PROFILE.format(name=name, more=more))
        old = path.stat().st_mtime - 100
        os.utime(path, (old, old))
        return path

    @property
    def plans(self) -> list[Path]:
        """What the cache holds."""
        directory = self.home / ".cache" / "sandboxer" / "plans"
        return sorted(directory.iterdir()) if directory.is_dir() else []


def report_of(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(path.read_text())
    return data
