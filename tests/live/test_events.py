"""`stream` and `aio`, as root and as an ordinary user."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live.needs import needs
from tests.live.users import Installation, Person


@pytest.fixture(autouse=True)
def clean(leaves_nothing: None) -> None:
    """Nothing is left of any of them."""


def output(person: Person, installation: Installation, workplace: Path, code: str) -> str:
    done = person.run([installation.python, "-c", code], cwd=workplace)
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs("userns")
def test_stream(person: Person, installation: Installation, workplace: Path) -> None:
    code = """
import sandboxer
with sandboxer.stream(["sh", "-c", "cat a; exit 3"], "strict", files={"a": "1"}, usage_every="1s") as events:
    print([type(event).__name__ for event in events], events.result.exit_code)
with sandboxer.stream(["sleep", "60"], "strict", usage_every=0.05) as events:
    print(next(event.processes for event in events if event.processes))  # none yet, where it has not begun
"""
    assert output(person, installation, workplace, code) == "['Stdout', 'Ended'] 3\n1\n"


@needs("userns")
def test_tasks(person: Person, installation: Installation, workplace: Path) -> None:
    code = """
import asyncio
from sandboxer import aio
async def main():
    print((await aio.run(["echo", "1"], "strict")).stdout)
    try:
        async with asyncio.timeout(0.3):
            await aio.run(["sleep", "60"], "strict")
    except TimeoutError:
        print("over", open("/proc/self/task/%d/children" % __import__("os").getpid()).read())
asyncio.run(main())
"""
    assert output(person, installation, workplace, code) == "b'1\\n'\nover \n"


@needs("userns")
def test_python_that_is_killed_takes_its_boxes_along(person: Person, installation: Installation, workplace: Path) -> None:
    code = """
import os, sandboxer
stream = sandboxer.stream(["sh", "-c", "echo 1; exec sleep 60"], "strict", files={"a": "1"})
print(next(stream), flush=True)
os.kill(os.getpid(), 9)
"""
    done = person.run([installation.python, "-c", code], cwd=workplace)
    assert (done.returncode, done.stdout) == (-9, "Stdout(data=b'1\\n')\n")
