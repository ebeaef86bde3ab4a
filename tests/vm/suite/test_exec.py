"""`sandboxer exec -p python` in the VM: it runs and refuses as elsewhere, on either kernel and for either person."""

from __future__ import annotations

import json
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.live.boxes import enforced
from tests.live.users import Installation, Person
from tests.vm.suite.test_check import LANDLOCK_ABI, RELEASE

LOOK = """
import errno, json, os, socket, sys
def attempt(function, *words):
    try:
        function(*words)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "ok"
def write(path):
    with open(path, "w") as file:
        file.write("x")
def connect():
    with socket.socket() as made:
        made.settimeout(5)
        made.connect(("127.0.0.1", int(sys.argv[1])))
"""


def look(person: Person, installation: Installation, place: Path, code: str, *words: str) -> dict[str, Any]:
    """Run code under the profile in a directory of the person's; what it put into `seen`."""
    program = f"{LOOK}\nseen = {{}}\n{code}\nprint(json.dumps(seen))"
    command: list[str | Path] = [installation.command, "exec", "-p", "python", "--", "python3", "-c", program, *words]
    done = person.run(command, cwd=place)
    assert done.returncode == 0, done.stderr
    is_weakened = "weakened: landlock" in done.stderr
    assert is_weakened == (RELEASE in LANDLOCK_ABI)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_status_and_output_are_those_of_the_command(person: Person, installation: Installation, workplace: Path) -> None:
    code = "import sys; print(6 * 7); sys.exit(3)"
    done = person.run([installation.command, "exec", "-p", "python", "--", "python3", "-c", code], cwd=workplace)
    assert (done.returncode, done.stdout) == (3, "42\n")


@pytest.mark.usefixtures("leaves_nothing")
def test_project_can_be_written_and_the_system_cannot(person: Person, installation: Installation, workplace: Path) -> None:
    seen = look(person, installation, workplace, """
seen.update(planted=attempt(write, "/usr/planted"), etc=attempt(write, "/etc/planted"), shadow=attempt(open, "/etc/shadow"))
seen.update(project=attempt(write, "own"), tmp=attempt(write, "/tmp/own"), usr=attempt(os.listdir, "/usr"))
os.unlink("own")
""")  # fmt: skip
    assert {seen.pop("planted"), seen.pop("etc")} <= {"EROFS", "EACCES", "ENOENT"}
    assert seen.pop("shadow") in ("ENOENT", "EACCES")
    assert seen == {"project": "ok", "tmp": "ok", "usr": "ok"}


def test_processes_and_groups_of_the_host_are_not_seen(person: Person, installation: Installation, workplace: Path) -> None:
    seen = look(person, installation, workplace, """
seen["pids"] = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
seen["group"] = open("/proc/self/cgroup").read()
seen["signal"] = [attempt(os.kill, os.getpid(), 0), attempt(os.kill, 4_000, 0)]
""")  # fmt: skip
    assert seen["pids"][0] == 1
    assert len(seen["pids"]) <= 3
    assert seen["group"] == "0::/\n"
    assert seen["signal"] == ["ok", "ESRCH"]


def test_network_of_the_host_cannot_be_reached(person: Person, installation: Installation, workplace: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        with socket.create_connection(server.getsockname()):
            seen = look(person, installation, workplace, 'seen["connect"] = attempt(connect)', port)
    assert seen["connect"] in ("EACCES", "ENETUNREACH", "ECONNREFUSED")


def test_namespaces_cannot_be_made_and_processes_can(person: Person, installation: Installation, workplace: Path) -> None:
    seen = look(person, installation, workplace, """
import subprocess
seen["child"] = subprocess.run(["true"]).returncode
seen["unshare"] = subprocess.run(["unshare", "--user", "true"], stderr=subprocess.DEVNULL).returncode
""")  # fmt: skip
    assert seen["child"] == 0
    assert seen["unshare"] != 0
    assert subprocess.run(["unshare", "--user", "true"], check=False).returncode == 0


def test_report_says_of_landlock_what_the_kernel_gives(person: Person, installation: Installation, workplace: Path) -> None:
    report = person.directory("report") / "report.json"
    command: list[str | Path] = [installation.command, "exec", "-p", "python", "--report", report, "--", "true"]
    try:
        assert person.run(command, cwd=workplace).returncode == 0
        lines = enforced(json.loads(report.read_text()), "landlock")
    finally:
        report.unlink()
        report.parent.rmdir()
    assert any(line.startswith("weakened") for line in lines) == (RELEASE in LANDLOCK_ABI)
