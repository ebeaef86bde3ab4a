"""Processes of one domain with different categories, where SELinux is the only wall: one user, and pids in sight.

A box in a domain has pids of its own. So its neighbour is played by a process outside, in the domain that the box's command has:
what that one may not do, no command of another box could, whatever way it found to the host's processes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.live.boxes import Box
from tests.live.leaks import descendants
from tests.vm.selinux.labelled import AS_ORDINARY, GENERATE, PROJECT, denials, write_profile

ROOT_RULES = "(allow {domain} root_t (dir (getattr search)))(allow {domain} root_t (lnk_file (getattr read)))"
"""A box has a root of its own, which is of its own type. The neighbour's is the host's."""
TRACED = Path("/proc/sys/kernel/yama/ptrace_scope")
NEIGHBOUR = """
import ctypes, os, signal, sys
pid = int(sys.argv[1])
PTRACE_SEIZE = 0x4206
libc = ctypes.CDLL(None, use_errno=True)

def trace():
    if libc.ptrace(PTRACE_SEIZE, pid, None, None):
        raise OSError(ctypes.get_errno(), "ptrace")

def read(name):
    return lambda: open(f"/proc/{pid}/{name}", "rb").read(1)

tries = {
    "list": lambda: os.listdir(f"/proc/{pid}"), "status": read("status"), "cmdline": read("cmdline"), "environ": read("environ"),
    "maps": read("maps"), "link": lambda: os.readlink(f"/proc/{pid}/exe"),
    "memory": lambda: open(f"/proc/{pid}/mem", "r+b").close(), "limits": lambda: os.sched_getaffinity(pid),
    "group": lambda: os.getpgid(pid), "look": lambda: os.kill(pid, 0),
    "signal": lambda: os.kill(pid, signal.SIGWINCH), "trace": trace, "kill": lambda: os.kill(pid, signal.SIGKILL),
}
for name, call in tries.items():
    try:
        call()
        print(name)
    except OSError:
        pass
print("end")
"""
EVERY = [
    "list", "status", "cmdline", "environ", "maps", "link", "memory", "limits", "group", "look", "signal", "trace", "kill", "end",
]  # fmt: skip

WAIT = ["sh", "-c", "echo ready; exec sleep 1000"]
MEMORY = ("environ", "maps", "link", "memory", "trace")


@pytest.fixture
def traceable() -> Iterator[None]:
    """Yama lets a process be traced by its ancestors alone, which is another wall."""
    before = TRACED.read_text()
    TRACED.write_text("0")
    yield
    TRACED.write_text(before)


@pytest.fixture(scope="module")
def neighbourly(module: str) -> Iterator[None]:
    """The domain may pass the root of the host."""
    path = Path("/tmp/neighbourly.cil")
    path.write_text(ROOT_RULES.format(domain=f"{module}_t"))
    subprocess.run(["semodule", "-i", path], check=True, capture_output=True)
    yield
    subprocess.run(["semodule", "-r", "neighbourly"], check=True, capture_output=True)


@contextmanager
def running(box: Box, words: list[str]) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A command that waits, in a box or without one, and the pid on the host of what it becomes."""
    with subprocess.Popen(
        words, cwd=box.place, env=box.person.environment(),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as started:  # fmt: skip
        assert started.stdout is not None
        try:
            assert started.stdout.readline() == "ready\n"
            yield started, find_sleeper(started.pid)
        finally:
            started.kill()


def find_sleeper(root: int) -> int:
    """The process below that one, or itself, which has become `sleep`: it may still be about to."""
    while True:
        for pid in (root, *descendants(root)):
            if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sleep\0"):
                return pid


def in_domain(box: Box, module: str, pair: str) -> list[str]:
    """Words ahead of a command that put it into the domain of a box, without the box."""
    return [*box.person.prefix, "runcon", "-t", f"{module}_t", "-l", f"s0:{pair}"]


def neighbour(box: Box, module: str, pair: str, pid: int) -> list[str]:
    """What a process of the same user, domain and host gets done to another one."""
    words = [*in_domain(box, module, pair), os.path.realpath(sys.executable), "-I", "-S", "-c", NEIGHBOUR, str(pid)]
    done = subprocess.run(words, cwd="/", env=box.person.environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@AS_ORDINARY
def test_process_of_another_pair_can_do_nothing_and_one_of_the_same_pair_everything(
    project: Box, module: str, traceable: None, neighbourly: None
) -> None:
    with running(project, [*in_domain(project, module, "c1,c2"), *WAIT]) as (started, pid):
        for pair in ("c2,c3", "c1,c3", "c3,c4"):
            assert neighbour(project, module, pair, pid) == ["end"]
            assert started.poll() is None
        for permission in ("signal", "sigkill", "ptrace", "search"):
            assert denials(f"{{ {permission} }}", f"{module}_t:s0:c2,c3", f"{module}_t:s0:c1,c2")
        assert neighbour(project, module, "c1,c2", pid) == EVERY
        assert started.wait() == -signal.SIGKILL


@AS_ORDINARY
def test_command_of_a_box_is_out_of_reach_for_another_pair_and_not_for_its_own(
    project: Box, module: str, traceable: None, neighbourly: None
) -> None:
    """Its memory is behind one more wall: it belongs to another user namespace, in which the domain has no capability."""
    with running(project, project.words(WAIT, profile="labelled")) as (started, pid):
        assert os.stat(f"/proc/{pid}").st_uid == project.person.uid
        pair = Path(f"/proc/{pid}/attr/current").read_text().rstrip("\0\n").split(":", 4)[4]
        for other in ("c1,c2", f"{pair.split(',')[0]},c1000"):
            assert neighbour(project, module, other, pid) == ["end"]
            assert started.poll() is None
        assert neighbour(project, module, pair, pid) == [name for name in EVERY if name not in MEMORY]
        assert started.wait() == 128 + signal.SIGKILL


@AS_ORDINARY
def test_domain_that_shares_the_hosts_pids_is_refused(project: Box) -> None:
    text = PROJECT.replace("filesystem: {{", "filesystem: {{proc: none, ")
    write_profile(project, "shared", text, f"namespaces: {{pid: host}}\nprocess: {{init: false}}\n{GENERATE}")
    assert "a label needs a reaper as pid 1" in project.refusal(profile="shared")
