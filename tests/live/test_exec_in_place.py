"""`sandboxer exec --in-place`: the process becomes the command, and what it can keep of the profile is kept."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import textwrap
from pathlib import Path

import pytest

from tests.live.boxes import Box
from tests.live.confined import HEAD, LESS
from tests.live.inside import PRELUDE
from tests.live.needs import needs
from tests.live.users import TIMEOUT_S

OPTIONS = ("--in-place", "--weaken", "-q")


@needs("landlock>=3")
def test_what_a_box_refuses_is_refused_and_what_it_grants_is_not(box: Box) -> None:
    secret = box.person.home / "in-place"
    secret.write_text("text")
    os.chown(secret, box.person.uid, box.person.gid)
    box.write("own")
    code = f"""\
    seen["secret"] = attempt(read, {str(secret)!r})
    seen["own"] = attempt(read, "own"), attempt(write, "new"), attempt(execute, "/usr/bin/true")
    seen["sockets"] = [attempt(lambda: socket.socket(kind).close()) for kind in (socket.AF_INET, socket.AF_UNIX)]
    seen["unshare"] = raw(272, 0)
    seen["outside"] = attempt(os.kill, {os.getpid()}, 0), attempt(os.kill, os.getpid(), 0)
    """
    assert box.look(textwrap.dedent(code), options=OPTIONS) == {
        "secret": "EACCES",
        "own": ["ok", "ok", "ok"],
        "sockets": ["EAFNOSUPPORT", "ok"],
        "unshare": "EPERM",
        "outside": ["EPERM", "ok"],
    }


def test_status_is_the_commands_own(box: Box) -> None:
    assert box.run("sh", "-c", "exit 7", options=OPTIONS).returncode == 7
    assert box.run("sh", "-c", "exit 0", options=OPTIONS).returncode == 0
    assert box.run("sh", "-c", "kill -TERM $$", options=OPTIONS).returncode == -signal.SIGTERM


def test_it_is_the_process_that_was_started(box: Box) -> None:
    with subprocess.Popen(box.words(["sh", "-c", "echo $$"], OPTIONS), cwd=box.place, env=box.person.environment(),
                          stdout=subprocess.PIPE, text=True) as child:  # fmt: skip
        assert child.communicate(timeout=TIMEOUT_S)[0] == f"{child.pid}\n"


def test_streams_environment_and_descriptors_are_as_in_a_box(box: Box) -> None:
    box.profile("environment: {set: {GREETING: hello}, pass: [MINE]}\nprocess: {fds: [9]}")
    code = """\
    seen["variables"] = [os.environ.get(name) for name in ("GREETING", "MINE", "OTHER")]
    seen["descriptors"] = [attempt(os.fstat, number) for number in (7, 9)]
    seen["input"] = sys.stdin.read()
    """
    command = box.words([*box.python(textwrap.dedent(code) + "\nprint(json.dumps(seen))")], OPTIONS)
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" 7</dev/null 9</dev/null', "sh", *command], cwd=box.place, input="in", text=True,
        env=box.person.environment({"MINE": "1", "OTHER": "2"}), stdout=subprocess.PIPE, timeout=TIMEOUT_S,
    )  # fmt: skip
    assert json.loads(done.stdout) == {"variables": ["hello", "1", None], "descriptors": ["EBADF", "ok"], "input": "in"}


def test_working_directory_is_the_callers_or_the_one_asked_for(box: Box) -> None:
    box.directory("below")
    assert box.output("pwd", options=OPTIONS) == f"{box.place}\n"
    assert box.output("pwd", options=[*OPTIONS, "--workdir", "below"]) == f"{box.place}/below\n"


def test_required_sections_refuse_before_anything_runs(box: Box) -> None:
    said = box.refusal(options=["--in-place"])
    assert "in place there is no keeping of: a new pid namespace" in said
    assert "--weaken" in said


@needs("landlock>=3")
def test_losses_are_told_and_all_of_it_with_verbose(box: Box) -> None:
    box.profile(LESS)
    done = box.run("true", options=["--in-place"])
    assert done.returncode == 0
    assert "sandboxer: weakened: namespaces: a new pid namespace\n" in done.stderr
    assert "enforced" not in done.stderr
    done = box.run("true", options=["--in-place", "-v"])
    assert "sandboxer: enforced: process: execve gives no rights\n" in done.stderr
    assert "  lost: processes of the caller's outside" in done.stderr


@needs("landlock>=3")
@pytest.mark.parametrize(
    ("command", "status", "message"),
    [
        ("nosuch", 127, "cannot run nosuch: no such program"),
        ("./nosuch", 127, "cannot run ./nosuch: no such program"),
        ("./plain", 126, "it lacks the x bit"),
        ("./mine", 126, "the profile does not let it be executed"),
    ],
)
def test_command_that_cannot_be_started_is_told_in_words(box: Box, command: str, status: int, message: str) -> None:
    box.write("plain")
    shutil.copy("/usr/bin/true", box.place / "mine")
    (box.place / "mine").chmod(0o755)
    box.profile("filesystem: {read: ['${cwd}']}", policies=["box/application"])
    done = box.run(command, options=OPTIONS)
    assert (done.returncode, done.stdout) == (status, "")
    assert message in done.stderr
    box.profile("filesystem: {execute: ['${cwd}']}", policies=["box/application"])
    assert box.run("./mine", options=OPTIONS).returncode == 0


@pytest.mark.parametrize("flag", ["--timeout=3s", "--report=x", "--json", "--usage", "--explain", "--tty"])
def test_what_needs_a_monitor_is_refused(box: Box, flag: str) -> None:
    done = box.run("true", options=[*OPTIONS, flag])
    assert done.returncode == 2
    assert f"{flag.partition('=')[0]} cannot be had with --in-place: nobody stays behind to " in done.stderr


def test_weaken_is_for_in_place_only(box: Box) -> None:
    done = box.run("true", options=["--weaken"])
    assert (done.returncode, "--weaken is for --in-place" in done.stderr) == (2, True)


@needs("landlock>=3")
def test_nested_it_narrows_further(box: Box) -> None:
    """As the command of another one, from an installation that the first profile shows."""
    own = f"filesystem: {{execute: ['{box.installation.package.parents[3]}'], %s}}\n"
    box.write("file")
    box.profile(own % "read: ['${cwd}']", policies=["box/application"])
    box.profile(own % "read: ['${cwd}/.sandboxer']", policies=["box/application"], name="narrow")
    inner = [str(box.installation.command), "exec", "-p", "narrow", *OPTIONS, "--"]
    assert box.output("sh", "-c", "cat file && echo ok", options=OPTIONS) == "ok\n"
    assert box.output(*inner, "sh", "-c", "cat file || echo no", options=OPTIONS) == "no\n"


def test_both_doors_make_the_same_process(box: Box) -> None:
    """The launcher in C and the library in Python apply one plan; the kernel shows what came of it."""
    box.profile("limits: {open_files: 77, niceness: 3}")
    through_launcher = _state(box, box.words(box.python("print(flush=True); sys.stdin.read()"), OPTIONS))
    code = HEAD + PRELUDE + "sandboxer.restrict('box', weaken=True); print(flush=True); sys.stdin.read()"
    through_python = _state(box, [*box.person.prefix, str(box.installation.python), "-I", "-c", code])
    assert through_python == through_launcher
    assert through_python["NoNewPrivs"] == "1"
    assert through_python["Seccomp_filters"] == "2"


def _state(box: Box, command: list[str]) -> dict[str, str]:
    """What the kernel says of a process that is confined, and waits."""
    with subprocess.Popen(
        command, cwd=box.place, env=box.person.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as child:
        assert child.stdout is not None
        child.stdout.read(1)
        process = Path(f"/proc/{child.pid}")
        rows = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines() if ":\t" in line)
        found = {
            name: value for name, value in rows.items() if name.startswith(("Cap", "NoNew", "Seccomp", "Uid", "Gid", "Groups"))
        }
        found["limits"] = (process / "limits").read_text()
        found["niceness"] = str(os.getpriority(os.PRIO_PROCESS, child.pid))
        child.communicate(timeout=TIMEOUT_S)
    assert child.returncode == 0
    return found
