"""A command under a label when its monitor is killed: whether the parent-death signal holds there, and that pid 1 does.

Source: security/apparmor/domain.c, profile_onexec; fs/exec.c, begin_new_exec.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from sandboxer.model.op import SetExecLabel, Text
from tests.live.boxes import Box
from tests.vm.apparmor.labels import LABEL, load
from tests.vm.outliving import EACH_WAY, lose_monitor, outlives, started, write_plan

ONCE = pytest.mark.parametrize("person", ["caller"], indirect=True)


@ONCE
@EACH_WAY
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
    label, after, told = lose_monitor(project, LABEL)
    assert label == f"{name} (enforce)"
    assert after == "", "nobody is left who could write"
    assert "the launcher was lost, and the box with it" in told
