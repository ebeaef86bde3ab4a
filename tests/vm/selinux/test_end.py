"""A command in a domain when its monitor is killed: the kernel clears the parent-death signal with the old label.

Source: security/selinux/hooks.c, selinux_bprm_committing_creds. So pid 1, which keeps its label, has to end the box.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from sandboxer.model.op import LabelMounts, SetExecContext, Text
from tests.live.boxes import Box
from tests.vm.outliving import outlives, started, write_plan
from tests.vm.selinux.labelled import LABEL, ONCE, domain_and_pair

PAIR = "c1,c2"


@ONCE
@pytest.mark.parametrize(
    ("is_labelled", "has_init", "lives_on"),
    [(False, False, False), (True, False, True), (True, True, False), (False, True, False)],
    ids=["plain", "labelled", "labelled-with-init", "plain-with-init"],
)
def test_command_in_a_domain_outlives_a_killed_monitor_unless_pid_1_is_ours(
    project: Box, module: str, tmp_path: Path, is_labelled: bool, has_init: bool, lives_on: bool
) -> None:
    mounts = LabelMounts(Text(f"unconfined_u:object_r:{module}_file_t:s0:{PAIR}"))
    context = SetExecContext(Text(f"unconfined_u:unconfined_r:{module}_t:s0:{PAIR}"))
    ahead, last = ([mounts], [context]) if is_labelled else ([], [])
    with started(write_plan(tmp_path, LABEL, has_init=has_init, ahead=ahead, last=last)) as (launcher, label):
        if is_labelled:
            assert domain_and_pair(label) == (f"{module}_t", PAIR)
        assert outlives(launcher) == lives_on


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
