"""A command in a domain when its monitor is killed: the kernel clears the parent-death signal with the old label.

Source: security/selinux/hooks.c, selinux_bprm_committing_creds. So pid 1, which keeps its label, has to end the box.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandboxer.model.op import BecomeInit, LabelMounts, Op, SetExecContext, Text
from tests.launcher.plans import LAUNCHER, boxed, boxed_end, plan, shell
from tests.live.boxes import Box
from tests.vm.selinux.labelled import LABEL, ONCE, domain_and_pair

ECHO = shell(f"{LABEL}; echo; while read line; do echo $line; done")
PAIR = "c1,c2"


def make_plan(module: str, *, has_init: bool, is_labelled: bool) -> bytes:
    """A small box that answers each line with the same; with or without our pid 1, with or without a domain."""
    before, inside = boxed()
    mounts: list[Op] = [LabelMounts(Text(f"unconfined_u:object_r:{module}_file_t:s0:{PAIR}"))] if is_labelled else []
    context = SetExecContext(Text(f"unconfined_u:unconfined_r:{module}_t:s0:{PAIR}"))
    end = [op for op in boxed_end() if has_init or not isinstance(op, BecomeInit)]
    return plan(before, [*mounts, *inside, *end, *([context] if is_labelled else [])], ECHO).bytes()


@contextmanager
def started(data: bytes, place: Path) -> Iterator[subprocess.Popen[str]]:
    """The launcher with this plan, and the command's streams; what is left of the box ends with its input."""
    path = place / "plan"
    path.write_bytes(data)
    words = [str(LAUNCHER), "--plan", str(path)]
    pipe = subprocess.PIPE
    # A file as standard error, such as pytest's, would be refused.
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, bufsize=1) as launcher:
        yield launcher


def answers(launcher: subprocess.Popen[str]) -> bool:
    """Whether the command takes a line and gives it back; it cannot when it is gone."""
    assert launcher.stdin is not None
    assert launcher.stdout is not None
    try:
        launcher.stdin.write("line\n")
    except BrokenPipeError:
        return False
    return launcher.stdout.readline() == "line\n"


@ONCE
@pytest.mark.parametrize(
    ("is_labelled", "has_init", "outlives"),
    [(False, False, False), (True, False, True), (True, True, False), (False, True, False)],
    ids=["plain", "labelled", "labelled-with-init", "plain-with-init"],
)
def test_command_in_a_domain_outlives_a_killed_monitor_unless_pid_1_is_ours(
    project: Box, module: str, tmp_path: Path, is_labelled: bool, has_init: bool, outlives: bool
) -> None:
    with started(make_plan(module, has_init=has_init, is_labelled=is_labelled), tmp_path) as launcher:
        assert launcher.stdout is not None
        label = launcher.stdout.readline()
        if is_labelled:
            assert domain_and_pair(label) == (f"{module}_t", PAIR)
        assert answers(launcher)
        launcher.send_signal(signal.SIGKILL)
        launcher.wait()
        # Pid 1 hears of the end from a pipe of the monitor's, a moment later.
        assert all(answers(launcher) for _ in range(1000)) == outlives


def test_box_dies_whole_when_its_monitor_alone_is_killed_and_the_caller_is_told(project: Box, module: str) -> None:
    script = f"{LABEL}; echo; (trap '' HUP INT TERM; while :; do sleep 1000; done) & exec sleep 1000"
    started = subprocess.Popen(
        project.words(["sh", "-c", script], profile="labelled"), cwd=project.place, env=project.person.environment(),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with started:
        assert started.stdout is not None
        assert started.stderr is not None
        assert domain_and_pair(started.stdout.readline())[0] == f"{module}_t"
        (monitor,) = Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()
        os.kill(int(monitor), signal.SIGKILL)
        assert started.stdout.read() == ""  # nobody is left who could write
        assert "the launcher was lost, and the box with it" in started.stderr.read()
