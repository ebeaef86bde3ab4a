"""`exec --explain` of boxes under labels: what AppArmor refused, from the kernel's records. As root, who may read them."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

import pytest

from tests.live.boxes import Box
from tests.live.users import Installation, Person
from tests.vm.apparmor.labels import LABEL, PROJECT, load, write_profile

KEPT = "filesystem: {{read: ['{place}/kept'], working_directory: '{place}/kept'}}\n"
CALLS = "seccomp: {{allow: ['@network']}}\n"
SOCKET = "import socket; made = attempt(socket.socket, socket.AF_INET); print(made)"


@pytest.fixture
def person(caller: Person) -> Person:
    """Whoever runs the tests, which is root."""
    return caller


def explained(box: Box, *command: str, profile: str, status: int = 0) -> tuple[str, dict[str, Any]]:
    """What the job printed, and what is told of AppArmor."""
    done, data = box.told(*command, options=["--explain", "--quiet"], profile=profile)
    assert done.returncode == status, done.stderr
    return done.stdout, data["denials"]["apparmor"]


def words(found: dict[str, Any]) -> dict[str, int]:
    return {row["words"]: row["count"] for row in found["rows"]}


def test_what_a_profile_by_name_refuses_is_told_with_the_rule_for_its_author(project: Box, labels: list[str]) -> None:
    write_profile(project, "narrow", KEPT)
    label = load(project, "narrow", labels)
    write_profile(project, "under", PROJECT, f"apparmor: {{profile: {label}}}\n")
    project.write("a file", "text\n")
    work = "cat kept/note; cat 'a file' || echo unread; for i in 1 2 3; do echo x > made || echo refused; done"
    seen, found = explained(project, "sh", "-c", work, profile="under")
    place = project.place
    assert seen.split() == ["note", "unread", "refused", "refused", "refused"]
    assert words(found) == {f'open (r): "{place}/a file"': 1, f'mknod (c): "{place}/made"': 3}
    read, write = found["rows"]
    assert (found["label"], found["is_heard"], found["losses"], found["count"]) == (label, True, [], 4)
    assert (read["process"], read["path"], read["is_refused"], read["section"]) == ("cat", f"{place}/a file", True, "apparmor")
    assert (write["process"], write["patch"]) == ("sh", "")
    assert write["try"] == f'in {label}: "{place}/made" w,'
    assert write["place"]["file"] == ".sandboxer/profiles/under.yaml"
    assert project.output("sh", "-c", work, profile="plain").split() == ["note", "text"]


def test_network_that_the_policy_lacks_is_told_and_the_patch_gives_it(project: Box, labels: list[str]) -> None:
    write_profile(project, "ground", PROJECT, f"apparmor: {{profile: generate}}\n{CALLS.format()}")
    load(project, "ground", labels)
    seen, found = explained(project, *project.python(SOCKET), profile="ground")
    assert (seen, words(found)) == ("EACCES\n", {"create (create): inet stream": 1})
    (row,) = found["rows"]
    assert (row["section"], row["patch"]) == ("network", "network:\n  mode: loopback")
    text = f"kind: profile\nname: patched\ndescription: patched\nextends: [ground]\n{row['patch']}\n"
    project.write(".sandboxer/profiles/patched.yaml", text)
    load(project, "patched", labels)
    seen, found = explained(project, *project.python(SOCKET), profile="patched")
    assert (seen, found["rows"], found["count"], found["losses"]) == ("ok\n", [], 0, [])


def test_trial_in_complain_mode_tells_what_would_be_refused_and_refuses_nothing(project: Box, labels: list[str]) -> None:
    write_profile(project, "trial", PROJECT, f"apparmor: {{profile: generate, mode: complain}}\n{CALLS.format()}")
    label = load(project, "trial", labels)
    seen, found = explained(project, *project.python(SOCKET), profile="trial")
    assert (seen, found["label"]) == ("ok\n", label)
    rows = {row["operation"]: row for row in found["rows"]}
    assert (rows["create"]["is_refused"], rows["create"]["patch"]) == (False, "network:\n  mode: loopback")
    assert all(row["section"] == "network" for row in found["rows"])
    done = project.run(*project.python(SOCKET), options=["--explain"], profile="trial")
    assert f"sandboxer: AppArmor's {label} refused nothing, and recorded" in done.stderr
    assert "create (create): inet stream, once" in done.stderr


def test_box_under_the_same_label_beside_it_is_not_heard(project: Box, labels: list[str]) -> None:
    write_profile(project, "ground", PROJECT, f"apparmor: {{profile: generate}}\n{CALLS.format()}")
    load(project, "ground", labels)
    loud = f"import time\nprint('begun', flush=True)\nfor _ in range(200):\n    {SOCKET}\n    time.sleep(0.02)"
    other = subprocess.Popen(
        project.words(project.python(loud), profile="ground"), cwd=project.place, env=project.person.environment(),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "begun\n"
        _, found = explained(project, *project.python(SOCKET), profile="ground")
        assert other.poll() is None
    finally:
        other.terminate()
        other.communicate()
    assert words(found) == {"create (create): inet stream": 1}


def test_box_without_a_label_has_nothing_to_tell(project: Box) -> None:
    seen, found = explained(project, "sh", "-c", LABEL, profile="plain")
    assert (seen, found) == ("unconfined\n", None)


def test_ordinary_user_is_told_in_one_line_that_it_is_not_seen(
    ordinary: Person, installation: Installation, labels: list[str]
) -> None:
    box = Box(ordinary, installation, ordinary.directory(f"work-{os.urandom(4).hex()}"))
    box.directory("kept")
    write_profile(box, "labelled", PROJECT, "apparmor: {profile: generate}\n")
    load(box, "labelled", labels)
    done = box.run("true", options=["--explain"], profile="labelled")
    shutil.rmtree(box.place)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if "AppArmor refused is not seen" in line]
    assert lines == [
        "sandboxer: what AppArmor refused is not seen: only root of the first user namespace may read the kernel's audit log"
    ]
