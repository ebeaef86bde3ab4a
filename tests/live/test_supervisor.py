"""The Python process that waits for a box: while it compiled the plan itself, nobody of its user may look into it."""

from __future__ import annotations

import os
from pathlib import Path

from tests.live.needs import needs
from tests.live.users import Installation, Person


def _owner_of_its_files(person: Person, command: list[str], workplace: Path) -> int:
    """Whose the files of a process in /proc are, once it has said that it runs: its user's, or root's if it is not dumpable."""
    process = person.start([*command], cwd=workplace)
    try:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"here\n"
        return os.stat(f"/proc/{process.pid}/environ").st_uid
    finally:
        process.communicate(b"\n")


@needs("root")
def test_supervisor_that_compiled_cannot_be_looked_into(ordinary: Person, installation: Installation) -> None:
    job = ["--", "sh", "-c", "echo here; read line"]
    work = ordinary.directory(f"supervised-{os.urandom(4).hex()}")
    boxed = [str(installation.command), "exec", "--no-cache", "--profile", "default", *job]
    assert _owner_of_its_files(ordinary, boxed, work) == 0


@needs("root")
def test_plain_process_of_the_same_user_can_be_looked_into(ordinary: Person) -> None:
    work = ordinary.directory(f"plain-{os.urandom(4).hex()}")
    assert _owner_of_its_files(ordinary, ["sh", "-c", "echo here; read line"], work) == ordinary.uid
