"""The probe, compared with what other programs of this machine say."""

from __future__ import annotations

import json
import os
import pwd
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from sandboxer.abi.rlimits import RLIM_INFINITY
from sandboxer.kernel.obstacle import Obstacle
from sandboxer.kernel.probe import find_map_program, find_namespaces, find_seccomp_actions, find_user, probe
from sandboxer.kernel.proc import find_text, parse_status
from sandboxer.kernel.trials.trial import Trial
from sandboxer.model.host import Host, PathKind
from tests.kernel.conftest import RunCode


@pytest.fixture(scope="module")
def host() -> Host:
    return probe(paths=frozenset({"/etc/passwd"}))


def status(field: str) -> str:
    return parse_status(find_text("/proc/self/status") or "")[field]


def test_kernel_and_arch_are_those_of_uname(host: Host) -> None:
    release, machine = subprocess.check_output(["uname", "-rm"], text=True).split()
    assert release.startswith(f"{host.kernel[0]}.{host.kernel[1]}")
    assert host.arch == machine


def test_ids_are_those_of_id(host: Host) -> None:
    uid, gid = (int(subprocess.check_output(["id", option])) for option in ("-u", "-g"))
    assert (host.uid, host.gid, host.groups) == (uid, gid, tuple(sorted(os.getgroups())))


def test_capabilities_are_those_of_status(host: Host) -> None:
    assert (host.capabilities, host.bounding) == (int(status("CapEff"), 16), int(status("CapBnd"), 16))


def test_last_capability_is_the_kernels(host: Host) -> None:
    assert host.last_capability == int(Path("/proc/sys/kernel/cap_last_cap").read_text())


def test_rlimits_are_those_of_the_process(host: Host) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert host.rlimits["nofile"] == (soft & RLIM_INFINITY, hard & RLIM_INFINITY)
    assert len(host.rlimits) == 16


def test_seccomp_actions_are_those_of_the_sysctl(host: Host) -> None:
    assert host.seccomp_actions == set(Path("/proc/sys/kernel/seccomp/actions_avail").read_text().split())


def test_seccomp_actions_of_an_old_kernel_are_the_first_ones() -> None:
    assert "errno" in find_seccomp_actions({"Seccomp": "0"})


def test_namespaces_are_those_of_lsns(host: Host) -> None:
    said = subprocess.check_output(["lsns", "-n", "-o", "TYPE", "-p", str(os.getpid())], text=True).split()
    assert {"mnt" if name == "mount" else name for name in host.namespaces} == set(said)


def test_namespaces_that_the_trial_could_not_make_are_left_out() -> None:
    assert "net" not in find_namespaces(Trial({"user": 0, "net": 28}), None)


def test_namespaces_behind_an_obstacle_are_still_named() -> None:
    assert "net" in find_namespaces(Trial({"user": 1, "net": 1}), Obstacle("a wall"))


def test_user_and_home_are_those_of_the_password_file() -> None:
    entry = pwd.getpwuid(os.getuid())
    assert find_user(os.getuid(), {}) == (entry.pw_name, entry.pw_dir)


def test_home_of_the_environment_comes_first() -> None:
    assert find_user(os.getuid(), {"HOME": "/srv//me/"})[1] == "/srv/me"


def test_home_that_is_relative_is_ignored() -> None:
    assert find_user(os.getuid(), {"HOME": "me"})[1] == pwd.getpwuid(os.getuid()).pw_dir


def test_user_without_an_entry_is_named_by_number() -> None:
    assert find_user(54321, {}) == ("54321", "/")


def test_stage_directory_exists(host: Host) -> None:
    assert Path(host.stage_directory).is_dir()


def test_paths_that_were_asked_for_are_there(host: Host) -> None:
    assert host.path("/etc/passwd").kind is PathKind.FILE


def test_map_program_without_privilege_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "newuidmap"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr("sandboxer.kernel.probe.PROGRAM_DIRECTORIES", (str(tmp_path),))
    assert find_map_program("newuidmap") == ""


def test_map_program_with_setuid_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "newuidmap"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o4755)
    monkeypatch.setattr("sandboxer.kernel.probe.PROGRAM_DIRECTORIES", (str(tmp_path),))
    assert find_map_program("newuidmap") == str(program)


def test_user_namespace_verdict_agrees_with_unshare(host: Host) -> None:
    worked = subprocess.run(["unshare", "-Ur", "true"], capture_output=True).returncode == 0
    assert (host.user_namespace_problem == "") == worked


@pytest.mark.parametrize(("module", "started"), [("sandboxer.cli.main", []), ("sandboxer", [os.path.realpath(sys.executable)])])
def test_probe_starts_no_program_but_an_interpreter_in_programs_of_others(module: str, started: list[str]) -> None:
    """A start waits for it. In a process of its own: an audit hook stays."""
    code = f"""
import sys
import {module}
from sandboxer.kernel.probe import probe
started = []
def hear(event, arguments):
    if event in ("os.exec", "os.posix_spawn", "subprocess.Popen"):
        started.append(arguments[0])
sys.addaudithook(hear)
probe()
print(started)
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == f"{started}\n"


ORDINARY = (
    "import json, os; from sandboxer.kernel.probe import probe; host = probe(); print(json.dumps("
    "[host.uid, host.capabilities, host.is_privileged, host.user_namespace_problem, host.newuidmap, os.getuid()]))"
)


def test_probe_of_an_ordinary_user_has_no_privilege(run_ordinary: RunCode) -> None:
    uid, capabilities, is_privileged, problem, _, real = json.loads(run_ordinary(ORDINARY))
    worked = run_ordinary("import subprocess; print(subprocess.run(['unshare', '-Ur', 'true'], capture_output=True).returncode)")
    assert (uid, capabilities, is_privileged) == (real, 0, False)
    assert (problem == "") == (worked == "0\n")


def test_probe_with_no_new_privs_finds_no_map_program(run_ordinary: RunCode) -> None:
    assert json.loads(run_ordinary(ORDINARY, "setpriv", "--no-new-privs"))[4] == ""


def test_probe_without_no_new_privs_finds_what_is_installed(run_ordinary: RunCode) -> None:
    assert json.loads(run_ordinary(ORDINARY))[4] == find_map_program("newuidmap")


def test_probe_as_root_of_a_namespace_with_one_id_cannot_become_nobody(run_ordinary: RunCode) -> None:
    uid, capabilities, is_privileged, problem, _, _ = json.loads(run_ordinary(ORDINARY, "unshare", "-Ur"))
    assert (uid, capabilities != 0, is_privileged, problem) == (0, True, False, "")


def test_probe_as_root_of_a_whole_namespace_is_privileged() -> None:
    assert Host(uid=0, capabilities=(1 << 41) - 1).is_privileged


def test_probe_where_user_namespaces_are_used_up_names_the_sysctl(run_ordinary: RunCode) -> None:
    limit = 'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-sys_admin "$@"'
    problem = json.loads(run_ordinary(ORDINARY, "unshare", "-Ur", "sh", "-c", limit, "sh"))[3]
    assert problem == "user.max_user_namespaces is 0"
