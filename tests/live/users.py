"""The ordinary user of the tests, and an installation of sandboxer that this user can reach.

No user is made: any id that nobody has will do, because the kernel knows ids and not names. When the tests themselves run without
privilege, the ordinary user is whoever runs them.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIRST_ID = 54321
DEPENDENCIES = ("yaml", "_yaml", "cerberus", "pyseccomp", "prctl", "_prctl")
SKIPPED = shutil.ignore_patterns("*.c", "*.h", "*.o", "*.pyc.*")
"""Not copied: sources of C, and what another test compiles at this moment. Compiled Python is, as an installer would leave it."""
TIMEOUT_S = 120


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who runs commands: the ordinary user, or root as the tests are."""

    name: str
    uid: int
    gid: int
    home: Path

    @property
    def prefix(self) -> tuple[str, ...]:
        """The words before a command that make it this person's: no groups, no capabilities."""
        if self.uid == os.geteuid():
            return ()
        return ("setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups", "--inh-caps=-all", "--")

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """A small, plain environment of a login."""
        plain = {
            "HOME": str(self.home),
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "LANG": "C.UTF-8",
            "TERM": "dumb",
        }
        return {**plain, **(extra or {})}

    def run(
        self,
        command: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        timeout: float = TIMEOUT_S,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as this person and wait for it; the status is not checked. Without cwd: the home directory."""
        return subprocess.run(
            [*self.prefix, *map(str, command)],
            cwd=cwd or self.home,
            env=self.environment(env),
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
        )

    def start(
        self, command: Sequence[str | Path], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a command as this person, with pipes; the caller waits for it."""
        return subprocess.Popen(
            [*self.prefix, *map(str, command)],
            cwd=cwd or self.home,
            env=self.environment(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def output(self, command: Sequence[str | Path], **more: str) -> str:
        """What a command that succeeds prints."""
        done = self.run(command, env=more)
        assert done.returncode == 0, f"{command}: status {done.returncode}\n{done.stderr}"
        return done.stdout

    def directory(self, name: str) -> Path:
        """A new directory of this person's below the home directory."""
        path = self.home / name
        path.mkdir(mode=0o700, parents=True)
        os.chown(path, self.uid, self.gid)
        return path


def unused_id() -> int:
    """The first id from FIRST_ID on that no user has; workers of pytest-xdist get different ones."""
    number = FIRST_ID + 100 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw") or 0)
    while True:
        try:
            pwd.getpwuid(number)
        except KeyError:
            return number
        number += 1


def make_person(name: str, uid: int, base: Path) -> Person:
    """A person with a home directory below `base`, which everybody must be able to pass."""
    home = base / name
    home.mkdir(mode=0o700)
    os.chown(home, uid, uid if os.geteuid() == 0 else -1)
    return Person(name, uid, uid if os.geteuid() == 0 else os.getegid(), home)


@dataclass(frozen=True, slots=True)
class Installation:
    """sandboxer as a wheel lays it out, in a place that everybody can read. `command` is the `sandboxer` on PATH."""

    command: Path
    python: Path
    package: Path

    @property
    def launcher(self) -> Path:
        """The native launcher of this installation."""
        return self.package / "launcher/bin/sandboxer-launch"


def make_installation(base: Path) -> Installation:
    """Copy the package, its data and what it needs into a virtual environment below `base`, made by hand: no pip, no network."""
    environment = base / "venv"
    packages = environment / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    packages.mkdir(parents=True)
    real = Path(os.path.realpath(sys.executable))
    (environment / "bin").mkdir()
    (environment / "bin/python").symlink_to(real)
    (environment / "pyvenv.cfg").write_text(f"home = {real.parent}\ninclude-system-site-packages = false\n")
    shutil.copytree(ROOT / "sandboxer", packages / "sandboxer", ignore=SKIPPED)
    for name in ("profiles", "policies"):
        shutil.copytree(ROOT / name, packages / "sandboxer/_data" / name)
    for name in DEPENDENCIES:
        _copy_module(name, packages)
    command = environment / "bin/sandboxer"
    command.write_text(f"#!{environment}/bin/python -I\n" + (ROOT / "scripts/sandboxer").read_text().split("\n", 1)[1])
    command.chmod(0o755)
    _open_to_everybody(base)
    return Installation(command, environment / "bin/python", packages / "sandboxer")


def _copy_module(name: str, packages: Path) -> None:
    found = importlib.util.find_spec(name)
    assert found is not None, f"{name} is not installed"
    assert found.origin
    origin = Path(found.origin)
    if found.submodule_search_locations:
        shutil.copytree(origin.parent, packages / origin.parent.name, ignore=SKIPPED)
    else:
        shutil.copy(origin, packages)


def _open_to_everybody(base: Path) -> None:
    for path in (base, *base.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o444 | (path.stat().st_mode & 0o100 and 0o111)))


@functools.cache
def can_reach_interpreter(uid: int) -> bool:
    """Whether a user can execute the interpreter that runs the tests (one below /root nobody else can)."""
    real = os.path.realpath(sys.executable)
    if uid == os.geteuid():
        return True
    done = subprocess.run(["setpriv", f"--reuid={uid}", "--clear-groups", "--", real, "-c", ""], capture_output=True)
    return done.returncode == 0
