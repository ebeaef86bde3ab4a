"""What tests of ends share: the launcher on a plan, whose command echoes lines, and whether that still does."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sandboxer.model.op import BecomeInit, Op
from tests.launcher.plans import LAUNCHER, boxed, boxed_end, plan, shell

MANY = 1000


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
