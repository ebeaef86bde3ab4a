"""The public Python names."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import sandboxer
from sandboxer.api import make_request
from tests.live.needs import needs


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project and a cache of its own."""
    (tmp_path / "home").mkdir(0o700)
    (tmp_path / "project").mkdir()
    monkeypatch.setitem(os.environ, "HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


@needs("userns")
def test_run_gives_the_result_and_the_outputs() -> None:
    result = sandboxer.run(["sh", "-c", "cat; echo no >&2; exit 4"], stdin=b"in")
    assert (result.reason, result.exit_code, result.stdout, result.stderr) == (sandboxer.Reason.EXITED, 4, b"in", b"no\n")


@needs("userns")
def test_run_twice_is_the_same() -> None:
    first, second = (sandboxer.run(["id"]) for _ in range(2))
    assert (first.stdout, first.digest, first.report) == (second.stdout, second.digest, second.report)


@needs("userns")
def test_output_of_a_command_that_was_ended_is_kept() -> None:
    result = sandboxer.run(["sh", "-c", "echo part; sleep 60"], timeout=0.2)
    assert (result.reason, result.stdout) == (sandboxer.Reason.WALL_TIMEOUT, b"part\n")


@needs("userns")
def test_command_that_writes_without_end_is_killed_and_its_first_output_kept() -> None:
    result = sandboxer.run(["sh", "-c", "echo part >&2; exec yes"], max_output_bytes=10)
    assert (result.reason, result.exit_code, result.status) == (sandboxer.Reason.OUTPUT_LIMIT, None, 137)
    assert (result.stdout, result.stderr) == (b"y\ny\ny\ny\ny\n", b"part\n")
    assert result.detail == "it wrote more than 10 bytes to standard output"


@needs("userns")
def test_output_as_long_as_the_bound_is_no_reason() -> None:
    result = sandboxer.run(["printf", "1234567890"], max_output_bytes=10)
    assert (result.reason, result.stdout) == (sandboxer.Reason.EXITED, b"1234567890")


@needs("userns")
def test_output_that_is_not_whole_never_looks_whole() -> None:
    """The command may have ended by itself before it could be killed."""
    results = [sandboxer.run(["sh", "-c", "echo 123; exit 3"], max_output_bytes=3) for _ in range(5)]
    assert {(result.reason, result.exit_code, result.stdout) for result in results} == {
        (sandboxer.Reason.OUTPUT_LIMIT, None, b"123")
    }
    assert all(result.detail.endswith(("standard output", "ended ahead of the kill: exited 3")) for result in results)


def test_negative_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="max_output_bytes"):
        sandboxer.run(["true"], max_output_bytes=-1)


@needs("userns")
def test_command_that_there_is_not_is_a_result() -> None:
    result = sandboxer.run(["nosuchprogram"])
    assert (result.reason, result.status) == (sandboxer.Reason.NOT_FOUND, 127)


@needs("userns")
def test_outputs_that_nobody_captures_are_none(capfd: pytest.CaptureFixture[str]) -> None:
    result = sandboxer.run(["echo", "seen"], capture=False)
    assert (result.stdout, capfd.readouterr().out) == (None, "seen\n")


@needs("userns")
def test_variables_pass_or_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE", "1")
    shown = sandboxer.run(["env"], env={"MINE": None, "OTHER": "2"}).stdout
    assert shown is not None
    assert {b"MINE=1", b"OTHER=2"} <= set(shown.splitlines())


@needs("userns")
def test_run_in_threads_does_not_mix_streams() -> None:
    sandboxer.run(["true"])
    results: dict[int, bytes | None] = {}

    def one(number: int) -> None:
        results[number] = sandboxer.run(["sh", "-c", f"sleep 0.05; echo {number}"]).stdout

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: f"{number}\n".encode() for number in range(8)}


@needs("userns")
def test_interrupt_of_the_caller_kills_the_box() -> None:
    timer = threading.Timer(0.4, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
    sandboxer.run(["true"])
    children = Path("/proc/thread-self/children")
    before = children.read_text()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        sandboxer.run(["sleep", "60"])
    timer.join()
    assert children.read_text() == before


@needs("userns")
def test_explain_tells_what_was_refused() -> None:
    script = "import ctypes; ctypes.CDLL(None).syscall(250, 0, -3)"
    result = sandboxer.run(["python3", "-c", script], "python", explain=True, cache=False)
    assert result.denials is not None
    (denial,) = (row for row in result.denials.rows if row.call == "keyctl")
    assert (denial.count, denial.answer, denial.risk, result.exit_code) == (1, "EPERM", sandboxer.Risk.HIGH, 0)
    assert "{keyctl: {option: KEYCTL_GET_KEYRING_ID}}  # risk: high" in result.denials.patch
    assert result.denials.attempt.startswith("write it to .sandboxer/profiles/my-python.yaml")
    assert sandboxer.run(["true"]).denials is None


@needs("userns")
def test_explain_in_threads_keeps_runs_apart() -> None:
    counts: dict[int, int] = {}

    def one(number: int) -> None:
        script = f"import ctypes; call = ctypes.CDLL(None).syscall\nfor _ in range({number}): call(250, 0, -3)\nprint({number})"
        result = sandboxer.run(["python3", "-c", script], "python", explain=True)
        assert (result.stdout, result.denials is not None) == (f"{number}\n".encode(), True)
        counts[number] = sum(row.count for row in (result.denials.rows if result.denials else ()) if row.call == "keyctl")

    threads = [threading.Thread(target=one, args=(number,)) for number in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == {number: number for number in range(1, 6)}


@needs("userns")
def test_explain_drains_outputs_while_it_answers() -> None:
    script = "import ctypes, sys; call = ctypes.CDLL(None).syscall\n"
    script += "for _ in range(300): call(250, 0, -3); sys.stdout.write('x' * 4096)\nprint(len(sys.stdin.read()))"
    result = sandboxer.run(["python3", "-c", script], "python", explain=True, stdin=bytes(1 << 20))
    assert result.stdout == b"x" * 300 * 4096 + b"1048576\n"


@needs("userns")
def test_interrupt_of_the_caller_ends_an_explained_run() -> None:
    timer = threading.Timer(1.5, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
    children = Path("/proc/thread-self/children")
    before = children.read_text()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        sandboxer.run(["sleep", "60"], explain=True)
    timer.join()
    assert children.read_text() == before


def test_profile_that_is_wrong_raises() -> None:
    with pytest.raises(sandboxer.ProfileError, match="nosuch"):
        sandboxer.run(["true"], "nosuch")


def test_no_command_is_an_error() -> None:
    with pytest.raises(ValueError, match="no command"):
        sandboxer.run([])


def test_load_gives_the_policy() -> None:
    policy = sandboxer.load("strict")
    assert isinstance(policy, sandboxer.Policy)
    assert policy.name == "strict"


def test_options_are_those_of_the_command_line() -> None:
    request = make_request(
        "p",
        {
            "read": [Path("/a")],
            "write": ["/b"],
            "env": {"A": None, "B": "1"},
            "timeout": 1.5,
            "memory": 1 << 20,
            "network": "none",
            "params": {"x": True, "y": 2},
            "fds": [5],
            "workdir": "/w",
        },
    )
    assert request.options == (
        ("--read", "/a"),
        ("--write", "/b"),
        ("--env", "A"),
        ("--env", "B"),
        ("--timeout", "1500ms"),
        ("--memory", "1048576B"),
        ("--network", "none"),
        ("--set", "x=true"),
        ("--set", "y=2"),
        ("--fd", "5"),
    )
    assert (request.values, request.directory) == ({b"B": b"1"}, "/w")


def test_public_names_are_there() -> None:
    assert all(hasattr(sandboxer, name) for name in sandboxer.__all__)
    assert set(sandboxer.__all__) <= set(dir(sandboxer))


def test_run_is_the_function_whatever_was_imported_first() -> None:
    code = "import sandboxer.run.prepare, sandboxer; from sandboxer.run import request; print(sandboxer.run.__module__)"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "sandboxer.api\n"


def test_name_that_there_is_not_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        sandboxer.nonsense  # noqa: B018
