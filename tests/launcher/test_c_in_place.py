"""A plan in place: the launcher becomes the command, and takes no plan that would do more than narrow it."""

from __future__ import annotations

import os
import struct
import subprocess
from pathlib import Path

import pytest

from sandboxer.compile.seal import FLAG_IN_PLACE, FLAG_TERMINAL
from sandboxer.launcher.record import Outcome
from sandboxer.model import op as ops
from sandboxer.model.op import U32, U64, Blob, Op, Text, U32List
from tests.launcher.plans import LAUNCHER, Ended, Parts, launch, plan, shell
from tests.live.needs import needs

ALLOW = Blob(struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000))
NOTHING = ops.SetCapabilities(U64(0), U64(0), U64(0))


def in_place(inside: list[Op], argv: tuple[str, ...] = ("/bin/true",), **more: object) -> Parts:
    """A plan in place."""
    parts = plan([], inside, argv, **more)  # type: ignore[arg-type]
    parts.flags = FLAG_IN_PLACE
    return parts


def become(parts: Parts) -> Ended:
    """Run it, and wait for what it became."""
    return launch(parts, with_record=False)


def refusal(parts: Parts, **options: object) -> str:
    """What is said of a plan that is not run."""
    done = launch(parts, with_record=False, **options)  # type: ignore[arg-type]
    assert (done.status, done.out) == (125, "")
    return done.err


def test_launcher_is_the_command(tmp_path: Path) -> None:
    path = tmp_path / "plan"
    path.write_bytes(in_place([ops.SetNoNewPrivs()], shell("echo $$; grep NoNewPrivs /proc/self/status; exit 7")).bytes())
    child = subprocess.Popen([LAUNCHER, "--plan", path], stdout=subprocess.PIPE, text=True)
    out, _ = child.communicate(timeout=30)
    assert (child.returncode, out) == (7, f"{child.pid}\nNoNewPrivs:\t1\n")


def test_it_ends_by_the_signal_of_the_command() -> None:
    assert become(in_place([], shell("kill -TERM $$"))).status == -15


def test_limits_descriptors_and_capabilities_are_the_plans() -> None:
    inside: list[Op] = [
        ops.SetRlimit(U32(7), U64(40), U64(50)),
        ops.CloseFds(U32List(())),
        NOTHING,
        ops.SetNoNewPrivs(),
        ops.LoadFilter(U32(0), ALLOW),
    ]
    reading, writing = os.pipe()
    script = "ulimit -Sn; ulimit -Hn; grep -E 'CapEff|Seccomp:' /proc/self/status; ls /proc/self/fd | grep -c ."
    with os.fdopen(reading), os.fdopen(writing):
        done = launch(in_place(inside, shell(script)), with_record=False, fds=(writing,))
    assert done.out.split() == ["40", "50", "CapEff:", "0000000000000000", "Seccomp:", "2", "4"]


@needs("landlock>=2")
def test_landlock_is_entered_from_the_callers_own_root() -> None:
    read = 1 << 2 | 1 << 3 | 1
    inside: list[Op] = [
        ops.SetNoNewPrivs(),
        ops.LandlockCreate(U32(0), U64(read), U64(0), U64(0), U64(read), U64(read)),
        ops.LandlockPath(U32(0), Text("/usr"), U64(read)),
        ops.LandlockRestrict(U32(0), U32(0)),
    ]
    done = become(in_place(inside, ("/usr/bin/ls", "/usr", "/etc"), candidates=(os.path.realpath("/usr/bin/ls"),)))
    assert "bin" in done.out
    assert "/etc" not in done.out
    assert "Permission denied" in done.err


@pytest.mark.parametrize(
    ("command", "status"), [(("/nosuch",), 127), (("/etc/passwd",), 126)], ids=["not found", "not executable"]
)
def test_command_that_cannot_be_executed_is_told_by_number_and_status(command: tuple[str, ...], status: int) -> None:
    done = become(in_place([], command))
    assert (done.status, done.out) == (status, "")
    assert done.err.startswith("sandboxer-launch: command 0 (execve): errno ")


def test_step_that_fails_is_told_and_nothing_is_executed() -> None:
    done = become(in_place([ops.SetNoNewPrivs(), ops.LandlockRestrict(U32(3), U32(0))], shell("echo no")))
    assert (done.status, done.out) == (125, "")
    assert done.err == "sandboxer-launch: inside 1 (landlock_restrict): errno 9\n"


def test_lone_terminal_flag_is_no_plan_in_place() -> None:
    parts = in_place([ops.SetNoNewPrivs()])
    parts.flags = FLAG_TERMINAL
    assert "header" in refusal(parts)


@pytest.mark.parametrize("flags", [FLAG_IN_PLACE | FLAG_TERMINAL, 4, FLAG_IN_PLACE | 4])
def test_other_flags_are_refused(flags: int) -> None:
    parts = in_place([ops.SetNoNewPrivs()])
    parts.flags = flags
    assert "header" in refusal(parts)


@pytest.mark.parametrize(
    "op",
    [ops.SetIds(U32(0), U32(0), U32List(()), U32(0)), ops.MakePrivate(), ops.BecomeInit(), ops.Unshare(U64(0x10000000)),
     ops.SetUmask(U32(0)), ops.OpenDirectory(U32(0), Text("/"))],
    ids=lambda op: type(op).__name__,
)  # fmt: skip
def test_op_that_does_more_than_narrow_is_refused(op: Op) -> None:
    assert refusal(in_place([op], shell("echo no"))) != ""


@pytest.mark.parametrize("op", [ops.Start(U64(0)), ops.BecomeSubreaper()], ids=lambda op: type(op).__name__)
def test_nothing_stands_outside(op: Op) -> None:
    parts = plan([op], [ops.SetNoNewPrivs()], shell("echo no"))
    parts.flags = FLAG_IN_PLACE
    assert "before" in refusal(parts)
    parts = plan([], [], shell("echo no"), after=[ops.RemoveGroups()])
    parts.flags = FLAG_IN_PLACE
    assert "after" in refusal(parts)


def test_plan_without_a_start_is_still_refused_elsewhere() -> None:
    assert "header" in refusal(plan([], [ops.SetNoNewPrivs()], shell("echo no")))


def test_supervisor_that_waits_for_a_record_is_refused_with_one() -> None:
    done = launch(in_place([], shell("echo no")))
    assert (done.status, done.out) == (125, "")
    assert (done.record["outcome"], done.record["fail_list"], done.record["fail_errno"]) == (Outcome.SETUP_FAILED, 0, 9)
