"""A real systemd, and an ordinary user in a session that is not delegated: `exec` asks for a scope, and the limits hold there.

Only root can start it. systemd is pid 1 of a pid namespace, with a cgroup namespace of its own, as in a container; it starts the
user's own systemd. The user's commands run in a `session-N.scope` beside that, as after a login.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.live.needs import needs
from tests.live.users import ROOT
from tests.vm.suite.conftest import TREE

HOME = Path("/home/user")
PROJECT = HOME / "project"
RUNTIME = "/run/user/1000"
SLICE = TREE / "machine/user.slice/user-1000.slice"
START_S = 240.0  # emulated
PROFILE = """\
kind: profile
name: small
description: of a test
extends: [python]
limits: {memory: 40M, processes: 20, enforce: required}
"""
# pid 1 must be alone in its root group, or that gives no controllers: whoever waits for it stays outside.
BOOT = """
mount -t tmpfs -o mode=755 run /run
echo 0 > /sys/fs/cgroup/machine/cgroup.procs
exec unshare --cgroup sh -c 'umount -l /sys/fs/cgroup && mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup &&
  exec env container=other /lib/systemd/systemd --system --unit=basic.target'
"""
# Emulated, an answer of milliseconds takes longer than a start may wait.
EXEC = """\
import sys
from sandboxer.kernel.systemd import scope
scope.LIMIT_S = float(sys.argv.pop(1))
from sandboxer.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


HANG = """\
import os, socket, time
os.makedirs("/tmp/hangs/systemd")
made = socket.socket(socket.AF_UNIX)
made.bind("/tmp/hangs/systemd/private")
made.listen()
print("ready", flush=True)
time.sleep(1000)
"""


def eventually(fact: Callable[[], bool], limit_s: float = START_S) -> bool:
    """Poll until it holds."""
    until = time.monotonic() + limit_s
    while not (holds := fact()) and time.monotonic() < until:
        time.sleep(0.2)
    return holds


@dataclass(frozen=True)
class Systemd:
    """A systemd that runs. pid: its number here."""

    pid: int

    def words(self, *words: str) -> list[str]:
        """A command of root's, beside that systemd."""
        enter = f'echo 0 > {TREE}/machine/init.scope/cgroup.procs; exec nsenter -t {self.pid} -m -p -C -- "$@"'
        return ["sh", "-c", enter, "sh", *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.words(*words), capture_output=True, text=True, check=False)

    def session(self, *words: str, runtime: str = RUNTIME) -> subprocess.Popen[str]:
        """A command of the user's, in a session of its own."""
        number = os.urandom(4).hex()
        scope = (
            "systemd-run",
            "--quiet",
            "--scope",
            f"--unit=session-{number}",
            "--slice=user-1000.slice",
            "--uid=user",
            "--gid=user",
        )
        environment = (
            f"HOME={HOME}",
            f"XDG_RUNTIME_DIR={runtime}",
            "USER=user",
            "LOGNAME=user",
            "PATH=/usr/bin:/bin",
            "TERM=dumb",
        )
        command = f"cd {PROJECT} && exec {shlex.join(words)}"
        argv = self.words(*scope, "--", "env", "-i", *environment, "sh", "-c", command)
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def exec(self, *words: str, limit_s: float = 60, **options: Any) -> subprocess.Popen[str]:
        """`sandboxer exec` in such a session."""
        python = str(ROOT / ".venv/bin/python")
        return self.session(python, "-I", "-c", EXEC, str(limit_s), "exec", "-p", "small", *words, **options)

    def told(self, *argv: str, **options: Any) -> tuple[int, dict[str, Any], str]:
        """A run to its end: status, report, messages."""
        process = self.exec("--report", "-", "--", *argv, **options)
        out, err = process.communicate(timeout=300)
        return process.returncode, json.loads(out) if out else {}, err


@pytest.fixture(scope="module")
def systemd() -> Iterator[Systemd]:
    (TREE / "machine").mkdir()
    words = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-euc", BOOT]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as outer:
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
        assert eventually(lambda: bool(children.read_text().strip()))
        found = Systemd(int(children.read_text()))
        try:
            assert eventually(lambda: found.run("systemctl", "is-active", "basic.target").stdout == "active\n")
            assert found.run("systemctl", "start", "user@1000.service").returncode == 0
            profile = PROJECT / ".sandboxer/profiles/small.yaml"
            profile.parent.mkdir(parents=True)
            profile.write_text(PROFILE)
            shutil.chown(PROJECT, "user", "user")
            yield found
        finally:
            outer.kill()


def scopes() -> list[str]:
    """The scopes of ours that are there."""
    return [name for name in os.listdir(SLICE / "user@1000.service/app.slice") if "sandboxer" in name]


def plans() -> int:
    """How many entries the cache has: notes and plans."""
    return sum(path.is_file() for path in (HOME / ".cache/sandboxer/plans").rglob("*"))


@needs("root")
def test_memory_of_the_whole_box_is_limited_and_nothing_is_left(systemd: Systemd) -> None:
    """Cold: this session's group belongs to root, and a required limit would refuse the start."""
    status, report, err = systemd.told("python3", "-c", "grown = bytearray(100 << 20)")
    assert (status, report["reason"]) == (137, "oom"), err
    assert report["usage"]["oom_kills"] >= 1
    assert "memory: 40M, for the whole box (cgroup v2)" in [line["what"] for line in report["enforcement"]]
    assert eventually(lambda: scopes() == [], 20)
    assert plans() == 2


@needs("root")
def test_twin_that_needs_less_is_left_alone_and_comes_from_the_cache(systemd: Systemd) -> None:
    """Warm: each scope has another name, and the plan is the same."""
    for _ in range(2):
        status, report, err = systemd.told("sh", "-c", "exit 3")
        assert (status, report["reason"]) == (3, "exited"), err
    assert plans() == 2


@needs("root")
def test_two_at_once_have_a_scope_each(systemd: Systemd) -> None:
    runs = [systemd.exec("--", "sh", "-c", "sleep 3; echo done") for _ in range(3)]
    seen: set[str] = set()
    while any(run.poll() is None for run in runs):
        seen.update(scopes())
        time.sleep(0.1)
    assert [run.communicate()[0] for run in runs] == ["done\n"] * 3
    assert len(seen) == 3
    assert eventually(lambda: scopes() == [], 20)


@needs("root")
def test_command_is_moved_and_its_shell_is_not(systemd: Systemd) -> None:
    python, sandboxer = str(ROOT / ".venv/bin/python"), str(ROOT / ".venv/bin/sandboxer")
    script = f"cat /proc/self/cgroup; {python} {sandboxer} exec -p small -- true; cat /proc/self/cgroup"
    before, after = systemd.session("sh", "-c", script).communicate(timeout=300)[0].splitlines()
    assert before == after
    assert "/user-1000.slice/session-" in before


@needs("root")
def test_bus_that_hangs_refuses_in_time_and_says_so(systemd: Systemd) -> None:
    """A socket of the user's, on which nobody answers; what a profile does not require is weakened instead."""
    with systemd.session("python3", "-c", HANG) as listener:
        assert listener.stdout is not None
        assert listener.stdout.readline() == "ready\n"
        status, report, err = systemd.told("true", runtime="/tmp/hangs", limit_s=1)
        assert (status, report["reason"]) == (125, "setup_failed")
        assert "the user's systemd was asked for a group: it did not answer in time" in err
        assert "systemd-run --user --scope" in err
        listener.kill()
