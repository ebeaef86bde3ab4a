"""What `make test-vm` runs: rounds in machines, several at once, with a line of progress, and the log of each one that fails.

A round is one machine and the tests in it. It is a process of its own with the words that a person would type, which are shown
when it fails. Rounds that come first take longest, so that the processors are busy to the end.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.vm.store import BUILD, ROOT, say

EVERY_S = 30.0
"""Between two lines of progress."""
QUICK_LIMIT_S, WHOLE_LIMIT_S = 2700.0, 30_000.0
"""Of one round: it has hung. The longest of the gate's takes a third of that when nothing else runs."""
MIB_EACH = 3072
"""Memory of this machine for one of those: 2 GiB, its disks' changes, qemu."""
_MARKS = re.compile(r"^([.FEsxX]+)(?: +\[ *\d+%\])?$", re.MULTILINE)
_CLOSING = re.compile(r"^\d+ (?:passed|failed|skipped|deselected|error).* in [\d.]+s.*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Round:
    """machine: words for `python -m tests.vm test`. lacks: what this machine need not have; see tests/live/needs.py."""

    name: str
    machine: tuple[str, ...]
    tests: tuple[str, ...]
    lacks: tuple[str, ...] = ()

    @property
    def words(self) -> list[str]:
        """The command line, as a person types it."""
        told = ("--env", "SANDBOXER_NO_SKIP=1", "--env", f"SANDBOXER_MAY_LACK={','.join(self.lacks)}")
        return ["python", "-m", "tests.vm", "test", *self.machine, *told, "--", "-q", *self.tests]


class Running:
    """A round that runs, and what it has said so far."""

    def __init__(self, row: Round) -> None:
        """Start it. It ends when we do."""
        self.row = row
        directory = BUILD / "results" / row.name
        directory.mkdir(parents=True, exist_ok=True)
        self.log = directory / "log"
        self.begun = time.monotonic()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig=TERM", "--", *command(row, directory)],
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.begun

    @property
    def said(self) -> str:
        """All of its output."""
        return self.log.read_text(errors="replace")

    @property
    def progress(self) -> str:
        """How far it is, for people."""
        marks = "".join(_MARKS.findall(self.said))
        failed = sum(map(marks.count, "FE"))
        return f"{self.row.name} {len(marks)}{f' ({failed} failed)' if failed else ''}"


def command(row: Round, results: Path) -> list[str]:
    """What runs a round, its results in a directory of its own."""
    words = [sys.executable, *row.words[1:]]
    end = words.index("--")
    return [*words[:end], "--results", str(results), *words[end:]]


def run_all(rounds: Iterable[Round], at_once: int, limit_s: float = QUICK_LIMIT_S) -> int:
    """Run rounds; 0 if all of them passed. What fails is shown whole, and what takes longer than the limit is ended."""
    todo, failed = list(rounds), list[str]()
    running: list[Running] = []
    begun = shown = time.monotonic()
    try:
        while todo or running:
            while todo and len(running) < at_once:
                running.append(Running(todo.pop(0)))
            time.sleep(0.2)
            for one in [one for one in running if is_over(one, limit_s)]:
                running.remove(one)
                if not tell(one):
                    failed.append(one.row.name)
            if time.monotonic() - shown >= EVERY_S:
                shown = time.monotonic()
                say(f"{clock(shown - begun)}: {', '.join([*(one.progress for one in running), f'{len(todo)} to come'])}")
    finally:
        for one in running:
            one.process.terminate()
            one.process.wait()
    say(f"{f'failed: {chr(32).join(failed)}' if failed else 'all rounds passed'}, after {clock(time.monotonic() - begun)}")
    return 1 if failed else 0


def is_over(one: Running, limit_s: float) -> bool:
    """Whether it has ended; one that has hung is ended here."""
    if one.seconds > limit_s:
        one.process.kill()
        one.process.wait()
    return one.process.poll() is not None


def tell(one: Running) -> bool:
    """Say how a round ended; whether it passed."""
    said = one.said
    if one.process.returncode == 0:
        say(f"{one.row.name}: {closing_line(said)} ({clock(one.seconds)} with its machine)")
        return True
    say(f"{one.row.name}: status {one.process.returncode} after {clock(one.seconds)}; what it said:")
    print(said, file=sys.stderr)
    say(f"{one.row.name} again: {shlex.join(one.row.words)}")
    return False


def closing_line(said: str) -> str:
    """The last line of pytest's own."""
    found = _CLOSING.findall(said)
    return found[-1] if found else "no tests"


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def count_at_once() -> int:
    """As many machines as there are processors and memory for: each has one processor."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    (available,) = (int(line.split()[1]) // 1024 for line in lines if line.startswith("MemAvailable:"))
    return max(1, min(len(os.sched_getaffinity(0)), available // MIB_EACH))


def choose(rounds: Sequence[Round], names: Sequence[str]) -> tuple[Round, ...]:
    """Those with these names; all of them for none. Raises: LookupError for a name that none has."""
    known = {row.name: row for row in rounds}
    if unknown := [name for name in names if name not in known]:
        raise LookupError(f"no round is called {' '.join(unknown)}; there are {' '.join(known)}")
    return tuple(known[name] for name in names) or tuple(rounds)


V2_ALONE = ("v1 groups", "a disk scheduler bfq")
"""bfq is a module that these machines have not loaded."""
OLD = (*V2_ALONE, *(f"landlock>={abi}" for abi in range(3, 8)))
"""Debian 12's kernel has the second version of Landlock."""
PERSON = ("root", "newuidmap", "device programs")
"""What an ordinary user lacks."""
STABLE, NEWEST = ("--kernel", "stable"), ("--kernel", "newest")
USER = "--user"
ONCE = ("-k", "not ordinary")
"""Whoever runs the tests, and not the ordinary user beside them too."""
ONCE_AND_ONE_PROFILE = ("-k", "(not ordinary and not test_proof) or strict")
"""To prove one takes a minute: the other machine proves them all, and this one what a user without a group has too."""
SUITE = ("tests/vm/suite",)
HERE_TOO = ("-m", "not network", "tests/live", "tests/attack")
"""All that runs on this machine too."""
LIVE_ROOT = tuple(f"tests/live/test_{name}.py" for name in ("ids", "overlay", "filesystem", "devices"))
LIMITS = ("tests/live/test_every_limit.py", "tests/live/test_sharing.py")
LIVE_USER = tuple(f"tests/live/test_{name}.py" for name in ("limits", "landlock"))
"""The rest is as on this machine, whose kernel is newer still, and runs with all else in the whole."""
ROOTS = ("tests/calls/roots/test_root.py",)
"""What a copy of a mount namespace holds is for the kernel to say."""
CALLS = ("tests/launcher/test_c_image.py", "tests/launcher/test_image.py", "tests/calls/boxes/test_leaks.py", *ROOTS)
"""Images are made of what the kernel says of memory, and mapped by its loader: another kernel is another matter."""
ATTACK = ("tests/attack/test_attempts_strict.py",)
EXTRA = (
    Round("apparmor", (*STABLE, "--lsm", "apparmor", "--audit"), ("tests/vm/apparmor",)),
    Round("audit", (*NEWEST, "--audit"), ("tests/vm/audit",), V2_ALONE),
    Round("selinux", (*NEWEST, "--lsm", "selinux", "--audit"), ("tests/vm/selinux",)),
)

QUICK = (
    Round("limits-root", NEWEST, (*ONCE, *LIMITS), V2_ALONE),
    Round("live-root", STABLE, (*ONCE, *LIVE_ROOT, *ROOTS), OLD),
    Round("live-user", (*NEWEST, USER), (*ONCE, *LIVE_USER), (*V2_ALONE, *PERSON)),
    Round("attack-user", (*STABLE, USER), (*ONCE, *ATTACK), (*OLD, *PERSON)),
    Round("attack-root", NEWEST, (*ONCE, *ATTACK), V2_ALONE),
    *EXTRA,
    Round("suite-stable-root", STABLE, (*ONCE_AND_ONE_PROFILE, *SUITE), OLD),
    Round("calls-stable-user", (*STABLE, USER), (*ONCE, *CALLS), (*OLD, *PERSON)),
    Round("suite-newest-user", (*NEWEST, USER), (*ONCE, *SUITE), (*V2_ALONE, *PERSON)),
)
"""What the gate has time for: half of it as root and half as the ordinary user, on one kernel each."""

WHOLE = (
    *(
        Round(f"whole-{kernel[1]}-{person}", (*kernel, *words), (*HERE_TOO, *SUITE, *CALLS), (*lacks, *lacked))
        for kernel, lacks in ((STABLE, OLD), (NEWEST, V2_ALONE))
        for person, words, lacked in (("root", (), ()), ("user", (USER,), PERSON))
    ),
    *(Round(f"whole-{row.name}", row.machine, row.tests, row.lacks) for row in EXTRA),
)
"""Everything, for hours."""
