"""outside/start.c: the child where clone3 is hidden. It is in its v2 group ahead of all that it does."""

from __future__ import annotations

import errno
import re
import sys
from collections.abc import Sequence

import pytest

from sandboxer.model import op as ops
from sandboxer.model.op import U64, Op, Text
from tests.launcher.groups import make, nothing_left
from tests.launcher.plans import NEWPID, NEWTIME, NEWUSER, NEWUTS, Ended, launch, plan, shell
from tests.live.around import ENOSYS, EPERM, FILTER
from tests.live.needs import needs

__all__ = ["nothing_left"]

GROUP = re.compile(r"0::.*/sandboxer/\d+-\d+-\d+\n")
SHOW = shell("grep ^0: /proc/self/cgroup; grep ^0: /proc/1/cgroup")


def hidden(answer: int) -> tuple[str, ...]:
    """Words ahead of the launcher: a filter that answers so to clone3."""
    return (sys.executable, "-I", "-c", FILTER, str(answer), "clone3")


def moved(inside: Sequence[Op], argv: tuple[str, ...] = SHOW, *, answer: int = ENOSYS, flags: int = NEWPID) -> Ended:
    before = [make(), ops.StartByClone(U64(flags)), ops.MoveChild()]
    return launch(plan(before, inside, argv, after=[ops.RemoveGroups()]), prefix=hidden(answer))


@needs("v2 groups")
@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("answer", [ENOSYS, EPERM])
def test_child_is_moved_into_its_group_where_clone3_is_hidden(answer: int) -> None:
    found = moved([ops.AwaitOutside(), ops.BecomeInit()], answer=answer)
    first, _ = found.out.splitlines(keepends=True)
    assert (found.status, bool(GROUP.fullmatch(first))) == (0, True)
    born = launch(plan([make(), ops.Start(U64(NEWPID))], [ops.BecomeInit()], SHOW, after=[ops.RemoveGroups()]))
    assert re.sub(r"\d+", "", born.out) == re.sub(r"\d+", "", found.out)
    refused = launch(plan([make(), ops.Start(U64(NEWPID))], [], SHOW, after=[ops.RemoveGroups()]), prefix=hidden(answer))
    assert (refused.record["fail_op"], refused.record["fail_errno"]) == (3, answer)


@needs("v2 groups")
@pytest.mark.usefixtures("nothing_left")
def test_child_that_was_moved_waits_for_its_ids_too() -> None:
    maps = ops.WriteChildMaps(Text("0 100000 65536"), Text("0 100000 65536"), Text(""))
    before = [make(), ops.StartByClone(U64(NEWUSER | NEWPID)), ops.MoveChild(), ops.AwaitInside(), maps]
    inside = [ops.AwaitOutside(), ops.AwaitOutside(), ops.BecomeInit()]
    found = launch(
        plan(before, inside, shell("id -u; grep ^0: /proc/self/cgroup"), after=[ops.RemoveGroups()]), prefix=hidden(ENOSYS)
    )
    user, group = found.out.splitlines(keepends=True)
    assert (user, bool(GROUP.fullmatch(group))) == ("65534\n", True)


@needs("v2 groups")
@pytest.mark.usefixtures("nothing_left")
def test_child_that_ends_ahead_of_the_move_is_what_is_told() -> None:
    found = moved([ops.SetUmask(ops.U32(0o7777)), ops.AwaitOutside()])
    assert (found.status, found.record["fail_op"], found.record["fail_errno"]) == (125, 44, errno.EINVAL)


@pytest.mark.parametrize("flags", [NEWTIME, NEWTIME | NEWPID, 0x100, 17])
def test_start_by_clone_refuses_what_clone_takes_for_a_signal_and_other_flags(flags: int) -> None:
    found = launch(plan([ops.StartByClone(U64(flags))], []))
    assert (found.record["fail_op"], found.record["fail_errno"]) == (83, errno.EINVAL)


def test_start_by_clone_starts_in_new_namespaces() -> None:
    inside: list[Op] = [ops.SetHostName(Text("new"))]
    found = launch(plan([ops.StartByClone(U64(NEWUTS))], inside, ("/bin/uname", "-n")), prefix=hidden(ENOSYS))
    assert found.out == "new\n"
