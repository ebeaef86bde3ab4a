"""A person at a desk: runs boxes there, sees their processes from outside, and reads what was reported about them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tests.live.users import Installation, Person

Found = TypeVar("Found")
WAIT_S = 20.0


@dataclass(frozen=True, slots=True)
class Ended:
    """What one run did. report: the JSON of `--report`, empty where nothing could write it."""

    status: int
    out: str
    err: str
    report: Mapping[str, object] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        """The typed reason of the end."""
        return str(self.report.get("reason", ""))


@dataclass(frozen=True, slots=True)
class Seat:
    """One person, in one directory of theirs, with the installation that everybody uses."""

    person: Person
    installation: Installation
    place: Path

    def own(self, path: Path) -> Path:
        """Give a file to the person."""
        os.chown(path, self.person.uid, self.person.gid)
        return path

    def file(self, name: str, content: str | bytes = "", mode: int = 0o644) -> Path:
        """A file of the person's in the directory."""
        path = self.place / name
        for parent in (*reversed(path.relative_to(self.place).parents), Path(name)):
            if parent != Path(name) and not (self.place / parent).exists():
                (self.place / parent).mkdir()
                self.own(self.place / parent)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        return self.own(path)

    def profile(self, name: str, text: str, *, extends: str = "python") -> str:
        """A profile of the person's own for this directory."""
        head = f"kind: profile\nname: {name}\ndescription: A test.\nextends: [{extends}]\n"
        self.file(f".sandboxer/profiles/{name}.yaml", head + text)
        return name

    def words(self, argv: Sequence[str | Path], *, profile: str = "python", options: Sequence[str | Path] = ()) -> list[str]:
        """The command line of a run, without notes on what this person cannot have here (limits of the whole box)."""
        return [str(word) for word in (self.installation.command, "exec", "--quiet", "--profile", profile, *options, "--", *argv)]

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        profile: str = "python",
        options: Sequence[str | Path] = (),
        stdin: str = "",
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Ended:
        """Run a command in a box and wait for its end."""
        report = self.person.home / f"report-{os.urandom(6).hex()}.json"
        words = self.words(argv, profile=profile, options=["--report", report, *options])
        done = self.person.run(words, cwd=cwd or self.place, env=env, stdin=stdin)
        return Ended(done.returncode, done.stdout, done.stderr, take_report(report))

    def start(
        self,
        argv: Sequence[str | Path],
        *,
        profile: str = "python",
        options: Sequence[str | Path] = (),
        env: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a command in a box, with pipes. The process is the front, the Python that supervises."""
        return self.person.start(self.words(argv, profile=profile, options=options), cwd=self.place, env=env)


def take_report(path: Path) -> dict[str, object]:
    """Read a report and remove it."""
    text = path.read_text() if path.exists() else ""
    path.unlink(missing_ok=True)
    found: dict[str, object] = json.loads(text) if text else {}
    return found


# ── the processes of a box, seen from outside ─────────────────────────────────────────────────────────────────────────


def children_of(pid: int) -> list[int]:
    """The children of a process that has one thread; none if it is gone."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def name_of(pid: int) -> str:
    """The kernel's short name of a process; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def monitor_of(front: int) -> int:
    """The launcher that this front started, or 0."""
    return next((pid for pid in children_of(front) if name_of(pid) == "sandboxer-launc"), 0)


def init_of(front: int) -> int:
    """Pid 1 of the box, or 0. The monitor has other children for a moment: those that bring a user namespace."""
    return next((pid for pid in children_of(monitor_of(front)) if number_inside(pid) == 1), 0)


def number_inside(pid: int) -> int:
    """The number that a process has in its own pid namespace; 0 if it is gone. proc_pid_status(5), NSpid."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[-1]) for line in lines if line.startswith("NSpid:")), 0)


def lone_command_of(front: int) -> int:
    """The command of a box without a pid 1 of its own, as soon as it runs, or 0."""
    return next((pid for pid in children_of(monitor_of(front)) if name_of(pid) not in ("", "sandboxer-launc")), 0)


def command_of(front: int) -> int:
    """The command: the first child of pid 1, or 0."""
    return next(iter(children_of(init_of(front))), 0)


def eventually(look: Callable[[], Found], limit_s: float = WAIT_S, pause_s: float = 0.005) -> Found:
    """Look until there is something; the last look if there never is."""
    end = time.monotonic() + limit_s
    while not (found := look()) and time.monotonic() < end:
        time.sleep(pause_s)
    return found


def is_living(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def kill_exactly(pid: int, number: int = signal.SIGKILL, *, expect: Callable[[int], bool] = is_living) -> bool:
    """Signal a process if it is still the one that was meant: `expect` looks at it once it cannot be another. Whether it was."""
    try:
        pidfd = os.pidfd_open(pid)
    except (ProcessLookupError, OSError):
        return False
    try:
        if not expect(pid):
            return False
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)
    return True
