"""The demonstration's program: without --attack it does its work and touches nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "demo" / "untrusted.py"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with three rows of data in a home with a key."""
    project = tmp_path / "project"
    project.mkdir()
    shutil.copy(PROGRAM, project)
    (project / "measurements.csv").write_text("hour,celsius\n0,1.0\n1,2.0\n2,3.0\n")
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_demo").write_text("a key")
    return project


def run_dry(project: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "untrusted.py", str(project.parent), "1"]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def test_untrusted_without_attack_does_its_work(project: Path) -> None:
    done = run_dry(project)
    assert done.returncode == 0, done.stderr
    assert '"rows": 3' in (project / "summary.json").read_text()


def test_untrusted_without_attack_only_names_the_attempts(project: Path) -> None:
    done = run_dry(project)
    assert done.stdout.count("\n  would ") == 5
    assert sorted(path.name for path in project.iterdir()) == ["measurements.csv", "summary.json", "untrusted.py"]
    assert sorted(path.name for path in project.parent.iterdir()) == [".ssh", "project"]
