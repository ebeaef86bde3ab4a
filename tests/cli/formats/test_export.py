"""`sandboxer export` and `sandboxer import`: profiles in the languages of others, and back."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sandboxer.cli.formats.import_ import name_for
from tests.cli.front import Front
from tests.live.needs import needs

FIXTURES = Path(__file__).parents[2] / "export" / "fixtures"
SMALL = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["execve", "exit_group", "frob"], "action": "SCMP_ACT_ALLOW"}]}
ENGINE = """\
kind: profile
name: engine
description: what a container engine allows
policies: [filesystem/runtime, filesystem/private-tmp, devices/minimal, environment/plain, oci/engine]
"""


def written(front: Front, data: object, name: str = "small.json") -> str:
    (front.project / name).write_text(json.dumps(data))
    return name


# ── export ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_export_prints_json_and_tells_on_standard_error(front: Front) -> None:
    done = front.run("export", "oci-seccomp", "strict")
    assert done.returncode == 0
    assert json.loads(done.stdout)["defaultAction"] == "SCMP_ACT_ERRNO"
    assert done.stderr.startswith("sandboxer: differs: numbers that Linux")


def test_export_to_a_file_leaves_that_file_only(front: Front) -> None:
    done = front.run("export", "oci-seccomp", "strict", "-o", "strict.json")
    assert (done.returncode, done.stdout) == (0, "")
    assert os.listdir(front.project) == ["strict.json"]
    assert json.loads((front.project / "strict.json").read_text())["syscalls"]


def test_export_decides_conditions_by_the_options(front: Front) -> None:
    front.profile("mine", "seccomp: {allow: [{setns: {}, when: {capability: CAP_SYS_ADMIN, arch: aarch64, kernel: '>=5.8'}}]}")
    for options, is_allowed in (
        (["--arch", "aarch64", "--kernel", "6.1", "--capability", "sys_admin"], True),
        (["--arch", "aarch64", "--kernel", "5.4", "--capability", "sys_admin"], False),
        (["--arch", "riscv64", "--kernel", "6.1", "--capability", "CAP_SYS_ADMIN"], False),
        (["--arch", "aarch64", "--kernel", "6.1", "--capability", "none"], False),
    ):
        data = json.loads(front.run("export", "oci-seccomp", "mine", *options).stdout)
        (row,) = (row for row in data["syscalls"] if "setns" in row["names"])
        assert (row["action"] == "SCMP_ACT_ALLOW") is is_allowed


def test_export_as_json_has_the_notes(front: Front) -> None:
    data = json.loads(front.run("export", "oci-seccomp", "strict", "--json").stdout)
    assert json.loads(data["text"])["defaultErrnoRet"] == 1
    assert {note["kind"] for note in data["notes"]} == {"differs", "note"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["export"], "no format is named"),
        (["export", "oci-secomp", "strict"], "there is no format oci-secomp to export to"),
        (["export", "oci-seccomp"], "no profile is named"),
        (["export", "oci-seccomp", "strict", "--kernel", "6"], "6 is no version of a kernel"),
        (["export", "oci-seccomp", "strict", "--arch", "arm"], "there is no table of system calls for arm"),
        (["export", "oci-seccomp", "strict", "--capability", "admin"], "there is no capability admin"),
        (["import", "oci-seccomp"], "a format and a file are needed"),
        (["import", "docker", "x.json"], "there is no format docker to import"),
    ],
)
def test_wrong_usage_is_told(front: Front, arguments: list[str], says: str) -> None:
    done = front.run(*arguments)
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, f"sandboxer: {says}")


def test_export_never_replaces_what_is_no_file(front: Front) -> None:
    os.mkfifo(front.project / "pipe")
    done = front.run("export", "oci-seccomp", "strict", "-o", "pipe")
    assert done.returncode == 125
    assert "it is no file" in done.stderr
    assert os.listdir(front.project) == ["pipe"]


# ── import ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_import_prints_a_policy_and_names_what_it_left_out(front: Front) -> None:
    done = front.run("import", "oci-seccomp", written(front, SMALL))
    assert done.returncode == 0
    assert "name: small\n" in done.stdout
    assert "    - execve\n" in done.stdout
    assert "sandboxer: stricter: left out: frob (small.json:1:" in done.stderr
    assert "# stricter: left out: frob (small.json:1:" in done.stdout


def test_import_of_standard_input(front: Front) -> None:
    done = front.run("import", "oci-seccomp", "-", "--name", "mine/small", stdin=json.dumps(SMALL))
    assert "name: mine/small\n" in done.stdout


def test_import_that_is_refused_leaves_nothing_behind(front: Front) -> None:
    name = written(front, {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_TRACE"}]})
    done = front.run("import", "oci-seccomp", name, "-o", "small.yaml")
    assert done.returncode == 125
    assert done.stderr.startswith("sandboxer: small.json:1:")
    assert os.listdir(front.project) == [name]


def test_import_lets_no_escape_through(front: Front) -> None:
    done = front.run("import", "oci-seccomp", "-", stdin='{"defaultAction": "\\u001b[31m", "\\u001b[2J": 1}')
    assert done.returncode == 125
    assert "\x1b" not in done.stdout + done.stderr


def test_import_of_a_file_that_is_too_long_is_refused(front: Front) -> None:
    (front.project / "long.json").write_bytes(b" " * (1 << 21))
    done = front.run("import", "oci-seccomp", "long.json")
    assert done.returncode == 125
    assert "at most 1048576 are read" in done.stderr


def test_imported_policy_is_found_by_its_name(front: Front) -> None:
    directory = front.project / ".sandboxer"
    (directory / "policies" / "oci").mkdir(parents=True)
    (directory / "profiles").mkdir()
    (directory / "profiles" / "engine.yaml").write_text(ENGINE)
    policy = ".sandboxer/policies/oci/engine.yaml"
    assert front.run("import", "oci-seccomp", str(FIXTURES / "engine.json"), "-o", policy).returncode == 0
    shown = front.run("show", "engine")
    assert shown.returncode == 0, shown.stderr
    assert "personality(personality PER_LINUX" in shown.stdout


@needs("userns")
def test_imported_policy_starts_programs(front: Front) -> None:
    test_imported_policy_is_found_by_its_name(front)
    done = front.run("exec", "-p", "engine", "--", "sh", "-c", "echo started; unshare -U true")
    assert (done.stdout, done.returncode) == ("started\n", 1), done.stderr
    assert "Operation not permitted" in done.stderr


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("docker.json", "docker"),
        ("/a/policies/oci/My Engine.json", "oci/my-engine"),
        ("x/policies/policies/y.yaml", "y"),
        ("-", "imported"),
        ("..", "imported"),
        ("é", "imported"),
    ],
)
def test_name_of_a_policy_is_that_of_its_file(path: str, name: str) -> None:
    assert name_for(path) == name
