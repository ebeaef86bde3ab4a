"""A box to look into: somebody's workplace, profiles that a test writes there, and the real `sandboxer exec` run on them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.live.inside import PRELUDE
from tests.live.leaks import adopt_orphans, read_traces, wait_until_gone
from tests.live.users import TIMEOUT_S, Installation, Person

GROUND = ("box/application", "filesystem/project-write")
REFUSED = 125


@dataclass(frozen=True, slots=True)
class Box:
    """What one person runs in one workplace. ahead: words before the command, such as a mount namespace of the test's own."""

    person: Person
    installation: Installation
    place: Path
    ahead: tuple[str, ...] = ()

    def write(self, name: str, text: str = "", *, mode: int = 0o644) -> Path:
        """A file of the person's in the workplace."""
        path = self.place / name
        for directory in reversed([parent for parent in path.parents if self.place in parent.parents]):
            if not directory.exists():
                directory.mkdir()
                os.chown(directory, self.person.uid, self.person.gid)
        path.write_text(text)
        path.chmod(mode)
        os.chown(path, self.person.uid, self.person.gid)
        return path

    def directory(self, name: str) -> Path:
        """A directory of the person's in the workplace."""
        path = self.place / name
        path.mkdir()
        os.chown(path, self.person.uid, self.person.gid)
        return path

    def profile(self, text: str = "", *, name: str = "box", policies: Sequence[str] = GROUND) -> None:
        """Write a profile: a head, what the interpreter of the tests needs, and these sections.

        As in the shipped profiles, an older Landlock is no reason to refuse.
        """
        included = ", ".join((*policies, "interpreter"))
        head = f"kind: profile\nname: {name}\ndescription: A profile of a test.\npolicies: [{included}]\n"
        self.write(f".sandboxer/profiles/{name}.yaml", head + textwrap.dedent(text))
        ground = f"filesystem: {{execute: ['{sys.base_prefix}']}}\nlandlock: {{enforce: best_effort}}\n"
        self.policy(ground, name="interpreter")

    def policy(self, text: str, *, name: str) -> None:
        """Write a policy file."""
        head = f"kind: policy\nname: {name}\ndescription: A policy of a test.\n"
        self.write(f".sandboxer/policies/{name}.yaml", head + textwrap.dedent(text))

    def words(self, command: Sequence[str | Path], options: Sequence[str] = (), profile: str = "box") -> list[str]:
        """The whole command line of a run, from the test's own process on."""
        sandboxer = [str(self.installation.command), "exec", "--profile", profile, *options, "--", *map(str, command)]
        return [*self.ahead, *self.person.prefix, *sandboxer]

    def run(
        self,
        *command: str | Path,
        options: Sequence[str] = (),
        profile: str = "box",
        env: Mapping[str, str] | None = None,
        stdin: str = "",
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the box and wait; the status is not checked."""
        return subprocess.run(
            self.words(command, options, profile),
            cwd=self.place,
            env=self.person.environment(env),
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
        )

    def output(self, *command: str | Path, options: Sequence[str] = (), profile: str = "box") -> str:
        """What a command that succeeds prints."""
        done = self.run(*command, options=options, profile=profile)
        assert done.returncode == 0, f"status {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def python(self, code: str) -> list[str]:
        """The words that run Python code with the prelude of `inside`."""
        return [os.path.realpath(sys.executable), "-I", "-S", "-c", PRELUDE + textwrap.dedent(code)]

    def look(
        self, code: str, *, options: Sequence[str] = (), profile: str = "box", env: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Run Python code in the box; what it put into `seen`."""
        done = self.run(*self.python(code + "\n" + "print(json.dumps(seen))"), options=options, profile=profile, env=env)
        assert done.returncode == 0, f"status {done.returncode}\n{done.stdout}{done.stderr}"
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def refusal(self, *, options: Sequence[str] = (), profile: str = "box") -> str:
        """The message of a run that is refused before anything starts."""
        done = self.run("true", options=options, profile=profile)
        assert (done.returncode, done.stdout) == (REFUSED, ""), f"status {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stderr

    def told(
        self, *command: str | Path, options: Sequence[str] = (), profile: str = "box"
    ) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
        """A run, and what `--report` wrote about it; the report lies outside of the workplace and is removed."""
        report = self.person.directory(f"report-{os.urandom(4).hex()}") / "report.json"
        done = self.run(*command, options=[*options, "--report", str(report)], profile=profile)
        data: dict[str, Any] = json.loads(report.read_text())
        report.unlink()
        report.parent.rmdir()
        return done, data

    @contextmanager
    def leaves_nothing(self) -> Iterator[None]:
        """As the fixture of that name, for a part of a test."""
        adopt_orphans()
        before = read_traces([self.place])
        yield
        assert wait_until_gone(before, [self.place]) == []


def enforced(report: Mapping[str, Any], control: str) -> list[str]:
    """What a report says of one control: `status: what`."""
    return [f"{line['status']}: {line['what']}" for line in report["enforcement"] if line["control"] == control]


def in_own_mounts(script: str, *arguments: str | Path) -> tuple[str, ...]:
    """Words before a command: a mount namespace of its own, in which root runs a shell script first. $1... are the arguments."""
    shift = f"shift {len(arguments)}\n" if arguments else ""
    return ("unshare", "--mount", "sh", "-euc", f'{script}\n{shift}exec "$@"', "sh", *map(str, arguments))
