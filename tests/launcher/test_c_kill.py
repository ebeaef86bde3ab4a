"""outside/kill.c: the end of a box without a pid namespace, by each of the ways in which a group can be killed."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest

from sandboxer.controls.process import find_roster
from sandboxer.launcher.record import Outcome
from sandboxer.model import op as ops
from sandboxer.model.op import U32, U64, Op, Text
from tests.launcher.groups import groups, make, nothing_left, tree, v1
from tests.launcher.plans import Ended, launch, plan, shell
from tests.launcher.test_c_init import eventually, is_gone
from tests.launcher.test_c_monitor import clock, supervised
from tests.live.needs import needs, this_host

__all__ = ["nothing_left"]

pytestmark = pytest.mark.usefixtures("nothing_left")
WAYS = {
    "kill": ("cgroup.kill", "1"),
    "freeze": ("cgroup.freeze", "1"),
    "list alone": ("cgroup.type", "domain"),
    "no more": ("pids.max", "0"),
}
SLEEPER = "setsid sleep 1000 < /dev/null > /dev/null 2>&1 & "
# It adopts its own orphans, so none of them ever comes to the monitor; and the last of them says who it is.
KEEPER = """
import ctypes, os, signal, time
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork():
            os._exit(0)
        time.sleep(1000)
print(os.getpid(), flush=True)
time.sleep(1000)
"""


def killing(way: str) -> tuple[list[Op], list[Op]]:
    """What goes before and inside, for a box that is killed in this way."""
    file, text = WAYS[way]
    op, number = v1("pids") if way == "no more" else (make(), 0)
    before: list[Op] = [op, ops.KillByGroup(U32(number), Text(file), Text(text)), ops.BecomeSubreaper(), ops.Start(U64(0))]
    return before, [ops.EnterGroups()]


def run(way: str, argv: tuple[str, ...], *more: Op) -> Ended:
    before, inside = killing(way)
    return launch(plan([*more, *before], inside, argv, after=[ops.RemoveGroups()]))


def living(word: str) -> list[str]:
    """The processes that have this word on their command line."""
    found = []
    for entry in os.scandir("/proc"):
        try:
            if entry.name.isdigit() and word.encode() in Path(entry.path, "cmdline").read_bytes():
                found.append(entry.name)
        except OSError:
            continue
    return found


@needs("v1 groups", "device programs")
@pytest.mark.parametrize("way", WAYS)
def test_what_the_command_leaves_is_killed_and_its_group_removed(way: str) -> None:
    ended = run(way, shell(f"{SLEEPER}{SLEEPER}echo $!"))
    assert (ended.status, ended.record["after_errno"]) == (0, 0)
    assert not os.path.exists(f"/proc/{ended.out.strip()}")


@needs("v1 groups", "device programs")
@pytest.mark.parametrize("way", WAYS)
def test_what_never_comes_to_the_monitor_is_killed_too(way: str) -> None:
    word = f"keeper{os.urandom(6).hex()}"
    ended = run(way, ("/usr/bin/python3", "-I", "-S", "-c", KEEPER, word), clock(700))
    assert (ended.record["outcome"], ended.record["after_errno"], living(word)) == (Outcome.WALL_TIMEOUT, 0, [])


@needs("v1 groups", "device programs")
def test_command_that_leaves_nothing_ends_as_always() -> None:
    for way in WAYS:
        assert run(way, shell("exit 7")).status == 7


@needs("v1 groups", "device programs")
@pytest.mark.parametrize("way", WAYS)
def test_processes_of_another_box_and_of_the_caller_live_on(way: str) -> None:
    before, inside = killing(way)
    sleeper = subprocess.Popen(["sleep", "1000"])
    with supervised(plan(before, inside, shell("echo ready; sleep 1000"), after=[ops.RemoveGroups()]).bytes()) as other:
        other.read_ready()
        assert run(way, shell(f"{SLEEPER}true")).status == 0
        assert (other.process.poll(), sleeper.poll()) == (None, None)
        os.write(other.control, b"k")
        assert other.record()["after_errno"] == 0
    assert sleeper.poll() is None
    sleeper.kill()
    sleeper.wait()


@needs("device programs")
def test_orphans_of_a_killed_launcher_are_ended_by_the_next_one() -> None:
    """Nobody is left who knows them, but their group has the name of a launcher that is gone."""
    before, inside = killing("kill")
    script = f"{SLEEPER}echo ready; echo $! >&2; wait"
    with supervised(plan(before, inside, shell(script), after=[ops.RemoveGroups()]).bytes()) as one:
        one.read_ready()
        assert one.process.stderr is not None
        orphan = one.process.stderr.readline().strip()
        one.process.kill()
        one.process.wait(20)
    assert not is_gone(int(orphan))
    left = groups()
    assert eventually(lambda: run("kill", shell("true")).status == 0 and is_gone(int(orphan)))
    assert eventually(lambda: run("kill", shell("true")).status == 0 and not set(left) & set(groups()))


@needs("device programs")
def test_group_that_was_never_made_is_refused() -> None:
    wrong = ops.KillByGroup(U32(3), Text("cgroup.kill"), Text("1"))
    ended = launch(plan([wrong, ops.Start(U64(0))], [], shell("echo ran")))
    assert (ended.out, ended.record["fail_op"], ended.record["fail_errno"]) == ("", ops.KillByGroup.TAG, errno.EBADF)


@needs("device programs")
def test_roster_of_this_machine_is_one_that_its_kernel_has() -> None:
    found = find_roster(this_host())
    assert found is not None
    script = f"cd {tree()}$(sed -n s/^0:://p /proc/self/cgroup) && ls {found[1].file}"
    ended = launch(plan([make(), ops.Start(U64(0))], [], shell(script), after=[ops.RemoveGroups()]))
    assert (found[1].group, ended.out) == (0, f"{found[1].file}\n")
