"""Many boxes at once and many one after another: each does its work, and nothing of any stays."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Sequence

from tests.live.boxes import Box
from tests.live.leaks import adopt_orphans, read_traces, wait_until_gone

LIMITS = "limits: {memory: 64M, processes: 16, cpus: 200%, enforce: best_effort}"
AT_ONCE, SHORT, WORKERS, ROUNDS = 60, 200, 8, 500


def saved(box: Box, name: str, *command: str) -> list[str]:
    """The words that run a saved plan, without Python."""
    box.profile(LIMITS)
    plan = box.place / name
    words = [*box.person.prefix, str(box.installation.command), "compile", "-p", "box", "-o", str(plan), "--", *command]
    subprocess.run(words, cwd=box.place, env=box.person.environment(None), check=True)
    return [*box.person.prefix, str(box.installation.package / "launcher/bin/sandboxer-launch"), "--plan", str(plan)]


def start(box: Box, words: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(words, cwd=box.place, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_many_boxes_live_at_once_and_leave_nothing(box: Box) -> None:
    words = saved(box, "cat.plan", "cat")
    adopt_orphans()
    before = read_traces()
    running = [start(box, words) for _ in range(AT_ONCE)]
    outputs = []
    for number, process in enumerate(running):
        assert process.stdin is not None
        process.stdin.write(f"box {number}\n")
    for process in running:
        outputs.append(process.communicate(timeout=120)[0])
    assert [process.returncode for process in running] == [0] * AT_ONCE
    assert outputs == [f"box {number}\n" for number in range(AT_ONCE)]
    assert wait_until_gone(before) == []


def test_many_boxes_that_are_killed_at_once_leave_nothing(box: Box) -> None:
    words = saved(box, "sleep.plan", "sh", "-c", "echo ready; sleep 1000")
    adopt_orphans()
    before = read_traces()
    running = [start(box, words) for _ in range(AT_ONCE)]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
    for process in running:
        process.communicate(timeout=120)
    assert {process.returncode for process in running} == {143}
    assert wait_until_gone(before) == []


def test_many_boxes_one_after_another_leave_nothing(box: Box) -> None:
    """The shell has eight workers, so that what is counted is not ours."""
    words = " ".join(map(_quoted, saved(box, "true.plan", "true")))
    worker = f"n=0; while [ $n -lt {SHORT // WORKERS} ]; do {words} || echo failed; n=$((n + 1)); done"
    script = "\n".join(f"( {worker} ) &" for _ in range(WORKERS)) + "\nwait"
    before = read_traces()
    done = subprocess.run(["sh", "-c", script], cwd=box.place, capture_output=True, text=True, timeout=300)
    assert (done.stdout, done.stderr) == ("", "")
    assert wait_until_gone(before) == []


def test_launchers_that_are_killed_at_any_moment_leave_nothing_after_the_next_start(box: Box) -> None:
    """A group that was made a moment before, a box in the middle of its set-up, one that runs, one that ends."""
    words = saved(box, "short.plan", "sh", "-c", "sleep 0.002")
    adopt_orphans()
    before = read_traces()
    chance = random.Random(7)
    for _ in range(ROUNDS):
        process = subprocess.Popen(words, cwd=box.place)
        time.sleep(chance.uniform(0, 0.012))
        process.kill()
        process.wait()
    assert wait_until_gone(before, limit_s=30, next_start=lambda: subprocess.run(words, cwd=box.place, check=True)) == []


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"
