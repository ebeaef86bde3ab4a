"""`files` and `collect`: a run's own directory, as root and as an ordinary user, under the shipped profiles."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.live.leaks import adopt_orphans, read_traces, wait_until_gone
from tests.live.needs import needs
from tests.live.users import Installation, Person

TELL = """
import json, sys, sandboxer
def tell(result):
    files = result.files
    print(json.dumps({
        "reason": result.reason.value, "detail": result.detail, "out": result.stdout.decode(), "err": result.stderr.decode(),
        "files": None if files is None else {name: data.decode("latin-1") for name, data in files.items()},
        "left": {} if files is None else {item.name: item.why for item in files.left_out},
    }))
def run(script, profile, **more):
    tell(sandboxer.run(["sh", "-c", script], profile, **more))
"""


@pytest.fixture(autouse=True)
def clean(leaves_nothing: None) -> None:
    """Nothing is left of any of them."""


def run(person: Person, installation: Installation, workplace: Path, code: str) -> dict[str, Any]:
    done = person.run([installation.python, "-c", TELL + code], cwd=workplace)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@needs("userns")
@pytest.mark.parametrize("profile", ["python", "strict"])
def test_files_go_in_and_come_back(person: Person, installation: Installation, workplace: Path, profile: str) -> None:
    script = "pwd; cat in/a; rm in/a; mkdir -p out/deep; cat b > out/deep/b; echo 1 > other"
    code = f'run({script!r}, {profile!r}, files={{"in/a": "text\\n", "b": b"\\0\\xff"}}, collect=["out/**"])'
    found = run(person, installation, workplace, code)
    assert (found["reason"], found["out"], found["files"]) == ("exited", "/box\ntext\n", {"out/deep/b": "\0\xff"}), found
    assert not list(workplace.iterdir())


@needs("userns")
def test_files_come_back_after_a_kill(person: Person, installation: Installation, workplace: Path) -> None:
    found = run(person, installation, workplace, 'run("echo part > a; exec sleep 60", "strict", collect=["*"], timeout=0.5)')
    assert (found["reason"], found["files"]) == ("wall_timeout", {"a": "part\n"})


@needs("userns")
def test_hostile_files_are_left_out(person: Person, installation: Installation, workplace: Path) -> None:
    script = (
        "ln -s /etc/passwd link; mkfifo fifo; ln -s / root; mkdir shut; echo x > shut/x; echo x > unreadable; "
        "chmod 0 unreadable shut; touch \"$(printf 'a\\nb')\"; truncate -s 100M sparse; ln ok hard; echo fine > ok; ln ok hard"
    )
    found = run(person, installation, workplace, f'run({script!r}, "python", collect=["**", "root/etc/passwd"])')
    left = found["left"]
    assert left["link"] == left["root"] == "it is a symbolic link"
    assert left["fifo"] == "it is a FIFO"
    assert left["a\\nb"] == "its name is not plain text"
    assert "104857600 bytes" in left["sparse"]
    assert (found["files"]["ok"], found["files"]["hard"]) == ("fine\n", "fine\n")
    assert not any("root:" in data for data in found["files"].values())
    shut = {name for name in (*found["files"], *left) if name.startswith(("unreadable", "shut"))}
    assert shut == ({"unreadable", "shut/x"} if person.uid == 0 else {"unreadable", "shut"})  # root reads what nobody may


@needs("userns")
def test_directory_is_bounded_by_the_profile(person: Person, installation: Installation, workplace: Path) -> None:
    (workplace / "small.yaml").write_text(
        "kind: profile\nname: small\ndescription: a small disk\nextends: [strict]\nlimits: {disk: 1M}\n"
    )
    code = 'run("cat /dev/zero > a", "./small.yaml", collect=["b"])'
    found = run(person, installation, workplace, code)
    assert (found["reason"], found["files"]) == ("disk_quota", {}), found
    code = 'run("true", "./small.yaml", files={"a": bytes(2 << 20)})'
    found = run(person, installation, workplace, code)
    (workplace / "small.yaml").unlink()
    assert found["reason"] == "setup_failed"
    assert "cannot put the file a into the box\n  why: No space left on device" in found["detail"]


@needs("userns")
def test_programs_cannot_be_run_from_there(person: Person, installation: Installation, workplace: Path) -> None:
    code = 'run("cp /bin/true t; chmod 755 t; ./t || echo refused; sh ./s", "python", files={"s": "echo script"})'
    assert run(person, installation, workplace, code)["out"] == "refused\nscript\n"


@needs("userns")
def test_project_is_not_needed_for_it(person: Person, installation: Installation, workplace: Path) -> None:
    """The profile grants nothing of the host for it, and the same profile without it starts in the project."""
    code = 'run("pwd; ls /box", "default")'
    found = run(person, installation, workplace, code)
    assert (found["out"], found["files"]) == (f"{workplace}\n", None)
    found = run(person, installation, workplace, 'run("pwd; touch /box/a; ls /box", "default", files={})')
    assert (found["out"], found["files"]) == ("/box\na\n", None)


@needs("userns")
def test_plan_is_cached(person: Person, installation: Installation, workplace: Path) -> None:
    code = """
from sandboxer.run import start
run("true", "strict", files={"a": "1"})
def never(*_): raise AssertionError("compiled again")
start.prepare = never
run("cat b", "strict", files={"b": "2"})
"""
    done = person.run([installation.python, "-c", TELL + code], cwd=workplace)
    assert json.loads(done.stdout.splitlines()[-1])["out"] == "2", done.stderr


@needs("userns")
def test_python_that_is_killed_while_it_fills_leaves_nothing(person: Person, installation: Installation, workplace: Path) -> None:
    """The child waits for its files then, and ends with whom it waits for."""
    adopt_orphans()
    before = read_traces([workplace])
    code = (
        "import time\nfrom sandboxer.run.scratch import scratch\n"
        "def fill(*_):\n print('here', flush=True)\n time.sleep(60)\n"
        "scratch.fill = fill\n"
        'run("true", "strict", files={"a": "1"})\n'
    )
    process = person.start([installation.python, "-c", TELL + code], cwd=workplace)
    assert process.stdout is not None
    assert process.stdout.readline() == b"here\n"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert wait_until_gone(before, [workplace]) == []


@needs("userns")
def test_interrupt_while_it_fills_kills_the_box(person: Person, installation: Installation, workplace: Path) -> None:
    code = (
        "from sandboxer.run.scratch import scratch\n"
        "def fill(*_): raise KeyboardInterrupt\n"
        "scratch.fill = fill\n"
        'try:\n run("true", "strict", files={"a": "1"})\nexcept KeyboardInterrupt:\n'
        ' print(open("/proc/thread-self/children").read().strip())\n'
    )
    done = person.run([installation.python, "-c", TELL + code], cwd=workplace)
    assert (done.stdout, done.returncode) == ("\n", 0), done.stderr


@needs("userns")
def test_files_with_explain(person: Person, installation: Installation, workplace: Path) -> None:
    code = 'run("cat a; echo b > b", "python", files={"a": "1"}, collect=["b"], explain=True)'
    found = run(person, installation, workplace, code)
    assert (found["out"], found["files"]) == ("1", {"b": "b\n"}), found
