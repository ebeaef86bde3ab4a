"""Real processes that confine themselves: Python code around `sandboxer.restrict`, and what it saw on both sides of it."""

from __future__ import annotations

import json
import subprocess
import textwrap
from typing import Any

from tests.live.boxes import Box
from tests.live.inside import PRELUDE
from tests.live.users import TIMEOUT_S

HEAD = "import sandboxer, threading\n"
LESS = """\
namespaces: {enforce: best_effort}
ids: {enforce: best_effort}
filesystem: {enforce: best_effort}
limits: {enforce: best_effort}
"""
"""What lets the sections go that lose something without a box."""


def words(code: str) -> str:
    """The whole program."""
    return HEAD + PRELUDE + textwrap.dedent(code)


def run_code(box: Box, code: str) -> subprocess.CompletedProcess[str]:
    """Run code in the workplace, as its person, with sandboxer at hand; not in a box."""
    python = str(box.installation.python)
    return subprocess.run(
        [*box.ahead, *box.person.prefix, python, "-I", "-c", words(code)],
        cwd=box.place,
        env=box.person.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=TIMEOUT_S,
    )


def confine(box: Box, code: str) -> dict[str, Any]:
    """Run code that restricts itself; what it put into `seen`."""
    done = run_code(box, textwrap.dedent(code) + "\nprint(json.dumps(seen))")
    assert done.returncode == 0, f"status {done.returncode}\n{done.stdout}{done.stderr}"
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def on_both_sides(box: Box, look: str, *, restrict: str = "sandboxer.restrict('box', weaken=True)") -> tuple[Any, Any]:
    """What `look(where)` returns ahead of the restriction and behind it."""
    code = f"{textwrap.dedent(look)}\nseen['before'] = look('before')\n{restrict}\nseen['after'] = look('after')\n"
    seen = confine(box, code)
    return seen["before"], seen["after"]
