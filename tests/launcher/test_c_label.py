"""inside/label.c where no module gives labels: streams are looked at first, and nothing is executed without the label.

Where there is one, tests/vm/apparmor and tests/vm/selinux tell.
"""

from __future__ import annotations

import errno

import pytest

from sandboxer.model.op import LabelMounts, MakeStage, Op, SetExecContext, SetExecLabel, Text
from tests.launcher.plans import boxed, boxed_end, launch, plan, shell

LABELS = (
    SetExecLabel(Text("exec sandboxer-nobody"), Text("sandboxer-nobody (enforce)")),
    SetExecContext(Text("nobody_u:nobody_r:nobody_t:s0:c1,c2")),
)
NOT_KNOWN = (errno.ENOENT, errno.EINVAL)
NAMES = ["apparmor", "selinux"]


def run(label: Op, **options: object) -> tuple[str, int, int]:
    """(output, failed op, errno) of a small box whose last op asks for a label that no kernel has."""
    before, inside = boxed()
    ended = launch(plan(before, [*inside, *boxed_end(), label], shell("echo ran")), **options)  # type: ignore[arg-type]
    return ended.out, ended.record["fail_op"], ended.record["fail_errno"]


@pytest.mark.parametrize("label", LABELS, ids=NAMES)
def test_label_that_cannot_be_given_ends_the_start(label: Op) -> None:
    out, op, error = run(label)
    assert (out, op) == ("", label.TAG)
    assert error in NOT_KNOWN


@pytest.mark.parametrize("label", LABELS, ids=NAMES)
@pytest.mark.parametrize("redirect", ["< /etc/passwd", "> /tmp/sandboxer-label-$$ 2> /dev/null; rm /tmp/sandboxer-label-$$"])
def test_stream_that_is_a_file_of_the_host_is_refused(redirect: str, label: Op) -> None:
    assert run(label, prefix=("sh", "-c", f'"$@" {redirect}', "sh")) == ("", label.TAG, errno.EISNAM)


@pytest.mark.parametrize("label", LABELS, ids=NAMES)
@pytest.mark.parametrize("redirect", ["", "< /dev/null", "2> /dev/zero"])
def test_stream_that_is_a_pipe_or_a_device_is_not(redirect: str, label: Op) -> None:
    _, op, error = run(label, prefix=("sh", "-c", f'"$@" {redirect}', "sh"))
    assert op == label.TAG
    assert error in NOT_KNOWN


def test_mounts_with_a_context_that_the_kernel_does_not_take_end_the_start() -> None:
    before, inside = boxed()
    label = LabelMounts(Text("nobody_u:object_r:nobody_t:s0:c1,c2"))
    ended = launch(plan(before, [label, *inside, *boxed_end()], shell("echo ran")))
    assert (ended.out, ended.record["fail_op"], ended.record["fail_errno"]) == ("", MakeStage.TAG, errno.EINVAL)
    assert launch(plan(before, [*inside, *boxed_end()], shell("echo ran"))).out == "ran\n"
