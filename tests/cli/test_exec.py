"""`sandboxer exec`: streams, exit statuses, options, and the truth about a run."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.front import Front, report_of
from tests.live.needs import needs


@needs("userns")
@pytest.mark.parametrize(
    ("command", "status"),
    [
        (("true",), 0),
        (("sh", "-c", "exit 3"), 3),
        (("sh", "-c", "exit 125"), 125),
        (("sh", "-c", "kill -TERM $$"), 143),
        (("sh", "-c", "kill -KILL $$"), 137),
        (("/etc/os-release",), 126),
        (("nosuchprogram",), 127),
        (("/nosuch/program",), 127),
    ],
)
def test_status_is_the_one_that_people_know(front: Front, command: tuple[str, ...], status: int) -> None:
    assert front.run("exec", "--", *command).returncode == status


@needs("userns")
def test_wall_clock_is_status_124_and_tells_so(front: Front) -> None:
    done = front.run("exec", "--timeout", "200ms", "--", "sh", "-c", "echo part; sleep 60")
    assert (done.returncode, done.stdout) == (124, "part\n")
    assert done.stderr == "sandboxer: the command was ended: it ran into the wall clock limit of 200 ms\n"


@needs("userns")
def test_quiet_keeps_the_note_of_the_end_to_itself(front: Front) -> None:
    assert front.run("exec", "-q", "--timeout", "200ms", "--", "sleep", "60").stderr == ""


@needs("userns")
def test_streams_are_the_commands_own(front: Front) -> None:
    done = front.run("exec", "--", "sh", "-c", "cat; echo error >&2", stdin="input")
    assert (done.stdout, done.stderr) == ("input", "error\n")


@needs("userns")
def test_command_may_stand_without_separator(front: Front) -> None:
    assert front.run("exec", "-q", "echo", "-n", "--flag").stdout == "--flag"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "there is no command"),
        (("--",), "there is no command after `--`"),
        (("python", "--", "ls"), "it is unclear whether 'python' is the command"),
        (("--set", "memory", "--", "ls"), "--set memory has no value"),
        (("--fd", "1", "--", "ls"), "--fd 1 is not a descriptor above 2"),
        (("--fd", "x", "--", "ls"), "--fd x is not a descriptor above 2"),
    ],
)
def test_wrong_command_line_is_status_2(front: Front, arguments: tuple[str, ...], message: str) -> None:
    done = front.run("exec", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"sandboxer: {message}")


def test_profile_that_there_is_not_is_status_125(front: Front) -> None:
    done = front.run("exec", "-p", "nosuch", "--", "true")
    assert done.returncode == 125
    assert "there is no profile 'nosuch'" in done.stderr


def test_profile_that_is_wrong_points_at_the_value(front: Front) -> None:
    front.profile("wrong", "limits: {open_files: many}")
    done = front.run("exec", "-p", "wrong", "--", "true")
    assert done.returncode == 125
    assert ".sandboxer/profiles/wrong.yaml:5:22" in done.stderr
    assert "^" in done.stderr


@needs("userns")
def test_failed_step_is_told_with_its_place(front: Front) -> None:
    done = front.run("exec", "-w", "/usr/nowhere", "--", "true")
    assert done.returncode == 125
    assert done.stderr.startswith("sandboxer: command line: cannot work in /usr/nowhere: ENOENT\n   | --workdir /usr/nowhere\n")
    assert "  why: " in done.stderr


@needs("userns")
def test_failed_step_is_told_the_same_from_the_cache(front: Front) -> None:
    first = front.run("exec", "-w", "/usr/nowhere", "--", "true")
    assert len(front.plans) == 1
    assert front.run("exec", "-w", "/usr/nowhere", "--", "true").stderr == first.stderr


@needs("userns")
def test_variable_of_the_caller_stays_outside(front: Front) -> None:
    front.env["SECRET"] = "1"
    assert "SECRET" not in front.run("exec", "--", "env").stdout


@needs("userns")
def test_variable_that_is_named_comes_in(front: Front) -> None:
    front.env["SECRET"] = "1"
    shown = front.run("exec", "-e", "SECRET", "--env", "OTHER=a=b", "--", "env").stdout.splitlines()
    assert {"SECRET=1", "OTHER=a=b"} <= set(shown)


@needs("userns")
def test_value_of_a_variable_is_in_no_file(front: Front) -> None:
    front.run("exec", "-e", "TOKEN=hunter2-value", "--report", "report.json", "--", "true")
    files = [*front.plans, front.project / "report.json"]
    assert len(files) == 2
    assert not any(b"hunter2-value" in path.read_bytes() for path in files)


@needs("userns")
def test_read_option_shows_a_file_and_its_twin_does_not(front: Front, tmp_path: Path) -> None:
    secret = tmp_path / "data"
    secret.write_text("data\n")
    secret.chmod(0o644)
    tmp_path.chmod(0o755)
    assert front.run("exec", "--", "cat", str(secret)).returncode == 1
    assert front.run("exec", "--read", str(secret), "--", "cat", str(secret)).stdout == "data\n"


def test_option_beyond_the_profile_is_refused(front: Front) -> None:
    done = front.run("exec", "--network", "host", "--", "true")
    assert done.returncode == 125
    assert "this profile does not allow --network host" in done.stderr


@needs("userns")
def test_descriptor_that_is_allowed_arrives(front: Front) -> None:
    read_fd, write_fd = os.pipe()
    front.profile("fds", f"options: {{fds: [{write_fd}]}}")
    done = front.run("exec", "-p", "fds", "--fd", str(write_fd), "--", "bash", "-c", f"echo hi >&{write_fd}", pass_fds=[write_fd])
    os.close(write_fd)
    assert done.returncode == 0, done.stderr
    assert os.read(read_fd, 10) == b"hi\n"
    os.close(read_fd)


def test_descriptor_that_is_not_allowed_is_refused(front: Front) -> None:
    assert "does not allow --fd 7" in front.run("exec", "--fd", "7", "--", "true").stderr


@needs("userns")
def test_working_directory_is_the_one_that_is_named(front: Front) -> None:
    assert front.run("exec", "-w", "/usr/bin", "--", "pwd").stdout == "/usr/bin\n"


@needs("userns")
def test_report_goes_to_its_file(front: Front) -> None:
    done = front.run("exec", "--report", "out.json", "--", "sh", "-c", "exit 4")
    report = report_of(front.project / "out.json")
    assert (done.returncode, done.stdout, done.stderr) == (4, "", "")
    assert (report["reason"], report["exit_code"], report["profile"]) == ("exited", 4, "default")
    assert report["timings"]["setup_us"] > 0
    assert {line["control"] for line in report["enforcement"]} >= {"seccomp", "filesystem", "namespaces"}


@needs("userns")
def test_report_tells_a_timeout_from_an_exit_of_124(front: Front) -> None:
    front.run("exec", "--report", "a.json", "--", "sh", "-c", "exit 124")
    front.run("exec", "--report", "b.json", "--timeout", "100ms", "--", "sleep", "60")
    reports = [report_of(front.project / name) for name in ("a.json", "b.json")]
    assert [report["status"] for report in reports] == [124, 124]
    assert [report["reason"] for report in reports] == ["exited", "wall_timeout"]


@needs("userns")
def test_report_on_standard_output_follows_the_commands(front: Front) -> None:
    shown = front.run("exec", "--report", "-", "--", "echo", "first").stdout
    assert shown.startswith("first\n{")
    assert json.loads(shown.partition("\n")[2])["reason"] == "exited"


def test_report_that_cannot_be_written_stops_the_start(front: Front) -> None:
    done = front.run("exec", "--report", "/nonexistent/report.json", "--", "touch", "made")
    assert done.returncode == 125
    assert "cannot write the report" in done.stderr
    assert not (front.project / "made").exists()


@needs("userns")
def test_report_cannot_be_moved_by_the_command(front: Front) -> None:
    front.profile("writes", f"filesystem: {{write: [{front.project}]}}")
    front.project.chmod(0o777)
    front.run("exec", "-p", "writes", "--report", "out.json", "--", "sh", "-c", "rm -f out.json; ln -s victim out.json")
    assert not (front.project / "victim").exists()


@needs("userns")
def test_json_is_one_line_on_standard_error(front: Front) -> None:
    done = front.run("exec", "--json", "--", "nosuchprogram")
    data = json.loads(done.stderr)
    assert (done.returncode, data["reason"], len(done.stderr.splitlines())) == (127, "not_found", 1)
    assert data["problems"][0]["what"].startswith("cannot run nosuchprogram")


def test_json_of_a_refusal_has_its_place(front: Front) -> None:
    path = front.profile("wrong", "limits: {open_files: many}")
    data = json.loads(front.run("exec", "--json", "-p", str(path), "--", "true").stderr)
    assert (data["reason"], data["status"], data["problems"][0]["where"]["line"]) == ("setup_failed", 125, 5)


@needs("userns")
def test_verbose_tells_what_is_enforced_and_used(front: Front) -> None:
    shown = front.run("exec", "-v", "--", "true").stderr
    assert "sandboxer: enforced: seccomp:" in shown
    assert "exited, status 0, wall" in shown


@needs("userns")
def test_signal_to_the_front_reaches_the_command(front: Front) -> None:
    arguments = [
        sys.executable,
        "-I",
        "-m",
        "sandboxer",
        "exec",
        "--",
        "sh",
        "-c",
        "trap 'echo got; exit 5' INT; echo ready; while :; do sleep 0.05; done",
    ]
    with subprocess.Popen(arguments, cwd=front.project, env=front.environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "got\n"
        assert process.wait(30) == 5


@needs("userns")
def test_terminal_belongs_to_the_command(front: Front) -> None:
    master, slave = pty.openpty()
    arguments = [
        sys.executable,
        "-I",
        "-m",
        "sandboxer",
        "exec",
        "-t",
        "--",
        "sh",
        "-c",
        "tty; test -t 0 && test -t 1 && echo both",
    ]
    done = subprocess.run(
        arguments, cwd=front.project, env=front.environment, stdin=slave, stdout=slave, stderr=slave, timeout=60, check=False
    )
    os.close(slave)
    shown = b""
    while b"both" not in shown and (piece := os.read(master, 1000)):
        shown += piece
    os.close(master)
    assert done.returncode == 0
    assert b"/dev/pts/0" in shown


@needs("userns")
def test_front_that_is_killed_leaves_nothing(front: Front) -> None:
    front.profile("writes", f"filesystem: {{write: [{front.project}]}}")
    front.project.chmod(0o777)
    script = "while :; do date +%s%N > beat; sleep 0.02; done"
    arguments = [sys.executable, "-I", "-m", "sandboxer", "exec", "-p", "writes", "--", "sh", "-c", script]
    with subprocess.Popen(arguments, cwd=front.project, env=front.environment) as process:
        beat = front.project / "beat"
        end = time.monotonic() + 30
        while not beat.exists() and time.monotonic() < end:
            time.sleep(0.01)
        process.kill()
        process.wait()
    time.sleep(0.3)
    last = beat.read_text()
    time.sleep(0.2)
    assert beat.read_text() == last
