"""Python code run by a user without privilege, in a Python of its own."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live.users import make_installation, make_person, unused_id

RunCode = Callable[..., str]


@pytest.fixture(scope="session")
def run_ordinary() -> Iterator[RunCode]:
    """`run_ordinary(code, *wrapper)`: what the code prints; wrapper: words before the command, e.g. `unshare --map-root-user`."""
    base = Path(tempfile.mkdtemp(prefix="sandboxer-kernel-", dir="/var/tmp"))
    base.chmod(0o755)
    installed = make_installation(base)
    person = make_person("ordinary", unused_id() if os.geteuid() == 0 else os.geteuid(), base)

    def run(code: str, *wrapper: str) -> str:
        return person.output([*wrapper, installed.python, "-I", "-B", "-c", code])

    yield run
    shutil.rmtree(base)
