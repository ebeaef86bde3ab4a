"""Every attempt of the table in one profile, as root and as an ordinary user; each with its twin.

The module of the tests says which `PROFILE`. There is one for each profile that faces untrusted code, so that workers share them.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.attack.attempts import ATTEMPTS, Attempt
from tests.live.users import Installation, Person


class Bench:
    """The probe in a box: a workplace that holds it, and the command line that runs it there."""

    def __init__(
        self, person: Person, installation: Installation, probe: Path, outside: dict[str, str], workplace: Path, profile: str
    ) -> None:
        self.profile = profile
        self.person = person
        self.installation = installation
        self.outside = outside
        self.workplace = workplace
        self.program = workplace / "probe"
        shutil.copy(probe, self.program)
        self.program.chmod(0o755)

    def attempt(self, name: str, given: str) -> tuple[str, str]:
        """What the probe printed, and the typed reason of the end."""
        report = self.workplace / "report.json"
        command = [
            self.installation.command, "exec", "--profile", self.profile, "--report", report, "--timeout", "30s",
            "--", self.program, name, given,
        ]  # fmt: skip
        done = self.person.run(command, cwd=self.workplace, env={"SECRET": self.outside["secret"]})
        reason = json.loads(report.read_text())["reason"] if report.exists() else f"no report: {done.stderr}"
        report.unlink(missing_ok=True)
        return done.stdout.strip(), reason


@pytest.fixture(scope="module", params=["ordinary", "caller"])
def bench(request: pytest.FixtureRequest, installation: Installation, probe: Path, outside: dict[str, str]) -> Bench:
    """One bench for each person, in the profile of the module."""
    person: Person = request.getfixturevalue(request.param)
    profile: str = request.module.PROFILE
    workplace = person.directory(f"attack-{profile}-{request.param}")
    (workplace / ".sandboxer" / "profiles").mkdir(parents=True)
    (workplace / ".sandboxer" / "profiles" / f"attacked-{profile}.yaml").write_text(
        f"kind: profile\nname: attacked-{profile}\ndescription: {profile}, with the probe in it.\n"
        f"extends: [{profile}]\nfilesystem:\n  execute:\n    - {{path: {workplace}/probe, as_owner: true}}\n"
    )
    for path in (workplace / ".sandboxer", *(workplace / ".sandboxer").rglob("*")):
        os.chown(path, person.uid, person.gid)
    made = Bench(person, installation, probe, outside, workplace, f"attacked-{profile}")
    os.chown(made.program, person.uid, person.gid)
    return made


@pytest.mark.parametrize("row", ATTEMPTS, ids=lambda row: row.name)
def test_attempt_is_held(bench: Bench, row: Attempt) -> None:
    """The attempt does not get what it wants; where the filter kills, the result says so."""
    printed, reason = bench.attempt(row.name, bench.outside.get(row.given, ""))
    if row.killed:
        assert (printed, reason) == ("", "seccomp_kill")
    else:
        assert reason == "exited"
        assert printed.startswith(f"held {row.answer}"), f"{row.name} under {bench.profile}: {printed}"
    assert not Path(bench.outside["new-file"]).exists()


TWINS = sorted({row.twin for row in ATTEMPTS})


@pytest.mark.parametrize("name", TWINS)
def test_twin_is_allowed(bench: Bench, name: str) -> None:
    """The same kind of action, within the box, works."""
    printed, reason = bench.attempt(name, "")
    assert (printed, reason) == ("twin ok", "exited")
