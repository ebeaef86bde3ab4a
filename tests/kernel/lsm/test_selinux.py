"""What the kernel says of SELinux, out of files that a test wrote; and semodule's answers. The kernel's own: tests/vm/selinux."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest

from sandboxer.errors import HostError
from sandboxer.kernel.lsm import selinux

CONTEXT = "unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023"


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory in which the kernel's files are: a policy is loaded and enforced."""
    for name, text in (("policyvers", "33"), ("enforce", "1"), ("own", f"{CONTEXT}\0")):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(selinux, "ROOT", str(tmp_path))
    monkeypatch.setattr(selinux, "OWN_CONTEXT", str(tmp_path / "own"))
    return tmp_path


def test_kernel_with_a_policy_stands_in_nobodys_way(told: Path) -> None:
    assert selinux.find_selinux_obstacle() is None
    assert selinux.read_own_context() == CONTEXT


@pytest.mark.parametrize("own", ["kernel\0", "unconfined\n", ""])
def test_kernel_without_a_policy_is_told(told: Path, own: str) -> None:
    (told / "own").write_text(own)
    obstacle = selinux.find_selinux_obstacle()
    assert obstacle is not None
    assert "no policy" in obstacle.why


def test_kernel_without_selinux_is_told(told: Path) -> None:
    (told / "policyvers").unlink()
    obstacle = selinux.find_selinux_obstacle()
    assert obstacle is not None
    assert "selinux=1" in obstacle.mend


@pytest.mark.parametrize(("text", "is_permissive"), [("1", False), ("0", True)])
def test_permissive_kernel_is_told(told: Path, text: str, is_permissive: bool) -> None:
    (told / "enforce").write_text(text)
    assert selinux.is_permissive() == is_permissive


def test_file_without_a_label_has_none(tmp_path: Path) -> None:
    assert selinux.find_label(str(tmp_path / "missing")) == ""


@pytest.mark.parametrize("error", [errno.EACCES, errno.EOPNOTSUPP, None])
def test_mark_is_a_memory_file_that_is_to_be_a_process_with_other_categories_each_time(
    told: Path, monkeypatch: pytest.MonkeyPatch, error: int | None
) -> None:
    asked = []

    def label(descriptor: int, name: str, value: bytes) -> None:
        asked.append((os.readlink(f"/proc/self/fd/{descriptor}"), name, value.decode()))
        if error:
            raise OSError(error, "no")

    monkeypatch.setattr(os, "setxattr", label)
    before = len(os.listdir("/proc/self/fd"))
    marks = [selinux.leave_mark() for _ in range(50)]
    assert len(os.listdir("/proc/self/fd")) == before
    assert [f"/{mark.decode()} (deleted)" for mark in marks] == [file for file, _, _ in asked]
    assert {name for _, name, _ in asked} == {"security.selinux"}
    assert len(set(marks)) == len({value for _, _, value in asked}) == 50
    for _, _, value in asked:
        found = re.fullmatch(r"unconfined_u:object_r:unconfined_t:s0:c(\d+),c(\d+)", value)
        assert found, value
        assert 0 <= int(found[1]) < int(found[2]) <= 1023


@pytest.mark.parametrize(
    ("own", "label"),
    [
        ("u:r:t\0", "u:object_r:t"),
        ("u:r:t:s1\0", r"u:object_r:t:s1:c\d+,c\d+"),
        ("u:r:t:s1:c1,c2\0", r"u:object_r:t:s1:c\d+,c\d+"),
    ],
)
def test_mark_has_the_level_of_the_caller_if_there_is_one(
    told: Path, monkeypatch: pytest.MonkeyPatch, own: str, label: str
) -> None:
    asked: list[bytes] = []
    monkeypatch.setattr(os, "setxattr", lambda descriptor, name, value: asked.append(value))
    (told / "own").write_text(own)
    selinux.leave_mark()
    assert re.fullmatch(label, asked[0].decode()), asked


def test_mark_cannot_be_found_where_none_can_be_left(told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> int:
        raise OSError(errno.EMFILE, "too many")

    monkeypatch.setattr(os, "memfd_create", fail)
    assert selinux.leave_mark().startswith(b"memfd:sandboxer-mark-")


def semodule(told: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    path = told / "semodule"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setattr(selinux, "SEMODULES", (str(path),))


def test_modules_are_loaded_at_once_each_from_a_file_of_its_name(told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    semodule(told, monkeypatch, f'echo "$@" > {told}/words; cat "$2" "$3" > {told}/got')
    selinux.load_modules({"one": "(type one_t)\n", "two": "(type two_t)\n"})
    flag, *paths = (told / "words").read_text().split()
    assert (flag, [Path(path).name for path in paths]) == ("-i", ["one.cil", "two.cil"])
    assert (told / "got").read_text() == "(type one_t)\n(type two_t)\n"
    assert not Path(paths[0]).parent.exists()


def test_what_semodule_says_is_told(told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    semodule(told, monkeypatch, "echo 'Failed to resolve type' >&2; echo failed >&2; exit 1")
    with pytest.raises(HostError, match="semodule says: Failed to resolve type"):
        selinux.load_modules({"one": ""})


def test_missing_semodule_is_told_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selinux, "SEMODULES", ("/nowhere/semodule",))
    with pytest.raises(HostError, match="policycoreutils"):
        selinux.remove_module("one")


def test_module_is_removed_by_its_name_and_one_that_is_not_loaded_is_left(told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    semodule(told, monkeypatch, f'test "$1" = -l && printf "one\\nonemore\\n" || echo "$@" > {told}/words')
    assert not selinux.remove_module("on")
    assert not (told / "words").exists()
    assert selinux.remove_module("one")
    assert (told / "words").read_text() == "-r one\n"
