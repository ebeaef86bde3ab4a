"""The limit of what a command writes: to a pipe, a file, a terminal; whole up to the limit, and nothing changed below it."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.live.boxes import Box

LINES = "for number in range({count}): print(f'{{number:07}}')"


def told(box: Box, limit: str, code: str) -> tuple[subprocess.CompletedProcess[str], str]:
    box.profile(f"limits: {{output: {limit}, wall: 60s}}")
    done, report = box.told(*box.python(code))
    reason: str = report["reason"]
    return done, reason


def test_command_that_writes_too_much_is_ended_and_the_first_part_is_whole(box: Box) -> None:
    done, reason = told(box, "100K", "while True: print('y' * 99)")
    assert (done.returncode, reason, len(done.stdout)) == (137, "output_limit", 100 << 10)
    assert set(done.stdout.splitlines()[:1000]) == {"y" * 99}
    assert "wrote more to its outputs than it may" in done.stderr


def test_command_that_writes_as_much_as_it_may_is_left_alone(box: Box) -> None:
    done, reason = told(box, "80K", LINES.format(count=10240))
    assert (done.returncode, reason, len(done.stdout)) == (0, "exited", 80 << 10)
    assert done.stdout.endswith("0010239\n")


def test_nothing_at_all_may_be_written(box: Box) -> None:
    assert told(box, "0", "print('x')")[1] == "output_limit"
    assert told(box, "0", "pass")[1] == "exited"


def test_both_outputs_count_together(box: Box) -> None:
    both = "print('x' * 6000, flush=True)\nsys.stderr.write('y' * 6000)"
    assert told(box, "10000", both)[1] == "output_limit"
    assert told(box, "20000", both)[1] == "exited"


def test_outputs_that_go_to_one_place_keep_their_order(box: Box, tmp_path: Path) -> None:
    box.profile("limits: {output: 1M}")
    script = "for n in 1 2 3 4 5; do echo out $n; echo err $n >&2; done"
    with (tmp_path / "both").open("w") as file:
        subprocess.run(
            box.words(["sh", "-c", script], ["--quiet"]),
            cwd=box.place,
            env=box.person.environment(None),
            stdout=file,
            stderr=file,
        )
    assert (tmp_path / "both").read_text() == "".join(f"out {n}\nerr {n}\n" for n in range(1, 6))


def test_reader_that_goes_away_is_met_as_without_a_limit(box: Box) -> None:
    box.profile("limits: {output: 1G, wall: 60s}")
    process = subprocess.Popen(box.words(["yes"]), cwd=box.place, env=box.person.environment(None), stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.read(2) == b"y\n"
    process.stdout.close()
    assert process.wait(30) == 128 + signal.SIGPIPE


def test_slow_reader_gets_everything(box: Box) -> None:
    box.profile("limits: {output: 1G, wall: 60s}")
    process = subprocess.Popen(
        box.words(["head", "-c", "300000", "/dev/zero"]), cwd=box.place, env=box.person.environment(None), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    time.sleep(1)
    assert len(process.stdout.read()) == 300_000
    assert process.wait(30) == 0


def _pair(kind: str) -> tuple[int, int]:
    if kind == "pipe":
        return os.pipe()
    if kind == "terminal":
        return pty.openpty()
    ours, theirs = socket.socketpair()
    return ours.detach(), theirs.detach()


def start_into(box: Box, kind: str, script: str) -> tuple[subprocess.Popen[bytes], int]:
    """Start a shell script whose output goes there; the process, and the end at which it comes out."""
    ours, theirs = _pair(kind)
    words = box.words(["sh", "-c", script], ["--quiet"])
    process = subprocess.Popen(words, cwd=box.place, env=box.person.environment(None), stdout=theirs)
    os.close(theirs)
    return process, ours


# An output that the ordinary user may not open again is the caller's own description: a write to it may wait. The single byte
# ahead keeps what follows from filling it exactly.
@pytest.mark.parametrize("kind", ["pipe", "socket", "terminal"])
def test_reader_that_takes_nothing_does_not_stop_the_clock(box: Box, kind: str) -> None:
    box.profile("limits: {output: 1G, wall: 1s, grace: 0}")
    process, ours = start_into(box, kind, "printf x; sleep 0.2; exec yes")
    try:
        assert process.wait(60) == 124
    finally:
        process.kill()
        os.close(ours)


@pytest.mark.parametrize("kind", ["pipe", "socket", "terminal"])
def test_description_of_the_callers_gets_everything(box: Box, kind: str) -> None:
    box.profile("limits: {output: 1G, wall: 60s}")
    process, ours = start_into(box, kind, "printf x; seq 30000")
    got = bytearray()
    while True:
        try:
            chunk = os.read(ours, 4096)
        except OSError:
            break
        if not chunk:
            break
        got += chunk
    os.close(ours)
    assert process.wait(30) == 0
    assert got.replace(b"\r", b"") == b"x" + b"".join(b"%d\n" % number for number in range(1, 30001))


@pytest.mark.parametrize(("limit", "status"), [("1K", 137), ("1M", 0)])
def test_terminal_of_its_own_is_counted_too(box: Box, limit: str, status: int) -> None:
    box.profile(f"limits: {{output: {limit}}}")
    master, slave = pty.openpty()
    words = box.words(["sh", "-c", "tty; head -c 5000 /dev/zero | tr '\\0' x"], ["--tty", "--quiet"])
    process = subprocess.Popen(words, cwd=box.place, env=box.person.environment(None), stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    got = b""
    while True:
        try:
            chunk = os.read(master, 4096)
        except OSError:
            break
        if not chunk:
            break
        got += chunk
    os.close(master)
    assert (process.wait(30), b"/dev/pts/" in got) == (status, True)
    assert (got.count(b"x") == 5000) == (status == 0)


def test_terminal_that_finds_no_memory_is_a_fault_of_the_set_up(box: Box) -> None:
    """Whatever the launcher cannot have, it says so and lives."""
    box.profile()
    plan = box.place / "tty.plan"
    words = [str(box.installation.command), "compile", "-p", "box", "--tty", "-o", str(plan), "--", "true"]
    subprocess.run([*box.person.prefix, *words], cwd=box.place, env=box.person.environment(None), check=True)
    launcher = box.installation.package / "launcher/bin/sandboxer-launch"
    told = {}
    for kib in range(256, 1024, 16):
        limit = f"--as={kib << 10}:unlimited"
        done = subprocess.run(
            [*box.person.prefix, "prlimit", limit, str(launcher), "--plan", str(plan)],
            cwd=box.place,
            capture_output=True,
            text=True,
        )
        told[kib] = (done.returncode, done.stderr)
        if not done.returncode:
            break
    faults = [text for status, text in told.values() if status]
    assert any("(open_terminal): errno 12" in text for text in faults), told
    assert not [kib for kib, (status, text) in told.items() if status not in (0, 125) and kib > _first_told(told)]


def _first_told(told: dict[int, tuple[int, str]]) -> int:
    """The first limit at which the launcher itself could start."""
    return next(kib for kib, (_, text) in told.items() if "sandboxer-launch:" in text)


def test_box_without_a_limit_has_the_callers_own_outputs(box: Box, tmp_path: Path) -> None:
    box.profile()
    with (tmp_path / "out").open("w") as file:
        words = box.words(["sh", "-c", "test -f /dev/stdout && echo file"])
        subprocess.run(words, cwd=box.place, env=box.person.environment(None), stdout=file)
    assert (tmp_path / "out").read_text() == "file\n"
