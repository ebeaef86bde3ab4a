"""`sandboxer top` shows living boxes with what they use, to whoever may see them, and ends at Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.live.boxes import Box
from tests.live.needs import this_host

GROWN = "held = bytearray(30 << 20)\nprint('ready', flush=True)\nsys.stdin.readline()"


@contextmanager
def living(box: Box) -> Iterator[int]:
    """A box with 30 MiB; the pid of its monitor."""
    box.profile("limits: {memory: 128M, processes: 20, enforce: best_effort}")
    words = box.words(box.python(GROWN), ["--quiet"])
    process = subprocess.Popen(
        words, cwd=box.place, env=box.person.environment(None), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    try:
        yield process.pid
    finally:
        process.communicate(b"\n", timeout=60)


def top(box: Box, *options: str) -> subprocess.CompletedProcess[str]:
    words = [*box.person.prefix, str(box.installation.command), "top", *options]
    return subprocess.run(words, cwd=box.place, env=box.person.environment(None), capture_output=True, text=True, timeout=60)


def test_living_box_is_shown_with_what_it_uses(box: Box) -> None:
    with living(box) as front:
        found = json.loads(top(box, "--json", "--once").stdout)
        (mine,) = [one for one in found if one["front"][-1].endswith(GROWN) and _is_below(one["monitor"], front)]
        assert (mine["uid"], mine["processes"]) == (box.person.uid, 1)
        assert mine["rss_bytes"] >= 30 << 20
        has_group = this_host().hierarchy_of("memory") is not None and box.person.uid == os.geteuid()
        assert (mine["memory_bytes"] is not None) == has_group
        assert (mine["memory_bytes"] or 30 << 20) >= 30 << 20
        assert str(mine["monitor"]) in top(box, "--once").stdout
    assert all(one["monitor"] != mine["monitor"] for one in json.loads(top(box, "--json", "--once").stdout))


def _is_below(pid: int, front: int) -> bool:
    with open(f"/proc/{pid}/stat") as file:
        parent = int(file.read().rpartition(")")[2].split()[1])
    return parent == front or (parent > 1 and _is_below(parent, front))


def test_interrupt_ends_it_well(box: Box) -> None:
    words = [*box.person.prefix, str(box.installation.command), "top", "--json", "--interval", "100ms"]
    process = subprocess.Popen(
        words, cwd=box.place, env=box.person.environment(None), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    for _ in range(2):
        json.loads(process.stdout.readline())
    os.kill(process.pid, signal.SIGINT)
    assert process.communicate(timeout=60)[1] == b""
    assert process.returncode == 0


def test_words_and_times_that_make_no_sense_are_refused(box: Box) -> None:
    assert (top(box, "more").returncode, top(box, "--interval", "5").returncode, top(box, "--interval", "1ms").returncode) == (
        2,
        2,
        2,
    )
    assert "a duration needs a unit" in top(box, "--interval", "5").stderr
