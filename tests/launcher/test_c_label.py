"""inside/label.c where there is no AppArmor: streams are looked at first, and nothing is executed without the label.

Where there is one, tests/vm/apparmor tells.
"""

from __future__ import annotations

import errno

import pytest

from sandboxer.model.op import SetExecLabel, Text
from tests.launcher.plans import boxed, boxed_end, launch, plan, shell

ENTER = 78


def run(**options: object) -> tuple[str, int, int]:
    """(output, failed op, errno) of a small box whose last op asks for a label that no kernel has."""
    before, inside = boxed()
    label = SetExecLabel(Text("exec sandboxer-nobody"), Text("sandboxer-nobody (enforce)"))
    ended = launch(plan(before, [*inside, *boxed_end(), label], shell("echo ran")), **options)  # type: ignore[arg-type]
    return ended.out, ended.record["fail_op"], ended.record["fail_errno"]


def test_label_that_cannot_be_given_ends_the_start() -> None:
    out, op, error = run()
    assert (out, op) == ("", ENTER)
    assert error in (errno.ENOENT, errno.EINVAL)


@pytest.mark.parametrize("redirect", ["< /etc/passwd", "> /tmp/sandboxer-label-$$ 2> /dev/null; rm /tmp/sandboxer-label-$$"])
def test_stream_that_is_a_file_of_the_host_is_refused(redirect: str) -> None:
    assert run(prefix=("sh", "-c", f'"$@" {redirect}', "sh")) == ("", ENTER, errno.EISNAM)


@pytest.mark.parametrize("redirect", ["", "< /dev/null", "2> /dev/zero"])
def test_stream_that_is_a_pipe_or_a_device_is_not(redirect: str) -> None:
    _, op, error = run(prefix=("sh", "-c", f'"$@" {redirect}', "sh"))
    assert op == ENTER
    assert error in (errno.ENOENT, errno.EINVAL)
