"""Whoever is killed with SIGKILL at whatever moment: nothing of the box is left, and who survives tells the truth.

Four can be killed: the front (the Python that supervises), the monitor (the launcher), pid 1 of the box, and the command. The
moments are random; a failure prints the seed, and SANDBOXER_TEST_SEED repeats it.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.attack.seats import (
    Seat,
    command_of,
    eventually,
    init_of,
    is_living,
    kill_exactly,
    lone_command_of,
    monitor_of,
    take_report,
)
from tests.live.leaks import adopt_orphans, descendants, read_traces, wait_until_gone

AT_ONCE = 4
ROUNDS = 28
SEED = int(os.environ.get("SANDBOXER_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
HIT = "hit"
SOON_S = 10.0  # generous for a machine under load: what is measured in milliseconds when it is idle
LONG = ("sh", "-c", "trap '' TERM HUP INT; (setsid sh -c 'trap \"\" TERM HUP; sleep 600' &) ; sleep 600 & sleep 600")
SHORT = ("sh", "-c", "(setsid sleep 600 &) ; :")

SHARED = """\
namespaces: {pid: host}
process: {init: false}
override:
  - {path: filesystem.proc, value: none, reason: there is no pid namespace to show}
"""

Find = Callable[[int], int]


def find_front(front: int) -> int:
    """The front itself."""
    return front


def find_busy_front(front: int) -> int:
    """The front, from the start of the monitor on."""
    return front if monitor_of(front) else 0


@dataclass(frozen=True, slots=True)
class Strike:
    """One round: who is killed, when (after it is there), and which command runs."""

    find: Find
    delay_s: float
    argv: tuple[str, ...]
    profile: str = "python"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the front said. was_hit: the victim was there when the signal came."""

    strike: Strike
    was_hit: bool
    status: int
    reason: str
    err: str
    front: int


def make_strikes(
    rng: random.Random, find: Find, *, profile: str = "python", rounds: int = ROUNDS, most_s: float = 0.06
) -> list[Strike]:
    """Random moments, every other one early, when a box is set up; every fifth job is over before long."""
    delays = [rng.uniform(0, most_s if number % 2 else most_s / 10) for number in range(rounds)]
    return [Strike(find, delay, SHORT if number % 5 == 4 else LONG, profile) for number, delay in enumerate(delays)]


def carry_out(seat: Seat, strike: Strike, env: dict[str, str] | None = None) -> Outcome:
    """Start a box, kill the victim, and wait until everybody who held an output is gone."""
    report = seat.person.home / f"report-{os.urandom(6).hex()}.json"
    with seat.start(strike.argv, profile=strike.profile, options=["--report", report], env=env) as process:
        eventually(lambda: strike.find(process.pid) or process.poll() is not None, pause_s=0.001)
        time.sleep(strike.delay_s)
        # The first child of a monitor may be one that only brings a namespace: then the next one is meant.
        was_hit = eventually(lambda: _hit(strike, process) or process.poll() is not None, pause_s=0.001) == HIT
        try:
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    text = take_report(report)
    return Outcome(strike, was_hit, process.returncode, str(text.get("reason", "")), err.decode(errors="replace"), process.pid)


def _hit(strike: Strike, process: subprocess.Popen[bytes]) -> str:
    """Kill whoever is the victim now, if there is one that nobody else has taken the place of."""
    victim = strike.find(process.pid)
    is_same = victim and kill_exactly(victim, expect=lambda pid: is_living(pid) and strike.find(process.pid) == pid)
    return HIT if is_same else ""


def carry_out_all(seat: Seat, strikes: Iterable[Strike], env: dict[str, str] | None = None) -> list[Outcome]:
    """Several boxes at once; between them nothing is waited for."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda strike: carry_out(seat, strike, env), strikes))


def look_around(seat: Seat) -> set[str]:
    """What a run could leave on the machine: control groups, temporary files of the person's, half-written cache entries."""
    found = {str(path) for path in Path("/sys/fs/cgroup").rglob("*sandboxer*")}
    for directory in ("/tmp", "/var/tmp", "/dev/shm", "/run"):
        for entry in os.scandir(directory):
            # Root's are other people's too; ours would have our name.
            is_theirs = seat.person.uid and entry.stat(follow_symlinks=False).st_uid == seat.person.uid
            if is_theirs or "sandboxer-launch" in entry.name:
                found.add(entry.path)
    found.update(str(path) for path in seat.person.home.rglob(".*") if "plans" in path.parts)
    return found


@pytest.fixture(autouse=True)
def watch(seat: Seat) -> Iterable[None]:
    """Nothing is left when the test ends, and that soon after the last kill."""
    print(f"SANDBOXER_TEST_SEED={SEED}")
    adopt_orphans()
    seat.profile("shared", SHARED)
    around = look_around(seat)
    before = read_traces([seat.place])
    yield
    begun = time.monotonic()
    assert wait_until_gone(before, [seat.place], limit_s=SOON_S, next_start=lambda: seat.run(["true"])) == []
    print(f"gone after {(time.monotonic() - begun) * 1000:.0f} ms")
    assert look_around(seat) - around == set()


@pytest.mark.parametrize("find", [find_front, find_busy_front])
def test_killed_front_takes_the_box_along(seat: Seat, find: Find) -> None:
    """The monitor sees that the supervisor is lost; from the first start of Python on."""
    outcomes = carry_out_all(seat, make_strikes(random.Random(f"{SEED} front"), find))
    assert sum(one.was_hit for one in outcomes) > ROUNDS // 2
    for one in outcomes:
        assert one.status == -9 if one.was_hit else (one.status, one.reason) == (0, "exited"), one


def test_killed_monitor_takes_the_box_along_and_the_front_says_so(seat: Seat) -> None:
    """The front reports that the launcher was lost, never a result that it cannot know."""
    outcomes = carry_out_all(seat, make_strikes(random.Random(f"{SEED} monitor"), monitor_of))
    assert sum(one.reason == "launcher_lost" for one in outcomes) > ROUNDS // 2
    for one in outcomes:
        # A short command may have ended, and the record be written, by then.
        ended = one.strike.argv == SHORT and (one.status, one.reason) == (0, "exited")
        lost = (one.status, one.reason) == (125, "launcher_lost") and "the launcher was lost" in one.err
        assert lost or ended, one


def test_killed_init_ends_the_box_and_the_result_says_so(seat: Seat) -> None:
    """Pid 1 gone during set-up is a failed set-up; gone later, the command was ended by a signal."""
    outcomes = carry_out_all(seat, make_strikes(random.Random(f"{SEED} init"), init_of))
    check_ends(outcomes)


def test_killed_command_ends_the_box_and_the_result_says_so(seat: Seat) -> None:
    """The command is a child of pid 1, which ends what the command left."""
    outcomes = carry_out_all(seat, make_strikes(random.Random(f"{SEED} command"), command_of))
    check_ends(outcomes)


def check_ends(outcomes: list[Outcome]) -> None:
    """Each of them a signal or a failed set-up, or the command's own end where that came first."""
    assert sum(one.was_hit for one in outcomes) > ROUNDS // 2
    print("ended", sum(one.reason == "signalled" for one in outcomes), "not begun", sum(one.status == 125 for one in outcomes))
    for one in outcomes:
        ended = one.strike.argv == SHORT and (one.status, one.reason) == (0, "exited")
        assert ended or (one.status, one.reason) in ((137, "signalled"), (125, "setup_failed")), one


def test_killed_front_of_a_cold_start_leaves_no_half_written_plan(seat: Seat) -> None:
    """Python compiles, and keeps the plan in a cache that is empty each time."""
    rng = random.Random(f"{SEED} cold")
    strikes = make_strikes(rng, find_front, rounds=16, most_s=0.5)
    for number, strike in enumerate(strikes):
        cache = seat.person.directory(f"cache-{os.urandom(4).hex()}-{number}")
        carry_out(seat, strike, {"XDG_CACHE_HOME": str(cache)})
        assert [path for path in cache.rglob("*") if path.is_file() and path.name.startswith(".")] == []


def test_nobody_killed_ends_well(seat: Seat) -> None:
    """The same commands, left alone: the short one ends, and takes its orphan along."""
    done = seat.run(SHORT)
    assert (done.status, done.reason, done.err) == (0, "exited", "")


# ── without a pid namespace ───────────────────────────────────────────────────────────────────────────────────────────


def test_killed_front_takes_a_box_without_pid_namespace_along(seat: Seat) -> None:
    """The monitor adopts the orphans, and kills them all."""
    outcomes = carry_out_all(
        seat, make_strikes(random.Random(f"{SEED} shared front"), find_busy_front, profile="shared", rounds=12)
    )
    for one in outcomes:
        assert one.status == -9 if one.was_hit else (one.status, one.reason) == (0, "exited"), one


def test_killed_command_takes_its_orphans_along_without_pid_namespace(seat: Seat) -> None:
    """There is no pid 1; the command is the monitor's own child, and what it left is adopted."""
    outcomes = carry_out_all(
        seat, make_strikes(random.Random(f"{SEED} shared command"), lone_command_of, profile="shared", rounds=12)
    )
    for one in outcomes:
        ended = one.strike.argv == SHORT and (one.status, one.reason) == (0, "exited")
        assert ended or (one.status, one.reason) in ((137, "signalled"), (125, "setup_failed")), one


def test_killed_monitor_takes_the_command_along_without_pid_namespace(seat: Seat) -> None:
    """The command dies with the monitor. What it had started before cannot be found any more, and the front says so."""
    before = descendants(os.getpid())
    with seat.start(["sleep", "600"], profile="shared") as process:
        command = eventually(lambda: lone_command_of(process.pid))
        assert kill_exactly(monitor_of(process.pid))
        _, err = process.communicate(timeout=60)
    assert process.returncode == 125
    assert b"shares the host's process ids" in err
    assert eventually(lambda: not is_living(command))
    assert eventually(lambda: descendants(os.getpid()) <= before)
