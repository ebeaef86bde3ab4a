"""`exec --explain` of boxes in SELinux domains: what was refused, from the kernel's records. As root, who may read them.

Two modules are loaded once: that of `narrow`, and that of `wide`, which is `narrow` with what it was told to lack. Each refusal
has a twin that is allowed, and leaves none.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sandboxer.controls.lsm.selinux import SHARED_TYPE
from tests.live.boxes import Box
from tests.live.users import Installation, Person
from tests.vm.selinux.labelled import GENERATE, LABEL, PROJECT, load, relabel, write_profile

MORE = "seccomp: {allow: ['@network']}\nlandlock: {unhandled: [signal]}\n"
CAPABLE = "capabilities: {keep: [dac_override], ambient: [dac_override]}\n"
SOCKET = "import socket; made = attempt(socket.socket, socket.AF_INET); print(made)"
LOCKED = "import os; os.close(os.open('/tmp/locked', os.O_CREAT, 0)); print(attempt(open, '/tmp/locked'))"
CLOSED = "SELinux does not let unconfined_t read the kernel's audit log (capability2 audit_read)"


@pytest.fixture(scope="module")
def closed(caller: Person, installation: Installation) -> Box:
    """A labelled directory of root's, whose boxes' domain is loaded; but nobody may read the log yet."""
    box = Box(caller, installation, caller.directory("explained"))
    box.directory("kept")
    box.write("kept/note", "note\n")
    write_profile(box, "plain", PROJECT, MORE)
    write_profile(box, "narrow", PROJECT, MORE + GENERATE)
    load(box, "narrow")
    relabel(box.place)
    return box


@pytest.fixture(scope="module")
def module(closed: Box) -> str:
    """The name of the module of `narrow`."""
    return load(closed, "narrow")


@pytest.fixture(scope="module")
def project(closed: Box, module: str) -> Box:
    """The same, with a log that can be read."""
    write_profile(closed, "wide", PROJECT, f"{MORE}{GENERATE}{CAPABLE}network: {{mode: loopback}}\n")
    load(closed, "wide", Path(__file__).with_name("listening.cil"))
    return closed


def explained(box: Box, *command: str, profile: str = "narrow", status: int = 0) -> tuple[str, dict[str, Any]]:
    """What the job printed, and what is told of SELinux."""
    done, data = box.told(*command, options=["--explain", "--quiet"], profile=profile)
    assert done.returncode == status, done.stderr
    return done.stdout, data["denials"]["selinux"]


def words(found: dict[str, Any]) -> dict[str, int]:
    return {row["words"]: row["count"] for row in found["rows"]}


def is_silent(found: dict[str, Any]) -> bool:
    """Whether it was listened to, and nothing was refused."""
    return (found["is_heard"], found["rows"], found["count"], found["losses"]) == (True, [], 0, [])


def test_root_whom_the_policy_does_not_let_read_the_log_is_told_the_permission(closed: Box, module: str) -> None:
    """It comes first: the other tests load what is missing here."""
    seen, found = explained(closed, "cat", "kept/note")
    assert (seen, found["label"], found["is_heard"], found["unheard"]) == ("note\n", f"{module}_t", False, CLOSED)


def test_types_that_the_module_lacks_are_told_with_the_labels_that_would_do(project: Box, module: str) -> None:
    for kind in ("user_home_t", "etc_t", SHARED_TYPE):
        project.write(kind, "text\n")
        relabel(project.place / kind, kind)
    script = (
        f"cat user_home_t || echo unread; cat etc_t; for i in 1 2; do echo x >> etc_t || echo unwritten; done; cat {SHARED_TYPE}"
    )
    seen, found = explained(project, "sh", "-c", script)
    assert seen.split() == ["unread", "text", "unwritten", "unwritten", "text"]
    assert words(found) == {'file (read): "user_home_t" (user_home_t)': 1, 'file (append): "etc_t" (etc_t)': 2}
    read, write = found["rows"]
    assert (found["label"], found["is_heard"], found["losses"], found["count"]) == (f"{module}_t", True, [], 3)
    assert (read["process"], read["section"], read["patch"], read["is_refused"]) == ("cat", "selinux", "", True)
    assert (write["process"], write["target"]) == ("sh", "system_u:object_r:etc_t:s0")
    inode = (project.place / "user_home_t").stat().st_ino
    assert f"chcon -h -t {SHARED_TYPE} FILE (find DIRECTORY -inum {inode})" in read["try"]
    relabel(project.place / "user_home_t")
    seen, found = explained(project, "cat", "user_home_t", "etc_t")
    assert seen == "text\ntext\n"
    assert is_silent(found)


def test_directory_with_another_label_below_one_that_is_shown_is_told_with_the_command_for_it(project: Box, module: str) -> None:
    project.write("deep/er/note", "text\n")
    relabel(project.place / "deep/er", "var_t")
    seen, found = explained(project, "sh", "-c", "ls -d deep/er || cat deep/er/note || ls -d deep")
    assert seen == "deep\n"
    path = f"{project.place}/deep/er"
    assert words(found) == {f'dir (getattr): "{path}" (var_t)': 1, 'dir (search): "er" (var_t)': 1}
    row = found["rows"][0]
    assert (row["path"], row["patch"], row["section"]) == (path, "", "selinux")
    command = row["try"].removeprefix("if it is the box's to use: ").partition(";")[0]
    assert command == f"chcon -hR -t {SHARED_TYPE} {path}"
    subprocess.run(shlex.split(command), check=True)
    seen, found = explained(project, "sh", "-c", "ls -d deep/er; cat deep/er/note")
    assert seen == "deep/er\ntext\n"
    assert is_silent(found)


def test_socket_of_a_box_without_a_network_is_told_with_the_patch_for_one(project: Box) -> None:
    seen, found = explained(project, *project.python(SOCKET))
    assert (seen, words(found)) == ("EACCES\n", {"tcp_socket (create)": 1})
    (row,) = found["rows"]
    assert (row["section"], row["patch"]) == ("network", "network:\n  mode: loopback")
    seen, found = explained(project, *project.python(SOCKET), profile="wide")
    assert seen == "ok\n"
    assert is_silent(found)


def test_capability_that_a_domain_by_name_lacks_is_told_with_the_rule_for_its_author(project: Box, module: str) -> None:
    by_name = f"selinux: {{type: {module}_t, file_type: {module}_file_t}}\n"
    write_profile(project, "under", PROJECT, f"{MORE}{CAPABLE}{by_name}")
    seen, found = explained(project, *project.python(LOCKED), profile="under")
    assert (seen, words(found)) == ("EACCES\n", {"cap_userns (dac_override)": 1})
    (row,) = found["rows"]
    assert (row["section"], row["patch"], row["risk"]) == ("selinux", "", "high")
    assert row["try"] == f"in a module of its own: (allow {module}_t self (cap_userns (dac_override)))"
    assert row["place"]["file"] == ".sandboxer/profiles/under.yaml"
    seen, found = explained(project, *project.python(LOCKED), profile="wide")
    assert seen == "ok\n"
    assert is_silent(found)


def test_signal_to_a_process_outside_of_the_domain_is_told_and_nothing_would_allow_it(project: Box) -> None:
    seen, found = explained(project, "sh", "-c", "kill -TERM 1 || echo refused; sleep 1000 & kill -TERM $!; wait $!; echo $?")
    assert seen == "refused\n143\n"
    assert words(found) == {"process (signal): unconfined_t": 1}
    (row,) = found["rows"]
    assert (row["patch"], row["section"]) == ("", "selinux")
    assert row["try"].startswith("nothing: ")


def test_pipe_that_is_opened_by_its_name_is_told_as_one_that_was_handed_in(project: Box) -> None:
    _, found = explained(project, "sh", "-c", "echo used; echo opened > /proc/self/fd/1 || echo refused")
    (row,) = found["rows"]
    assert (row["operation"], row["wanted"], row["patch"]) == ("fifo_file", "open", "")
    assert "have the job use the descriptor" in row["try"]


@pytest.mark.parametrize("categories", ["own", "none"])
def test_box_in_the_same_domain_beside_it_is_not_heard(project: Box, categories: str) -> None:
    """Where it has other categories its context tells it apart, else its processes."""
    write_profile(project, "beside", PROJECT, f"{MORE}selinux: {{type: generate, categories: {categories}}}\n")
    loud = f"import time\nprint('begun', flush=True)\nfor _ in range(1000):\n    {SOCKET}\n    time.sleep(0.02)"
    other = subprocess.Popen(
        project.words(project.python(loud), profile="beside"), cwd=project.place, env=project.person.environment(),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "begun\n"
        _, found = explained(project, *project.python(SOCKET), profile="beside")
        assert other.poll() is None
    finally:
        other.terminate()
        other.communicate()
    assert (words(found), found["losses"]) == ({"tcp_socket (create)": 1}, [])


def test_permissive_kernel_tells_what_it_would_refuse_and_refuses_nothing(project: Box, module: str, permissive: None) -> None:
    write_profile(project, "easy", PROJECT, f"{MORE}selinux: {{type: generate, enforce: best_effort}}\n")
    seen, found = explained(project, *project.python(SOCKET), profile="easy")
    assert (seen, found["label"]) == ("ok\n", f"{module}_t")
    rows = {row["words"]: row for row in found["rows"]}
    row = rows["tcp_socket (create)"]
    assert (row["is_refused"], row["patch"]) == (False, "network:\n  mode: loopback")
    assert found["losses"] == [
        "SELinux is permissive, and records each kind of access to a type once: how often it happened is not known"
    ]
    done = project.run(*project.python(SOCKET), options=["--explain"], profile="easy")
    assert f"sandboxer: SELinux's {module}_t refused nothing, and recorded" in done.stderr
    assert "tcp_socket (create), once, and it happened" in done.stderr


def test_box_without_a_domain_has_nothing_to_tell(project: Box) -> None:
    seen, found = explained(project, "sh", "-c", LABEL, profile="plain")
    assert ":unconfined_t:" in seen
    assert found is None


def test_ordinary_user_is_told_in_one_line_that_it_is_not_seen(ordinary: Person, project: Box) -> None:
    box = Box(ordinary, project.installation, ordinary.directory(f"explained-{os.urandom(4).hex()}"))
    box.directory("kept")
    write_profile(box, "narrow", PROJECT, MORE + GENERATE)
    load(box, "narrow")
    relabel(box.place)
    done = box.run(*box.python(SOCKET), options=["--explain"], profile="narrow")
    assert (done.returncode, done.stdout) == (0, "EACCES\n"), done.stderr
    lines = [line for line in done.stderr.splitlines() if "SELinux refused is not seen" in line]
    assert lines == [
        "sandboxer: what SELinux refused is not seen: only root of the first user namespace may read the kernel's audit log"
    ]
