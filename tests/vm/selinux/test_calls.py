"""Calls in boxes of a domain: they return, fail as what was refused, and leave nothing when their boxes are killed."""

from __future__ import annotations

import json
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.live.boxes import Box
from tests.vm.selinux.labelled import AS_ORDINARY, GENERATE, OTHER, PROJECT, domain_and_pair, relabel, write_profile

JOBS = """
import os, signal
from sandboxer import sandboxed

def label() -> str:
    return open("/proc/self/attr/current").read().strip("\\0\\n")

def text(path: str) -> str:
    return open(path).read()

def waits() -> None:
    open("started", "w").close()
    signal.pause()

def dies() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
"""
HEAD = """
import atexit, json, os, signal, sys
import sandboxer, jobs
from sandboxer import Pool, Stocking
def boxed(pool, function): return sandboxer.sandboxed(pool=pool)(function)
def outcome(call, *given):
    try:
        return call(*given)
    except Exception as error:
        return [kind.__name__ for kind in type(error).mro()], str(error)
seen = {}
atexit.register(lambda: print(json.dumps(seen)))
"""


def write_caller(box: Box, code: str) -> None:
    """A program that calls, and the functions."""
    box.write("jobs.py", JOBS)
    box.write("calls.py", HEAD + textwrap.dedent(code))


def look(box: Box, code: str) -> dict[str, Any]:
    """Run a caller of boxes as the person, in the project; what it put into `seen`."""
    write_caller(box, code)
    return run_caller(box)


def run_caller(box: Box) -> dict[str, Any]:
    """Run the caller that is there."""
    done = box.person.run([box.installation.python, "calls.py"], cwd=box.place, env={"PYTHONDONTWRITEBYTECODE": "1"})
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def calling(project: Box, module: str) -> Box:
    """The project, with a profile for calls: it is the labelled one, so that the module is the same."""
    write_profile(project, "plain", PROJECT)
    return project


def test_call_returns_from_the_domain_and_fails_as_what_was_refused(calling: Box, module: str) -> None:
    for kind in ("user_home_t", "sandboxer_file_t"):
        relabel(calling.write(kind, "text\n"), kind)
    code = """
        for profile in ("labelled", "plain"):
            with Pool(profile) as pool:
                label, text = boxed(pool, jobs.label), boxed(pool, jobs.text)
                seen[profile] = [label(), *(outcome(text, kind) for kind in ("sandboxer_file_t", "user_home_t"))]
                seen[f"{profile} image"] = pool.stats().from_image
    """
    seen = look(calling, code)
    label, own, other = seen["labelled"]
    assert domain_and_pair(label)[0] == f"{module}_t"
    assert own == "text\n"
    assert "PermissionError" in other[0], other
    assert seen["plain"][1:] == ["text\n", "text\n"]
    assert ":unconfined_t:" in seen["plain"][0]
    assert (seen["labelled image"], seen["plain image"] > 0) == (0, True)


@AS_ORDINARY
def test_call_whose_module_is_not_loaded_is_refused_with_the_command(calling: Box) -> None:
    write_profile(calling, "unloaded", OTHER, GENERATE)
    seen = look(calling, 'seen["outcome"] = outcome(sandboxer.sandboxed(profile="unloaded")(jobs.label))')
    name, said = seen["outcome"]
    assert name[0] == "UnsupportedError"
    assert "the module is not loaded" in said
    assert "try: sandboxer export selinux unloaded > sandboxer_" in said


def test_pool_whose_boxes_are_killed_answers_on_and_leaves_nothing(calling: Box, module: str) -> None:
    """In a call the function dies of itself, or somebody kills the launcher, pid 1 or the interpreter."""
    code = """
        import time
        from pathlib import Path
        def child(pid):  # the newest, whichever thread has started it
            found = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
            return max(int(one) for part in found for one in part)
        started = Path("started")
        with Pool("labelled") as pool:
            label, dies, waits = (boxed(pool, one) for one in (jobs.label, jobs.dies, jobs.waits))
            seen["labels"], seen["died"] = [label()], [outcome(dies)]
            for depth in (1, 2, 3):
                running = waits.submit()
                while not started.exists():
                    time.sleep(0.01)
                started.unlink()
                victim = os.getpid()
                for _ in range(depth):
                    victim = child(victim)
                os.kill(victim, signal.SIGKILL)
                seen["died"].append(outcome(running.result))
                seen["labels"].append(label())
    """
    write_caller(calling, code)
    with calling.leaves_nothing():
        seen = run_caller(calling)
    of_itself, launcher, init, command = (outcome[0] for outcome in seen["died"])
    assert "ProcessDied" in of_itself, seen
    assert "ProcessDied" in command, seen
    assert "SandboxerError" in launcher, seen
    assert "SandboxerError" in init, seen
    labels = seen["labels"]
    assert {domain_and_pair(label)[0] for label in labels} == {f"{module}_t"}
    assert len({domain_and_pair(label)[1] for label in labels}) == len(labels) == 4
    assert "@sandboxer/categories/" not in Path("/proc/net/unix").read_text()


@AS_ORDINARY
def test_call_of_a_killed_caller_leaves_nothing(calling: Box, module: str) -> None:
    write_caller(
        calling,
        "boxed(Pool('labelled'), jobs.label)(); print('ready', flush=True); boxed(Pool('labelled'), jobs.waits)()",
    )
    with calling.leaves_nothing():
        words = [*calling.person.prefix, calling.installation.python, "calls.py"]
        environment = calling.person.environment({"PYTHONDONTWRITEBYTECODE": "1"})
        with subprocess.Popen(
            words, cwd=calling.place, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        ) as started:
            assert started.stdout is not None
            assert started.stdout.readline() == "ready\n"
            started.kill()
            started.wait()
    assert "@sandboxer/categories/" not in Path("/proc/net/unix").read_text()
