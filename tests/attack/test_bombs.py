"""Jobs that use up whatever there is, and jobs that will not end: each meets its limit, and the host does not notice.

What the job reached is counted twice where that can be: by the job itself, and from outside.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.attack.seats import Ended, Seat, eventually, take_report
from tests.live.leaks import adopt_orphans, descendants, read_traces, wait_until_gone

GONE_S = 1.0
"""Between the end of a command and that of everything that it left. When nothing else runs it is milliseconds."""


@pytest.fixture(autouse=True)
def watch(seat: Seat, actor: Path) -> object:
    """No process, mount or descriptor is left; files in the project are the job's to make."""
    adopt_orphans()
    before = read_traces()
    yield
    assert wait_until_gone(before) == []


def told(ended: Ended) -> dict[str, tuple[int, str]]:
    """What the actor said: word -> number and errno."""
    rows = (line.split() for line in ended.out.splitlines())
    return {word: (int(count), problem) for word, count, problem in rows}


def timing(ended: Ended, name: str) -> float:
    """One of the timings of the report, in seconds."""
    timings = ended.report["timings"]
    assert isinstance(timings, Mapping)
    return float(timings[name]) / 1e6


def limited(seat: Seat, text: str, more: str = "") -> str:
    """A profile with these limits."""
    return seat.profile("limited", f"limits: {{{text}}}\n{more}")


# ── processes, threads, descriptors ───────────────────────────────────────────────────────────────────────────────────


def test_fork_bomb_is_bounded_and_ended(seat: Seat) -> None:
    """Counted from outside while it explodes. The host can start processes all the while, also as the same person."""
    profile = limited(seat, "processes: 30, wall: 1500ms, grace: 0s")
    report = seat.person.home / "bomb.json"
    most = 0
    with seat.start(["./actor", "fork-bomb"], profile=profile, options=["--report", report]) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"bombing")
        while process.poll() is None:
            most = max(most, len(descendants(process.pid)))
            assert seat.person.run(["true"]).returncode == 0
    # Beside the 30: the monitor and pid 1.
    assert 25 < most <= 32
    assert (process.returncode, take_report(report)["reason"]) == (124, "wall_timeout")


def test_processes_end_at_the_limit(seat: Seat) -> None:
    ended = seat.run(["./actor", "forks", "100", "0"], profile=limited(seat, "processes: 20"))
    assert told(ended)["forked"] == (19, "EAGAIN")


def test_processes_below_the_limit_are_made(seat: Seat) -> None:
    ended = seat.run(["./actor", "forks", "19", "0"], profile=limited(seat, "processes: 20"))
    assert told(ended)["forked"] == (19, "ok")


def test_processes_of_one_box_are_not_counted_in_another(seat: Seat) -> None:
    """Two boxes of one person, each nearly full."""
    profile = limited(seat, "processes: 20")
    with seat.start(["./actor", "forks", "19", "60000"], profile=profile) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"forked 19 ok\n"
        assert told(seat.run(["./actor", "forks", "19", "0"], profile=profile))["forked"] == (19, "ok")
        first.terminate()


@pytest.mark.parametrize(("most", "reached"), [("100", (19, "EAGAIN")), ("19", (19, "ok"))])
def test_threads_count_as_processes(seat: Seat, most: str, reached: tuple[int, str]) -> None:
    assert told(seat.run(["./actor", "threads", most], profile=limited(seat, "processes: 20")))["threads"] == reached


@pytest.mark.parametrize(("most", "reached"), [("1000", (61, "EMFILE")), ("61", (61, "ok"))])
def test_descriptors_end_at_the_limit(seat: Seat, most: str, reached: tuple[int, str]) -> None:
    """Three of them are the standard streams."""
    assert told(seat.run(["./actor", "descriptors", most], profile=limited(seat, "open_files: 64")))["opened"] == reached


def test_terminals_end_before_the_host_has_none_left(seat: Seat) -> None:
    """Pseudo-terminals are counted for the whole machine (kernel.pty.max), so the box's /dev/pts has an end of its own."""
    count, problem = told(seat.run(["./actor", "terminals", "1000"]))["terminals"]
    assert 16 <= count <= 256
    assert problem == "ENOSPC"


# ── files and memory ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_file_past_its_limit_ends_the_command(seat: Seat) -> None:
    ended = seat.run(["./actor", "fill", "big", "4000000"], profile=limited(seat, "file_size: 1M"))
    assert (ended.status, ended.reason) == (128 + 25, "file_limit")
    assert (seat.place / "big").stat().st_size == 1 << 20


def test_file_within_its_limit_is_written(seat: Seat) -> None:
    ended = seat.run(["./actor", "fill", "big", "1048576"], profile=limited(seat, "file_size: 1M"))
    assert told(ended)["filled"] == (1 << 20, "ok")


PRIVATE = {"/tmp": 64 << 20, "/var/tmp": 64 << 20, "/home/sandbox": 64 << 20, "/dev/shm": 64 << 20}


@pytest.mark.parametrize("directory", PRIVATE)
def test_private_directory_holds_its_size(seat: Seat, directory: str) -> None:
    """Filled to the brim, and not more; half of it fits."""
    ended = seat.run(["./actor", "fill", f"{directory}/half", str(PRIVATE[directory] // 2)])
    assert told(ended)["filled"] == (PRIVATE[directory] // 2, "ok")
    count, problem = told(seat.run(["./actor", "fill", f"{directory}/filler", str(PRIVATE[directory] * 4)]))["filled"]
    assert problem == "ENOSPC"
    assert PRIVATE[directory] * 0.9 < count <= PRIVATE[directory]


@pytest.mark.parametrize("directory", PRIVATE)
def test_private_directory_holds_its_inodes(seat: Seat, directory: str) -> None:
    """Empty files take kernel memory that no size counts."""
    count, problem = told(seat.run(["./actor", "inodes", directory, "200000"]))["made"]
    assert problem == "ENOSPC"
    assert 1000 < count <= PRIVATE[directory] // 4096


def test_size_of_a_profiles_own_directory_holds(seat: Seat) -> None:
    profile = seat.profile("scratch", "filesystem: {tmpfs: [{path: /scratch, size: 1M}]}\n")
    count, problem = told(seat.run(["./actor", "fill", "/scratch/filler", "9000000"], profile=profile))["filled"]
    assert (problem, 900_000 < count <= 1 << 20) == ("ENOSPC", True)
    assert told(seat.run(["./actor", "inodes", "/scratch", "9000"], profile=profile))["made"][1] == "ENOSPC"


def test_overlay_holds_its_size_and_its_inodes(seat: Seat) -> None:
    """Changes of a discarded overlay are in memory too."""
    more = "filesystem: {overlay: [{path: '${cwd}/over', changes: discard, size: 1M}]}\n"
    (seat.place / "over").mkdir()
    seat.own(seat.place / "over")
    profile = seat.profile("over", more)
    count, problem = told(seat.run(["./actor", "fill", "over/filler", "9000000"], profile=profile))["filled"]
    assert (problem, 500_000 < count <= 1 << 20) == ("ENOSPC", True)
    count, problem = told(seat.run(["./actor", "inodes", "over", "100000"], profile=profile))["made"]
    assert (problem, count < 10_000) == ("ENOSPC", True)
    assert told(seat.run(["./actor", "fill", "over/half", "500000"], profile=profile))["filled"][1] == "ok"
    assert list((seat.place / "over").iterdir()) == []


def test_root_of_the_box_cannot_be_filled(seat: Seat) -> None:
    for directory in ("", "/etc", "/dev", "/var", "/home", "/run"):
        count, problem = told(seat.run(["./actor", "fill", f"{directory}/filler", "9000000"]))["filled"]
        assert (count, problem) == (-1, "EROFS") or problem in ("EACCES", "ENOENT"), directory


@pytest.mark.parametrize(("most", "is_enough"), [("4096", False), ("200", True)])
def test_address_space_ends_at_the_limit(seat: Seat, most: str, is_enough: bool) -> None:
    count, problem = told(seat.run(["./actor", "map", most], profile=limited(seat, "address_space: 256M")))["mapped"]
    assert (count, problem) == (200, "ok") if is_enough else (200 < count <= 256, problem) == (True, "ENOMEM")


# ── time ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("deaf", "status"), [((), 128 + 24), (("deaf",), 128 + 9)])
def test_cpu_time_ends_the_command(seat: Seat, deaf: tuple[str, ...], status: int) -> None:
    """By SIGXCPU; whoever does not listen gets SIGKILL a second later."""
    ended = seat.run(["./actor", "burn", *deaf], profile=limited(seat, "cpu_time: 1s, wall: 60s"))
    assert (ended.status, ended.reason) == (status, "cpu_timeout")


def test_cpu_time_that_is_not_used_does_not_count(seat: Seat) -> None:
    ended = seat.run(["sleep", "1.5"], profile=limited(seat, "cpu_time: 1s"))
    assert (ended.status, ended.reason) == (0, "exited")


WALL = "wall: 400ms, grace: 200ms, processes: 600"


NUISANCES = ("stubborn", "orphans 20 stay", "stopped 5", "orphans 500 stay", "stopped 500", "forks 500 60000")


@pytest.mark.parametrize("nuisance", NUISANCES)
def test_wall_clock_ends_whatever_there_is(seat: Seat, nuisance: str) -> None:
    """Deaf, in sessions of their own, stopped, and many: soon after the end nothing is there any more."""
    wall = "wall: 2s, grace: 200ms, processes: 600" if "500" in nuisance else WALL
    ended = seat.run(["./actor", *nuisance.split()], profile=limited(seat, wall))
    assert (ended.status, ended.reason) == (124, "wall_timeout"), ended.err
    assert ended.out, "the time was over before all was there"
    assert timing(ended, "end_us") < GONE_S, ended.report["timings"]


def test_wall_clock_is_nobodys_who_ends_in_time(seat: Seat) -> None:
    ended = seat.run(["sleep", "0.1"], profile=limited(seat, "wall: 30s"))
    assert (ended.status, ended.reason) == (0, "exited")


def test_grace_is_for_those_who_use_it(seat: Seat) -> None:
    """SIGTERM comes first: a job can tidy up and say so."""
    script = "trap 'echo tidy; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    ended = seat.run(["sh", "-c", script], profile=limited(seat, "wall: 400ms, grace: 20s"))
    assert (ended.out, ended.status, ended.reason) == ("ready\ntidy\n", 124, "wall_timeout")


# ── streams ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def pipeline(seat: Seat, script: str) -> subprocess.CompletedProcess[str]:
    """A shell of the person's, with the box's command line in "$@"."""
    words = seat.words(["sh", "-c", "trap - PIPE; yes"])
    return seat.person.run(["bash", "-c", script, "bash", *words], cwd=seat.place)


def test_output_that_nobody_reads_ends_the_command(seat: Seat) -> None:
    """The reader goes away: SIGPIPE in the box, as without one."""
    done = pipeline(seat, '"$@" | head -1; echo "${PIPESTATUS[0]}"')
    assert (done.stdout, done.stderr) == ("y\n141\n", "")


def test_streams_that_are_closed_from_the_start_are_none_of_ours(seat: Seat) -> None:
    """In the place of a closed stream the command finds /dev/null, and no descriptor that the launch needed."""
    words = seat.words(["./actor", "links", "found"])
    seat.person.run(["bash", "-c", '"$@" <&- >&- 2>&-; echo "$?" > status', "bash", *words], cwd=seat.place)
    assert (seat.place / "status").read_text() == "0\n"
    assert (seat.place / "found").read_text() == "0 /dev/null\n1 /dev/null\n2 /dev/null\n"


def test_messages_that_nobody_reads_do_not_change_the_status(seat: Seat) -> None:
    """The front has something to say, and standard error is a pipe without a reader."""
    words = seat.words(["./actor", "stubborn"], profile=limited(seat, "wall: 300ms, grace: 0s"))
    script = '{ "$@"; echo "$?" >&3; } 3>status 2>&1 >/dev/null | true; cat status'
    assert seat.person.run(["bash", "-c", script, "bash", *words], cwd=seat.place).stdout == "124\n"


def test_large_output_arrives_whole(seat: Seat) -> None:
    words = seat.words(["sh", "-c", "head -c 100000000 /dev/zero; echo end"])
    done = seat.person.run(["bash", "-c", '"$@" | { head -c 100000000 | cksum; cat; }', "bash", *words], cwd=seat.place)
    assert done.stdout.split() == ["2984077570", "100000000", "end"] or done.stdout.split()[1:] == ["100000000", "end"]


def test_input_that_is_kept_open_holds_nobody_up(seat: Seat) -> None:
    """The command does not read, and ends; the writer is still there."""
    with seat.start(["true"]) as process:
        assert process.wait(30) == 0
        assert process.stdin is not None
        assert not process.stdin.closed


def test_input_arrives_whole(seat: Seat) -> None:
    text = "x" * 999 + "\n"
    assert seat.run(["wc", "-c"], stdin=text * 5000).out.strip() == "5000000"


def test_output_is_closed_when_the_command_ends_although_orphans_hold_it(seat: Seat) -> None:
    begun = time.monotonic()
    ended = seat.run(["sh", "-c", "(setsid sleep 600 &); echo out"])
    assert (ended.out, ended.status) == ("out\n", 0)
    assert time.monotonic() - begun < 60


def test_front_ends_while_its_caller_still_has_children(seat: Seat) -> None:
    """Only what is of the box is waited for: a child of the caller is nobody's business."""
    with subprocess.Popen(["sleep", "600"]) as other:
        assert seat.run(["true"]).status == 0
        assert other.poll() is None
        other.kill()
    assert eventually(lambda: other.poll() is not None)
    assert os.getpid() not in descendants(os.getpid())
