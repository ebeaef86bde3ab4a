"""A start where no box can be had, under a profile that lets it: Landlock, the filter and the limits hold what they can."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import textwrap
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.live.around import CONTAINER_CALLS, EPERM, READ_ONLY_GROUPS, hiding, in_container
from tests.live.boxes import GROUND, Box, enforced, in_own_mounts
from tests.live.leaks import descendants
from tests.live.needs import needs
from tests.live.users import TIMEOUT_S

ANYWHERE = (*GROUND, "box/anywhere")
LOST = "weakened: the command runs without a box"
BECOMES = 1_900_000_000


@pytest.fixture
def anywhere(box: Box) -> Iterator[Box]:
    """With a profile that lets the box go. Root's command is nobody's then, and has to get there."""
    box.profile(policies=ANYWHERE)
    mode = box.person.home.stat().st_mode
    box.person.home.chmod(0o755)
    box.place.chmod(0o755)
    yield box
    box.person.home.chmod(mode)


@pytest.fixture
def unboxed(anywhere: Box) -> Box:
    """In a container as it is started by default."""
    return replace(anywhere, ahead=in_container(anywhere.installation))


@pytest.fixture
def secret(box: Box) -> Iterator[Path]:
    """A file outside of what is granted, that everybody may read."""
    path = box.person.home / f"secret-{os.urandom(4).hex()}"
    path.write_text("text")
    yield path
    path.unlink()


def is_roots(box: Box) -> bool:
    return box.person.uid == 0


@needs("root", "userns", "landlock>=6")
def test_profile_that_requires_a_box_names_the_policy_that_does_not(unboxed: Box) -> None:
    unboxed.profile()
    said = unboxed.refusal()
    assert "a new user namespace" in said
    assert "policies: [box/anywhere]" in said


@needs("root", "userns", "landlock>=6")
def test_sections_that_still_require_it_say_what_would_be_lost(unboxed: Box) -> None:
    unboxed.profile("namespaces: {enforce: best_effort}")
    said = unboxed.refusal()
    assert "without a box there is no keeping of: names and attributes of files are not confined" in said
    assert "the section `filesystem` is required, and no box can be had here: a system call filter around this process" in said
    assert "If that may be lost: filesystem: {enforce: best_effort}, or policies: [box/anywhere]" in said


@needs("root", "userns", "landlock>=6")
def test_what_a_box_refuses_is_refused_and_what_it_grants_is_not(unboxed: Box, secret: Path) -> None:
    (unboxed.place / "own").write_text("text")
    (unboxed.place / "own").chmod(0o644)
    code = f"""\
    seen["secret"] = attempt(read, {str(secret)!r})
    seen["own"] = attempt(read, "own"), attempt(execute, "/usr/bin/true")
    seen["tmp"] = attempt(write, "/tmp/mine")
    seen["proc"] = attempt(read, "/proc/self/status")
    seen["sockets"] = [attempt(lambda: socket.socket(kind).close()) for kind in (socket.AF_INET, socket.AF_UNIX)]
    seen["unshare"] = raw(272, 0)
    seen["outside"] = attempt(os.kill, {os.getpid()}, 0), attempt(os.kill, os.getppid(), 0), attempt(os.kill, os.getpid(), 0)
    seen["gains"] = libc.prctl(39, 0, 0, 0, 0), libc.prctl(21, 0, 0, 0, 0)
    seen["session"] = os.getsid(0) == os.getpid()
    """
    assert unboxed.look(textwrap.dedent(code)) == {
        "secret": "EACCES",
        "own": ["ok", "ok"],
        "tmp": "EACCES",
        "proc": "EACCES",
        "sockets": ["EAFNOSUPPORT", "ok"],
        "unshare": "EPERM",
        "outside": ["EPERM", "EPERM", "ok"],
        "gains": [1, 2],
        "session": True,
    }


@needs("root", "userns", "landlock>=6")
def test_the_same_profile_has_a_box_where_one_can_be_had(unboxed: Box) -> None:
    done, report = replace(unboxed, ahead=()).told("sh", "-c", "echo $$; ls /proc | grep -c '^[0-9]'")
    assert done.returncode == 0
    assert LOST not in enforced(report, "namespaces")
    assert enforced(report, "namespaces")[0].startswith("enforced: new namespaces: ")


@needs("root", "userns", "landlock>=6")
def test_what_is_lost_is_told_in_the_report_and_in_one_line_each(unboxed: Box) -> None:
    done, report = unboxed.told("true")
    assert done.returncode == 0
    assert enforced(report, "namespaces")[0] == LOST
    assert "weakened: names and attributes of files are not confined" in enforced(report, "filesystem")
    assert "sandboxer: weakened: namespaces: the command runs without a box (sandboxer check box: what to do)" in done.stderr
    assert unboxed.run("true", options=["--quiet"]).stderr == ""


@needs("root", "userns", "landlock>=6")
def test_root_with_all_capabilities_whom_a_filter_lets_mount_nothing_has_no_box_either(unboxed: Box) -> None:
    filters = (*hiding(unboxed.installation, ["clone3"]), *hiding(unboxed.installation, CONTAINER_CALLS, answer=EPERM))
    ahead = (*in_own_mounts(READ_ONLY_GROUPS), *filters)
    done, report = replace(unboxed, ahead=ahead).told("true")
    assert done.returncode == 0, done.stderr
    assert enforced(report, "namespaces")[0] == LOST


@needs("root", "userns", "landlock>=6")
def test_roots_command_is_nobodys_and_an_ordinary_users_is_its_own(unboxed: Box) -> None:
    code = "seen.update(ids=[*os.getresuid(), *os.getresgid()], groups=os.getgroups())"
    expected = BECOMES if is_roots(unboxed) else unboxed.person.uid
    assert unboxed.look(code) == {"ids": [expected] * 6, "groups": []}


@needs("root", "userns", "landlock>=6")
def test_files_are_written_where_that_is_granted_and_the_ids_may(unboxed: Box) -> None:
    if is_roots(unboxed):
        os.chown(unboxed.place, BECOMES, BECOMES)
    unboxed.output("sh", "-c", "echo text > made")
    assert (unboxed.place / "made").read_text() == "text\n"
    os.chown(unboxed.place, unboxed.person.uid, unboxed.person.gid)


@needs("root", "userns", "landlock>=6")
def test_abstract_sockets_of_others_are_out_of_reach(unboxed: Box) -> None:
    name = f"\0sandboxer-{os.urandom(4).hex()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        code = f"seen['theirs'] = attempt(socket.socket(socket.AF_UNIX).connect, {name!r})"
        assert unboxed.look(code) == {"theirs": "EPERM"}


@needs("root", "userns", "landlock>=6")
def test_wall_clock_ends_it_and_all_that_it_started(unboxed: Box) -> None:
    unboxed.profile("limits: {wall: 500ms, grace: 0}", policies=ANYWHERE)
    with unboxed.leaves_nothing():
        done, report = unboxed.told("sh", "-c", "setsid sleep 600 & sleep 600")
    assert (done.returncode, report["reason"]) == (124, "wall_timeout")


@needs("root", "userns", "landlock>=6")
def test_what_the_command_leaves_is_killed_when_it_ends(unboxed: Box, leaves_nothing: None) -> None:
    assert unboxed.output("sh", "-c", "setsid sleep 600 & (sleep 600 &) ; echo left") == "left\n"


@needs("root", "userns", "landlock>=6")
def test_death_of_sandboxer_ends_it(unboxed: Box, leaves_nothing: None) -> None:
    command = ["sh", "-c", "setsid sleep 600 & echo begun; sleep 600"]
    environment = unboxed.person.environment()
    with subprocess.Popen(unboxed.words(command), cwd=unboxed.place, env=environment, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.DEVNULL) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline() == "begun\n"
        child.send_signal(signal.SIGKILL)
        child.wait(timeout=TIMEOUT_S)
        end = time.monotonic() + TIMEOUT_S
        while descendants(child.pid):
            assert time.monotonic() < end
            time.sleep(0.01)


@needs("root", "userns", "landlock>=6")
def test_there_is_no_start_without_landlock(unboxed: Box) -> None:
    unboxed = replace(unboxed, ahead=(*unboxed.ahead, *hiding(unboxed.installation, ["landlock_create_ruleset"])))
    assert "without a box Landlock alone holds files, and it cannot be used here" in unboxed.refusal()


@needs("root", "userns", "landlock>=6")
def test_terminal_and_what_needs_mounts_are_refused_with_the_reason(unboxed: Box) -> None:
    assert "a terminal of its own needs a box" in unboxed.refusal(options=["--tty"])
    code = "import sandboxer; sandboxer.run(['true'], profile='box', files={'a': b'x'})"
    done = subprocess.run(
        [*unboxed.ahead, *unboxed.person.prefix, unboxed.installation.python, "-I", "-c", code], cwd=unboxed.place,
        env=unboxed.person.environment(), capture_output=True, text=True, timeout=TIMEOUT_S,
    )  # fmt: skip
    assert "UnsupportedError: files that are handed to a run, and sessions, need a box" in done.stderr, done.stderr


@needs("root", "userns", "landlock>=6")
def test_proof_tries_what_needs_no_mounts_and_says_so_of_the_rest(unboxed: Box) -> None:
    command = [*unboxed.ahead, *unboxed.person.prefix, unboxed.installation.command, "check", "--prove", "--json", "box"]
    done = subprocess.run(command, cwd=unboxed.place, env=unboxed.person.environment(), capture_output=True, text=True)
    rows = json.loads(done.stdout)["profiles"][0]["rows"]
    assert not [row for row in rows if row["verdict"] == "broken"]
    verdicts = {row["row"]: row["verdict"] for row in rows}
    untried = {"filesystem.shown", "filesystem.write", "filesystem.hide", "devices", "landlock", "namespaces"}
    assert {row for row, verdict in verdicts.items() if verdict == "untried"} <= untried | {"filesystem.proc_mask"}
    assert {verdict for row, verdict in verdicts.items() if row not in untried} <= {"holds", "weaker"}
    assert verdicts["seccomp.calls"] == verdicts["capabilities"] == verdicts["network.mode"] == "holds"


@needs("root", "userns", "landlock>=6")
def test_refused_calls_are_explained_with_the_wall_that_stands_for_a_network(unboxed: Box) -> None:
    done = unboxed.run(*unboxed.python("socket.socket(socket.AF_INET)"), options=["--explain"])
    assert "socket(family=AF_INET" in done.stderr
    assert "why:  what is in place denies socket(family not AF_UNIX) -> EAFNOSUPPORT" in done.stderr
