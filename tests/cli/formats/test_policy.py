"""`sandboxer policy` where there is neither AppArmor nor SELinux: what it wants to be told, and what it refuses.

The rest: tests/vm/apparmor and tests/vm/selinux.
"""

from __future__ import annotations

import os
import subprocess

import pytest

from sandboxer.kernel.lsm.apparmor import find_apparmor_obstacle
from sandboxer.kernel.lsm.selinux import find_selinux_obstacle
from sandboxer.verify.apparmor import May, read_file_rules
from tests.cli.front import Front
from tests.controls.lsm.apparmor.parser import compiled


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "no action is named"),
        (["instal", "strict"], "did you mean install?"),
        (["install"], "no profile is named"),
        (["remove", "--", "strict"], "no profile is named"),
    ],
)
def test_wrong_usage_is_told(front: Front, words: list[str], says: str) -> None:
    done = front.run("policy", *words)
    assert done.returncode == 2
    assert says in done.stderr


@pytest.mark.parametrize("action", ["install", "remove"])
def test_kernel_without_apparmor_is_refused_and_nothing_is_left(front: Front, action: str) -> None:
    done = front.run("policy", action, "strict", "python")
    assert (done.returncode, done.stdout) == (125, "")
    if find_apparmor_obstacle() is not None:
        assert "apparmor=1" in done.stderr
    assert os.listdir(front.project) == []


def test_wrong_profile_is_told_ahead_of_everything(front: Front) -> None:
    front.profile("wrong", "apparmor: {profile: 'a b'}")
    assert "cannot name an AppArmor profile" in front.run("policy", "install", "strict", "wrong").stderr


def test_profile_that_names_one_of_others_has_none_to_install(front: Front) -> None:
    front.profile("named", "apparmor: {profile: docker-default}")
    assert "named is under the AppArmor profile docker-default" in front.run("policy", "install", "named").stderr


def test_profile_that_names_a_domain_of_others_has_none_to_install(front: Front) -> None:
    front.profile("named", "selinux: {type: container_t}")
    assert "named is in the SELinux domain container_t" in front.run("policy", "install", "named").stderr


@pytest.mark.parametrize("action", ["install", "remove"])
def test_kernel_without_selinux_is_refused_for_a_profile_that_wants_a_module(front: Front, action: str) -> None:
    front.profile("mine", "selinux: {type: generate}")
    done = front.run("policy", action, "mine")
    assert (done.returncode, done.stdout) == (125, "")
    if find_selinux_obstacle() is not None:
        assert "SELinux modules cannot be" in done.stderr
        assert "selinux=1" in done.stderr


def exported(front: Front, directory: str) -> subprocess.CompletedProcess[str]:
    """The export of a profile that grants programs in a directory of this name."""
    odd = front.project.parent / directory
    odd.mkdir()
    front.profile("odd", f"filesystem: {{execute: ['{odd}']}}")
    return front.run("export", "apparmor", "odd")


def test_export_is_what_the_parser_takes_whatever_a_directory_is_called(front: Front) -> None:
    name = "a {b,c} \\ ^ @{HOME}"
    done = exported(front, name)
    assert done.returncode == 0, done.stderr
    rules = read_file_rules(compiled(os.fsencode(done.stdout)))
    assert May.X in rules.at(os.fsencode(front.project.parent / name / "run"))
    assert May.X not in rules.at(os.fsencode(front.project.parent / "a b" / "run"))


def test_directory_that_cannot_be_said_is_refused(front: Front) -> None:
    done = exported(front, 'a"b')
    assert (done.returncode, done.stdout) == (125, "")
    assert "cannot be said in AppArmor's language" in done.stderr
    assert "odd.yaml:5:24: " in done.stderr
