"""A command in a domain when its monitor is killed: the kernel clears the parent-death signal with the old label.

Source: security/selinux/hooks.c, selinux_bprm_committing_creds. So pid 1, which keeps its label, has to end the box.
"""

from __future__ import annotations

from pathlib import Path

from sandboxer.model.op import LabelMounts, SetExecContext, Text
from tests.live.boxes import Box
from tests.vm.outliving import EACH_WAY, lose_monitor, outlives, started, write_plan
from tests.vm.selinux.labelled import LABEL, ONCE, domain_and_pair

PAIR = "c1,c2"


@ONCE
@EACH_WAY
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
    label, after, told = lose_monitor(project, LABEL)
    assert domain_and_pair(label)[0] == f"{module}_t"
    assert after == "", "nobody is left who could write"
    assert "the launcher was lost, and the box with it" in told
