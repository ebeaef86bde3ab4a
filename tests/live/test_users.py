"""The ordinary user is really ordinary, and reaches the installation."""

from __future__ import annotations

import json
from pathlib import Path

from tests.live.needs import needs
from tests.live.users import Installation, Person, unused_id


def test_ordinary_user_has_no_privilege(ordinary: Person) -> None:
    status = ordinary.output(["grep", "-E", "^(CapEff|CapPrm|CapInh|Groups)", "/proc/self/status"]).split("\n")
    assert [line.split()[1:] for line in status if line.startswith("Cap")] == [["0" * 16]] * 3


def test_ordinary_user_owns_the_home_directory(ordinary: Person) -> None:
    assert ordinary.run(["touch", "mine"]).returncode == 0


@needs("root")
def test_ordinary_user_cannot_write_to_the_callers_home(ordinary: Person, caller: Person) -> None:
    assert ordinary.run(["touch", caller.home / "theirs"]).returncode != 0


def test_caller_can_write_to_the_own_home(caller: Person) -> None:
    assert caller.run(["touch", caller.home / "own"]).returncode == 0


def test_unused_id_belongs_to_nobody() -> None:
    assert all(int(line.split(":")[2]) != unused_id() for line in Path("/etc/passwd").read_text().splitlines())


def test_installation_runs_for_both(person: Person, installation: Installation) -> None:
    assert person.output([installation.command, "--version"]).startswith("sandboxer ")


def test_installation_is_isolated_from_the_checkout(ordinary: Person, installation: Installation) -> None:
    code = "import sandboxer; print(sandboxer.__file__)"
    assert ordinary.output([installation.python, "-I", "-c", code]).startswith(str(installation.package))


def test_check_of_both_names_the_caller(person: Person, installation: Installation) -> None:
    done = person.run([installation.command, "check", "--json"])
    assert done.returncode in (0, 1), done.stderr
    data = json.loads(done.stdout)
    assert data["host"]["uid"] == person.uid
    assert "default" in [row["profile"] for row in data["profiles"]]


def test_check_writes_nothing(person: Person, installation: Installation, workplace: Path, leaves_nothing: None) -> None:
    assert person.run([installation.command, "check"], cwd=workplace).stdout
