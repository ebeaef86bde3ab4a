"""What a box really loaded: the filters of its command, read back out of the kernel, are those of the plan."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandboxer.compile.encode import decode_ops
from sandboxer.kernel.bpf import read_filters
from sandboxer.kernel.proc import find_text, parse_status
from sandboxer.model.op import LoadFilter
from sandboxer.verify.simulate import Call, run_stack
from tests.live.boxes import Box
from tests.live.leaks import descendants
from tests.live.needs import needs

COMMAND = ("sh", "-c", "echo here; read line; mkdir /tmp/made; echo $?")
INSIDE_PID = "2"  # pid 1 is the box's own init
MOUNT, SCHED_YIELD = 165, 24
LAYERED = """\
seccomp: {deny: [{socket: {family: AF_NETLINK}}], errno: {ENOENT: [mount]}}
restrict:
  - {seccomp: {deny: [sched_yield]}}
  - {seccomp: {allow: ['@application']}}
"""


def planned(box: Box, profile: str) -> tuple[bytes, ...]:
    """The filters of the plan, in the order of its ops."""
    where = box.person.directory(f"plan-{os.urandom(4).hex()}") / "plan"
    words = [str(box.installation.command), "compile", "--profile", profile, "-o", str(where), "--", *COMMAND]
    done = box.person.run(words, cwd=box.place)
    assert done.returncode == 0, done.stderr
    return tuple(bytes(op.program) for op in decode_ops(where.read_bytes())["inside"] if isinstance(op, LoadFilter))


def status_of(pid: int) -> dict[str, str]:
    return parse_status(find_text(f"/proc/{pid}/status") or "")


def pid_inside(pid: int) -> str:
    """The pid that a process has in its own pid namespace, where that is not ours."""
    numbers = status_of(pid).get("NSpid", "").split()
    return numbers[-1] if len(numbers) > 1 else ""


@contextmanager
def running(words: Sequence[str | Path], box: Box) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A box whose command has said that it runs: the front, and the command's pid outside."""
    with box.person.start(words, cwd=box.place) as front:
        try:
            assert front.stdout is not None
            assert front.stdout.readline() == b"here\n", front.stderr and front.stderr.read()
            (command,) = [pid for pid in descendants(front.pid) if pid_inside(pid) == INSIDE_PID]
            yield front, command
        finally:
            if front.returncode is None:
                front.communicate(b"\n", timeout=60)


@needs("root", "x86_64")
@pytest.mark.parametrize(
    ("profile", "text"),
    [("box", ""), ("box", LAYERED), ("box", "seccomp: {log: true}"), ("default", ""), ("strict", "")],
    ids=["plain", "layered", "logged", "default", "strict"],
)
def test_filters_of_the_command_are_those_of_the_plan(box: Box, profile: str, text: str) -> None:
    box.profile(text)
    expected = planned(box, profile)
    sandboxer = [str(box.installation.command), "exec", "--profile", profile, "--", *COMMAND]
    with running(sandboxer, box) as (_, command):
        found = read_filters(command)
        assert [len(item) for item in found] == [len(item) for item in expected]
        assert found == expected
        status = status_of(command)
        assert (status["Seccomp"], int(status["Seccomp_filters"])) == ("2", len(expected))


@needs("root", "x86_64")
def test_box_goes_on_after_it_was_read(box: Box) -> None:
    box.profile()
    with running([str(box.installation.command), "exec", "--profile", "box", "--", *COMMAND], box) as (front, command):
        assert read_filters(command)
        output, _ = front.communicate(b"\n", timeout=60)
    assert (output, front.returncode) == (b"0\n", 0)


@needs("root", "x86_64")
def test_what_was_read_back_refuses_and_allows_as_the_profile_says(box: Box) -> None:
    """The layered profile with its twin: the filters that a box has, asked in the simulator."""
    answers = []
    for text in ("", LAYERED):
        box.profile(text)
        with running([str(box.installation.command), "exec", "--profile", "box", "--", *COMMAND], box) as (_, command):
            stack = read_filters(command)
        answers.append([run_stack(stack, Call(number)).errno for number in (SCHED_YIELD, MOUNT, 0)])
    assert answers == [[0, 1, 0], [1, 2, 0]]
