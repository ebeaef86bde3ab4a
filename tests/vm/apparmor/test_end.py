"""A command under a label when its monitor is killed: whether the parent-death signal holds there, and that pid 1 does.

Source: security/apparmor/domain.c, profile_onexec; fs/exec.c, begin_new_exec.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from sandboxer.model.op import SetExecLabel, Text
from tests.live.boxes import Box
from tests.vm.apparmor.labels import LABEL, load
from tests.vm.outliving import outlives, started, write_plan

ONCE = pytest.mark.parametrize("person", ["caller"], indirect=True)


@ONCE
@pytest.mark.parametrize(
    ("is_labelled", "has_init", "lives_on"),
    [(False, False, False), (True, False, True), (True, True, False), (False, True, False)],
    ids=["plain", "labelled", "labelled-with-init", "plain-with-init"],
)
def test_command_under_a_label_outlives_a_killed_monitor_unless_pid_1_is_ours(
    project: Box, labels: list[str], tmp_path: Path, is_labelled: bool, has_init: bool, lives_on: bool
) -> None:
    name = load(project, "labelled", labels)
    last = [SetExecLabel(Text(f"exec {name}"), Text(f"{name} (enforce)"))] if is_labelled else []
    with started(write_plan(tmp_path, LABEL, has_init=has_init, last=last)) as (launcher, label):
        assert label == (f"{name} (enforce)" if is_labelled else "unconfined")
        assert outlives(launcher) == lives_on


def test_box_dies_whole_when_its_monitor_alone_is_killed_and_the_caller_is_told(project: Box, labels: list[str]) -> None:
    name = load(project, "labelled", labels)
    script = f"{LABEL}; (trap '' HUP INT TERM; while :; do sleep 1000; done) & exec sleep 1000"
    begun = subprocess.Popen(
        project.words(["sh", "-c", script], profile="labelled"), cwd=project.place, env=project.person.environment(),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with begun:
        assert begun.stdout is not None
        assert begun.stderr is not None
        assert begun.stdout.readline() == f"{name} (enforce)\n"
        (monitor,) = Path(f"/proc/{begun.pid}/task/{begun.pid}/children").read_text().split()
        os.kill(int(monitor), signal.SIGKILL)
        assert begun.stdout.read() == ""  # nobody is left who could write
        assert "the launcher was lost, and the box with it" in begun.stderr.read()
