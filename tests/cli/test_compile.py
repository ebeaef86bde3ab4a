"""`sandboxer compile`: a plan that runs without Python."""

from __future__ import annotations

import os
import subprocess

from sandboxer.compile.encode import decode_command
from sandboxer.launcher.spawn import launcher_path
from tests.cli.front import Front
from tests.live.needs import needs


@needs("userns")
def test_compiled_plan_runs_without_python(front: Front) -> None:
    assert front.run("compile", "-o", "plan", "-e", "A=1", "--", "sh", "-c", "echo $A; exit 3").returncode == 0
    done = subprocess.run(
        [launcher_path(), "--plan", front.project / "plan"], capture_output=True, text=True, env={}, check=False
    )
    assert (done.returncode, done.stdout) == (3, "1\n")


@needs("userns")
def test_compiled_plan_holds_the_command_and_is_private(front: Front) -> None:
    front.run("compile", "--output", "plan", "--", "true", "x")
    path = front.project / "plan"
    assert path.stat().st_mode & 0o777 == 0o600
    assert decode_command(path.read_bytes())[1] == ("true", "x")
    assert os.listdir(front.project) == ["plan"]


def test_compile_without_output_is_wrong_usage(front: Front) -> None:
    done = front.run("compile", "--", "true")
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, "sandboxer: there is no --output")


@needs("userns")
def test_compile_into_a_directory_that_there_is_not_is_refused(front: Front) -> None:
    done = front.run("compile", "-o", "no/such/plan", "--", "true")
    assert done.returncode == 125
    assert "no/such/plan" in done.stderr
