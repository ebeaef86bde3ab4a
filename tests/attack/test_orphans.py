"""What a command leaves behind ends with it, and what is sent to the front arrives at the command: once, and no more."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attack.seats import Seat, children_of, eventually, init_of, is_living, monitor_of, name_of, take_report
from tests.live.leaks import adopt_orphans, descendants, read_traces, wait_until_gone


@pytest.fixture(autouse=True)
def watch(seat: Seat, actor: Path) -> Iterator[None]:
    """No process, mount or descriptor is left."""
    adopt_orphans()
    before = read_traces()
    yield
    assert wait_until_gone(before) == []


def begun(process: subprocess.Popen[bytes], word: bytes = b"ready") -> None:
    """The command has said that it runs."""
    assert process.stdout is not None
    assert process.stdout.readline().startswith(word)


def counted(out: bytes) -> dict[str, int]:
    """The signals that the actor has counted."""
    rows = (line.split() for line in out.decode().splitlines())
    return {row[0]: int(row[1]) for row in rows if row[0] not in ("ready", "done")}


# ── orphans ───────────────────────────────────────────────────────────────────────────────────────────────────────────

DAEMONS = {
    "background": "sleep 600 & echo out",
    "nohup": "nohup sleep 600 >/dev/null 2>&1 & echo out",
    "session": "setsid sleep 600 & echo out",
    "twice-forked": "(setsid sh -c 'trap \"\" HUP TERM INT; sleep 600 & sleep 600' &); echo out",
    "many": "./actor orphans 100 > /dev/null; echo out",
    "holding-the-streams": "./actor orphans 5; echo out",
    "stopped": "sleep 600 & kill -STOP $!; echo out",
}


@pytest.mark.parametrize("name", DAEMONS)
def test_process_in_the_background_does_not_outlive_the_command(seat: Seat, name: str) -> None:
    """Also one that holds the output open; the command's own status counts."""
    ended = seat.run(["sh", "-c", f"{DAEMONS[name]}; exit 3"])
    assert (ended.status, ended.reason) == (3, "exited")
    assert ended.out.endswith("out\n")


def test_process_in_the_background_lives_as_long_as_the_command(seat: Seat) -> None:
    """The twin: while the command runs, what it started runs too."""
    ended = seat.run(["sh", "-c", "(sleep 0.3; echo later > file) & sleep 1; cat file"])
    assert (ended.out, ended.status) == ("later\n", 0)


def test_orphan_is_the_child_of_pid_1(seat: Seat) -> None:
    script = "(sh -c 'sleep 0.2; ps -o ppid= -p $$ > parent' &) ; sleep 1; cat parent"
    assert seat.run(["sh", "-c", script]).out.strip() == "1"


def test_ten_thousand_children_leave_no_zombie(seat: Seat) -> None:
    """Half of them are orphans, which pid 1 must collect while the command goes on; 256 processes are all that there may be."""
    with seat.start(["sh", "-c", "./actor short-children 10000; read line"]) as process:
        begun(process, b"children 10000 ok")
        # The shell is left, and pid 1; a moment is what the last orphan may take.
        assert eventually(lambda: len(children_of(init_of(process.pid))) == 1)
        process.communicate(b"\n", timeout=60)
    assert process.returncode == 0


def test_zombies_of_the_command_itself_do_not_hold_up_the_end(seat: Seat) -> None:
    """It never waits for its children; they are gone with it."""
    script = "import os, time\nfor _ in range(50):\n    if os.fork() == 0: os._exit(0)\ntime.sleep(0.2)\nos._exit(4)"
    assert seat.run(["python3", "-c", script]).status == 4


# ── signals ───────────────────────────────────────────────────────────────────────────────────────────────────────────

FORWARDED = ("TERM", "INT", "HUP", "QUIT", "USR1", "USR2")


@pytest.mark.parametrize("name", FORWARDED)
def test_signal_to_the_front_reaches_the_command_exactly_once(seat: Seat, name: str) -> None:
    """The command catches it, counts, and goes on; so does the front."""
    with seat.start(["./actor", "signals", "300"]) as process:
        begun(process)
        process.send_signal(getattr(signal, f"SIG{name}"))
        out, err = process.communicate(timeout=60)
    assert (counted(out), process.returncode, err) == ({name: 1}, 0, b"")


def test_every_signal_that_is_sent_arrives(seat: Seat) -> None:
    """One after the other, so that the kernel does not merge two of a kind that wait."""
    with seat.start(["./actor", "signals", "1000"]) as process:
        begun(process)
        for name in FORWARDED * 3:
            process.send_signal(getattr(signal, f"SIG{name}"))
            time.sleep(0.05)
        out, _ = process.communicate(timeout=60)
    assert counted(out) == dict.fromkeys(FORWARDED, 3)


@pytest.mark.parametrize("name", FORWARDED)
def test_signal_that_the_command_does_not_catch_ends_it(seat: Seat, name: str) -> None:
    """Exit status 128 and the number, and a report that says which."""
    number = int(getattr(signal, f"SIG{name}"))
    report = seat.person.home / f"report-{name}.json"
    with seat.start(["sh", "-c", "echo ready; exec sleep 600"], options=["--report", report]) as process:
        begun(process)
        eventually(lambda: "sleep" in [name_of(pid) for pid in descendants(process.pid)])
        process.send_signal(number)
        process.communicate(timeout=60)
    assert process.returncode == 128 + number
    data = take_report(report)
    assert (data["reason"], data["signal"]) == ("signalled", number)


def test_signal_reaches_the_command_and_not_its_children(seat: Seat) -> None:
    """As without a box: whom it concerns is for the command to say."""
    script = "trap 'echo parent; exit 6' TERM; sh -c 'trap \"echo child\" TERM; sleep 600' & echo ready; wait"
    with seat.start(["sh", "-c", script]) as process:
        begun(process)
        process.terminate()
        out, _ = process.communicate(timeout=60)
    assert (out, process.returncode) == (b"parent\n", 6)


def test_second_interrupt_is_the_commands_too(seat: Seat) -> None:
    """Nobody gives up at the second: a command that tidies up at the first may take its time."""
    script = "trap 'trap \"echo second; exit 9\" INT; echo first' INT; echo ready; while :; do sleep 0.05; done"
    with seat.start(["sh", "-c", script]) as process:
        begun(process)
        process.send_signal(signal.SIGINT)
        begun(process, b"first")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (out, err, process.returncode) == (b"second\n", b"", 9)


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP"])
def test_signal_that_comes_early_ends_the_run_and_nothing_else(seat: Seat, name: str) -> None:
    """At any moment of the start: the front is ended by it, or the command is; it never runs on, and is never a lost launcher."""
    number = int(getattr(signal, f"SIG{name}"))
    for delay_ms in range(0, 120, 8):
        with seat.start(["sleep", "600"]) as process:
            if name == "INT":
                wait_for_our_code(process.pid)
            time.sleep(delay_ms / 1000)
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
        assert process.returncode in (-number, 128 + number), (delay_ms, err)
        assert b"lost" not in err


def wait_for_our_code(front: int) -> None:
    """CPython catches interrupts early, and drops one that comes in a callback of its own; the first line of ours ends that."""
    eventually(lambda: catches_interrupts(front), limit_s=0.3, pause_s=0)
    eventually(lambda: not catches_interrupts(front), limit_s=0.3, pause_s=0)


def catches_interrupts(pid: int) -> bool:
    """Whether a process has a handler for SIGINT. proc_pid_status(5), SigCgt."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    caught = next((int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:")), 0)
    return bool(caught >> (signal.SIGINT - 1) & 1)


def test_signal_the_moment_the_launcher_is_there_arrives(seat: Seat) -> None:
    """Between its first instruction and its first look at signals, the launcher must not be ended by one."""
    for _ in range(12):
        with seat.start(["sleep", "600"]) as process:
            assert eventually(lambda: monitor_of(process.pid), pause_s=0)
            process.terminate()
            _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (128 + 15, b"")


def test_signal_that_the_caller_ignores_is_ignored(seat: Seat) -> None:
    """As nohup has it: the hangup of a terminal is not for this run. Others still are."""
    words = seat.words(["./actor", "signals", "300"])
    with seat.person.start(["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *words], cwd=seat.place) as process:
        begun(process)
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGUSR1)
        out, _ = process.communicate(timeout=60)
    assert counted(out) == {"USR1": 1}


def test_stop_and_continue_of_the_front_do_not_end_the_box(seat: Seat) -> None:
    """A supervisor that is stopped is not lost."""
    with seat.start(["sh", "-c", "echo ready; sleep 0.5; exit 8"]) as process:
        begun(process)
        process.send_signal(signal.SIGSTOP)
        assert eventually(lambda: not any(name_of(pid) == "sh" for pid in descendants(process.pid)))
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=60)
    assert process.returncode == 8


def test_interrupt_of_a_pipeline_reaches_each_of_its_parts_once(seat: Seat) -> None:
    """A terminal sends it to the group of the pipeline. The launcher is in a group of its own; it has it from the front only."""
    words = seat.words(["./actor", "signals", "400"])
    script = '"$@" | sh -c "trap \\"echo reader\\" INT; cat; cat"'
    line = ["bash", "-c", f"set -m; {script}", "bash", *words]
    with subprocess.Popen(
        [*seat.person.prefix, *line],
        cwd=seat.place,
        env=seat.person.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        begun(process)
        front = eventually(lambda: next((pid for pid in descendants(process.pid) if monitor_of(pid) and is_front(pid)), 0))
        assert os.getpgid(monitor_of(front)) != os.getpgid(front)
        os.killpg(os.getpgid(front), signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert counted(out.replace(b"reader\n", b"")) == {"INT": 1}
    assert out.count(b"reader\n") == 1


def is_front(pid: int) -> bool:
    """Not the launcher, whose child has its name."""
    return name_of(pid) != "sandboxer-launc"


def test_child_that_the_caller_left_to_the_front_is_nobodys_business(seat: Seat) -> None:
    """`sleep & exec sandboxer ...`: the front has a child that it never started, and waits for its own."""
    words = seat.words(["sh", "-c", "exit 5"])
    with seat.person.start(["sh", "-c", 'sleep 0.1 & sleep 600 & echo $!; exec "$@"', "sh", *words], cwd=seat.place) as process:
        assert process.stdout is not None
        other = int(process.stdout.readline())
        assert process.wait(60) == 5
        assert is_living(other)
        os.kill(other, signal.SIGKILL)
