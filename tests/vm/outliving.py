"""What tests of ends share: the launcher on a plan, whose command echoes lines, and whether that still does."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandboxer.model.op import BecomeInit, Op
from tests.launcher.plans import LAUNCHER, boxed, boxed_end, plan, shell
from tests.live.boxes import Box

MANY = 1000
EACH_WAY = pytest.mark.parametrize(
    ("is_labelled", "has_init", "lives_on"),
    [(False, False, False), (True, False, True), (True, True, False), (False, True, False)],
    ids=["plain", "labelled", "labelled-with-init", "plain-with-init"],
)
"""A label takes the parent-death signal away, and pid 1 of ours ends the box all the same."""


def write_plan(place: Path, label: str, *, has_init: bool, ahead: Sequence[Op] = (), last: Sequence[Op] = ()) -> Path:
    """A small box whose command prints its label and answers each line with the same; with or without our pid 1."""
    before, inside = boxed()
    end = [op for op in boxed_end() if has_init or not isinstance(op, BecomeInit)]
    command = shell(f"{label} | tr -d '\\000\\n'; echo; while read line; do echo $line; done")
    path = place / "plan"
    path.write_bytes(plan(before, [*ahead, *inside, *end, *last], command).bytes())
    return path


@contextmanager
def started(path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The launcher with this plan, and the label that its command printed; what is left of the box ends with its input."""
    words = [str(LAUNCHER), "--plan", str(path)]
    pipe = subprocess.PIPE
    # A file as standard error, such as pytest's, would be refused.
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, bufsize=1) as launcher:
        assert launcher.stdout is not None
        yield launcher, launcher.stdout.readline().strip()


def answers(launcher: subprocess.Popen[str]) -> bool:
    """Whether the command takes a line and gives it back; it cannot when it is gone."""
    assert launcher.stdin is not None
    assert launcher.stdout is not None
    try:
        launcher.stdin.write("line\n")
    except BrokenPipeError:
        return False
    return launcher.stdout.readline() == "line\n"


def outlives(launcher: subprocess.Popen[str]) -> bool:
    """Whether the command goes on when the launcher is killed. Our pid 1 hears of that from a pipe, a moment later."""
    assert answers(launcher)
    launcher.send_signal(signal.SIGKILL)
    launcher.wait()
    return all(answers(launcher) for _ in range(MANY))


def lose_monitor(project: Box, label: str) -> tuple[str, str, str]:
    """Kill the monitor of a labelled box: the label that it said, what it wrote after that, and what the caller is told."""
    script = f"{label} | tr -d '\\000\\n'; echo; (trap '' HUP INT TERM; while :; do sleep 1000; done) & exec sleep 1000"
    begun = subprocess.Popen(
        project.words(["sh", "-c", script], profile="labelled"), cwd=project.place, env=project.person.environment(),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with begun:
        assert begun.stdout is not None
        assert begun.stderr is not None
        said = begun.stdout.readline().strip()
        (monitor,) = Path(f"/proc/{begun.pid}/task/{begun.pid}/children").read_text().split()
        os.kill(int(monitor), signal.SIGKILL)
        return said, begun.stdout.read(), begun.stderr.read()
