"""The trial says what works by doing it; compared with what `unshare` and `mount` of util-linux are allowed to do."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sandboxer.abi.namespaces import NAMESPACES
from sandboxer.kernel import calls
from sandboxer.kernel.trials.trial import NOT_TRIED, Trial, parse_trial, run_trial
from tests.kernel.conftest import RunCode

IS_ROOT = os.geteuid() == 0
ORDINARY = (
    "import json; from sandboxer.kernel.trials.trial import run_trial; found = run_trial(is_privileged=False);"
    "print(json.dumps([dict(found.errnos), found.killed_by, found.landlock_abi]))"
)


def test_trial_lines_are_read() -> None:
    found = parse_trial("abi 4\nlandlock 0\nmissing fsopen clone3\nuser 0\nmaps 1\n", killed_by=31)
    assert found == Trial({"landlock": 0, "user": 0, "maps": 1}, ("fsopen", "clone3"), 4, 31)


def test_trial_half_a_last_line_is_left_out() -> None:
    assert parse_trial("user 0\nmap").errnos == {"user": 0}


def test_trial_empty_text_is_nothing_tried() -> None:
    found = parse_trial("")
    assert (found.errno("user"), found.works("user"), found.missing_calls) == (NOT_TRIED, False, ())


def test_trial_of_this_caller_agrees_with_unshare() -> None:
    found = run_trial(is_privileged=IS_ROOT)
    said = subprocess.run(["unshare", "--user", "--map-root-user", "true"], capture_output=True).returncode
    assert found.works("user") == (said == 0)


def test_trial_makes_every_kind_of_namespace_that_unshare_makes() -> None:
    found = run_trial(is_privileged=IS_ROOT)
    options = {"mount": "-m", "pid": "-fp", "net": "-n", "ipc": "-i", "uts": "-u", "cgroup": "-C", "time": "-T"}
    own = () if IS_ROOT else ("-U", "-r")
    said = {
        name: subprocess.run(["unshare", *own, option, "true"], capture_output=True).returncode == 0
        for name, option in options.items()
    }
    assert {name: found.works(name) for name in options} == said


def test_trial_leaves_no_process_mount_or_descriptor() -> None:
    def traces() -> tuple[str, str, list[str]]:
        with open("/proc/self/mountinfo") as mounts, open("/proc/thread-self/children") as children:
            return mounts.read(), children.read(), os.listdir("/proc/self/fd")

    before = traces()
    run_trial(is_privileged=IS_ROOT)
    assert traces() == before


def test_trial_leaves_the_namespaces_of_the_caller_alone() -> None:
    before = [os.readlink(f"/proc/self/ns/{name}") for name in os.listdir("/proc/self/ns")]
    run_trial(is_privileged=IS_ROOT)
    assert [os.readlink(f"/proc/self/ns/{name}") for name in os.listdir("/proc/self/ns")] == before


def test_trial_of_an_ordinary_user_tries_every_step(run_ordinary: RunCode) -> None:
    errnos, killed_by, _ = json.loads(run_ordinary(ORDINARY))
    assert set(errnos) >= {"user", "maps", *(set(NAMESPACES) - {"user"}), "private", "proc"}
    assert killed_by == 0


def test_trial_of_an_ordinary_user_agrees_with_unshare(run_ordinary: RunCode) -> None:
    errnos, _, _ = json.loads(run_ordinary(ORDINARY))
    said = run_ordinary(
        "import subprocess;print(subprocess.run(['unshare', '-Urpfm', '--mount-proc', 'true'], capture_output=True).returncode)"
    )
    assert (errnos["proc"] == 0) == (said == "0\n")


def test_trial_under_a_masked_proc_finds_it_too_revealing(run_ordinary: RunCode) -> None:
    if json.loads(run_ordinary(ORDINARY))[0]["proc"]:
        pytest.fail("a new /proc cannot be mounted on this machine even without a mask")
    mask = 'mount -t tmpfs none /proc/sys && exec "$@"'
    errnos, _, _ = json.loads(run_ordinary(ORDINARY, "unshare", "-Urm", "sh", "-c", mask, "sh"))
    assert errnos["proc"] == 1


def test_trial_without_user_namespaces_left_reports_enospc(run_ordinary: RunCode) -> None:
    limit = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    errnos, _, _ = json.loads(run_ordinary(ORDINARY, "unshare", "-Ur", "sh", "-c", limit, "sh"))
    assert errnos["user"] == 28


def test_trial_under_a_filter_that_forbids_unshare_reports_eperm(run_ordinary: RunCode) -> None:
    wall = (
        "import pyseccomp as s; f = s.SyscallFilter(s.ALLOW); f.add_rule(s.ERRNO(1), 'unshare');"
        "f.add_rule(s.ERRNO(38), 'landlock_create_ruleset'); f.load();"
    )
    errnos, killed_by, abi = json.loads(run_ordinary(wall + ORDINARY))
    assert (errnos["user"], killed_by, abi) == (1, 0, 0)


def test_trial_under_a_filter_that_kills_reports_the_signal(run_ordinary: RunCode) -> None:
    wall = "import pyseccomp as s; f = s.SyscallFilter(s.ALLOW); f.add_rule(s.KILL_PROCESS, 'unshare'); f.load();"
    errnos, killed_by, _ = json.loads(run_ordinary(wall + ORDINARY))
    assert (errnos.keys() - {"landlock"}, killed_by) == (set(), 31)


def test_trial_with_ignored_sigchld_still_works() -> None:
    code = "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN); from sandboxer.kernel.trials.trial import run_trial;"
    tail = f"print(run_trial(is_privileged={IS_ROOT}).works('mount'))"
    assert subprocess.check_output([sys.executable, "-c", code + tail], text=True) in ("True\n", "False\n")


@pytest.mark.parametrize(("kills", "works"), [(1, True), (2, True), (3, False)])
def test_trial_that_somebody_killed_is_tried_again(kills: int, works: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    fork, left = os.fork, iter([True] * kills)

    def fork_and_die() -> int:
        child = fork()
        if not child and next(left, False):
            os.kill(os.getpid(), signal.SIGKILL)
        elif child:
            next(left, False)
        return child

    monkeypatch.setattr(os, "fork", fork_and_die)
    found = run_trial(is_privileged=IS_ROOT, forks=True)
    assert (found.killed_by, found.works("user")) == ((0, True) if works else (signal.SIGKILL, False))


def refuse(number: int) -> None:
    raise OSError(number, "pretended")


@pytest.mark.parametrize("broken", ["unshare", "make_private"])
def test_trial_without_a_private_mount_namespace_attaches_nothing(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, broken, lambda *_: refuse(28))
    monkeypatch.setattr(calls, "mount", lambda *_: refuse(5))
    assert run_trial(is_privileged=IS_ROOT, forks=True).errno("tmpfs") == NOT_TRIED


def test_trial_with_a_private_mount_namespace_attaches_a_tmpfs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "mount", lambda *_: refuse(5))
    found = run_trial(is_privileged=IS_ROOT, forks=True)
    assert found.errno("tmpfs") == (5 if found.works("private") else NOT_TRIED)


def test_trial_keeps_why_landlock_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that has it built in and not in its `lsm=` list answers EOPNOTSUPP."""
    monkeypatch.setattr(calls, "find_landlock_abi", lambda: (0, errno.EOPNOTSUPP))
    found = run_trial(is_privileged=IS_ROOT, forks=True)
    assert (found.landlock_abi, found.errno("landlock")) == (0, errno.EOPNOTSUPP)


def test_trial_bars_namespaces_in_its_own_user_namespace_only(run_ordinary: RunCode) -> None:
    path = "/proc/sys/user/max_user_namespaces"
    with open(path) as file:
        before = file.read()
    found = [run_trial(is_privileged=IS_ROOT).errnos, json.loads(run_ordinary(ORDINARY))[0]]
    with open(path) as file:
        assert file.read() == before
    assert all(errnos["bar"] == 0 for errnos in found if errnos["user"] == 0)


def test_trial_without_a_user_namespace_bars_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(flags: int) -> None:
        raise PermissionError(errno.EPERM, "")

    monkeypatch.setattr(calls, "unshare", refuse)
    for is_privileged in {False, IS_ROOT}:
        assert "bar" not in run_trial(is_privileged=is_privileged, forks=True).errnos


# ── how the child is started ──────────────────────────────────────────────────────────────────────────────────────────

NO_FORK = "import os; os.register_at_fork(before=lambda: print('forked'));"
TRY = f"from sandboxer.kernel.trials.trial import run_trial; print(run_trial(is_privileged={IS_ROOT}).errno('mount'))"


def say(code: str) -> str:
    """What an interpreter prints in which every warning is an error."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_both_ways_find_the_same() -> None:
    assert run_trial(is_privileged=IS_ROOT, forks=True) == run_trial(is_privileged=IS_ROOT, forks=False)


def test_nothing_forks_in_whoever_imported_us() -> None:
    assert "forked" not in say(NO_FORK + TRY)


def test_command_line_forks_where_it_has_no_threads() -> None:
    idle = "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start();"
    assert "forked" in say(NO_FORK + "import sandboxer.cli.main;" + TRY)
    assert "forked" not in say(NO_FORK + "import sandboxer.cli.main;" + idle + TRY)


@pytest.mark.parametrize("program", ["", "/bin/false", "/nonexistent/python3"])
def test_program_that_has_python_built_in_forks(program: str) -> None:
    assert set(say(NO_FORK + f"import sys; sys.executable = {program!r};" + TRY).split()) == {"forked", say(TRY).strip()}


def test_interpreter_that_cannot_start_is_none(tmp_path: Path) -> None:
    program = tmp_path / "python3"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    said = say(NO_FORK + f"import sys; sys.executable = {str(program)!r};" + TRY)
    assert set(said.split()) == {"forked", say(TRY).strip()}


@pytest.mark.parametrize("closed", [(0,), (0, 1), (0, 1, 2)])
def test_streams_that_are_closed_are_not_taken_for_its_pipe(closed: tuple[int, ...]) -> None:
    close = f"import os; kept = os.dup(1); [os.close(number) for number in {closed}];"
    assert say(close + TRY[:-1] + ", file=open(kept, 'w', closefd=False))") == say(TRY)
