"""Path facts on trees made for the test, and on the machine's own."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from sandboxer.kernel.paths import find_facts, find_inode
from sandboxer.model.host import PathFact, PathKind
from tests.kernel.conftest import RunCode


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with links into, out of and around itself."""
    (tmp_path / "real/deep").mkdir(parents=True)
    (tmp_path / "real/deep/file").write_text("x")
    (tmp_path / "real/deep/file").chmod(0o640)
    (tmp_path / "short").symlink_to("real/deep")
    (tmp_path / "absolute").symlink_to(tmp_path / "short")
    (tmp_path / "up").symlink_to("real/../real/./deep")
    (tmp_path / "loop").symlink_to("pool")
    (tmp_path / "pool").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere/at/all")
    return tmp_path


def facts_of(path: Path) -> dict[str, PathFact]:
    return find_facts({str(path)})


def test_facts_hold_every_directory_above(tree: Path) -> None:
    facts = facts_of(tree / "real/deep/file")
    above = [str(path) for path in (tree / "real/deep/file").parents]
    assert all(facts[path].kind is PathKind.DIRECTORY for path in above)


def test_facts_of_a_file_are_those_of_lstat(tree: Path) -> None:
    fact = facts_of(tree / "real/deep/file")[str(tree / "real/deep/file")]
    assert (fact.kind, fact.mode, fact.uid, fact.gid) == (PathKind.FILE, 0o640, os.getuid(), os.getgid())


def test_facts_of_a_path_through_a_link_hold_link_and_real_path(tree: Path) -> None:
    facts = facts_of(tree / "short/file")
    assert facts[str(tree / "short")] == PathFact(
        PathKind.SYMLINK, os.getuid(), os.getgid(), 0o777, "real/deep", facts[str(tree)].filesystem
    )
    assert facts[str(tree / "short/file")].kind is PathKind.FILE
    assert facts[str(tree / "real/deep/file")].kind is PathKind.FILE


def test_facts_follow_links_to_links(tree: Path) -> None:
    facts = facts_of(tree / "absolute/file")
    assert [facts[str(tree / name)].kind for name in ("absolute", "short", "real/deep/file")] == [
        PathKind.SYMLINK,
        PathKind.SYMLINK,
        PathKind.FILE,
    ]


def test_facts_follow_dots_in_links(tree: Path) -> None:
    assert facts_of(tree / "up")[str(tree / "real/deep")].kind is PathKind.DIRECTORY


def test_facts_of_a_loop_end(tree: Path) -> None:
    facts = facts_of(tree / "loop/file")
    assert (facts[str(tree / "loop")].kind, facts[str(tree / "loop/file")].kind) == (PathKind.SYMLINK, PathKind.MISSING)


def test_facts_of_a_dangling_link_say_what_is_missing(tree: Path) -> None:
    assert facts_of(tree / "dangling")[str(tree / "nowhere")].kind is PathKind.MISSING


def test_facts_below_a_file_are_missing(tree: Path) -> None:
    assert facts_of(tree / "real/deep/file/x")[str(tree / "real/deep/file/x")].kind is PathKind.MISSING


def test_facts_of_an_endless_name_are_missing(tree: Path) -> None:
    assert facts_of(tree / ("x" * 300))[str(tree / ("x" * 300))].kind is PathKind.MISSING


def test_facts_tell_devices_sockets_and_pipes_apart(tree: Path) -> None:
    os.mkfifo(tree / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tree / "socket"))
        facts = find_facts({str(tree / "pipe"), str(tree / "socket"), "/dev/null"})
    assert [facts[path].kind for path in ("/dev/null", str(tree / "socket"), str(tree / "pipe"))] == [
        PathKind.DEVICE,
        PathKind.SOCKET,
        PathKind.OTHER,
    ]


@pytest.mark.parametrize(("path", "kind"), [("/proc", "proc"), ("/dev/pts", "devpts")])
def test_facts_name_the_file_system(path: str, kind: str) -> None:
    assert find_facts({path})[path].filesystem == kind


def test_facts_of_the_shell_lead_to_a_real_program() -> None:
    facts = find_facts({"/bin/sh"})
    real = os.path.realpath("/bin/sh")
    assert facts[real].kind is PathKind.FILE
    assert facts[real].mode == stat.S_IMODE(os.stat(real).st_mode)


UNREADABLE = "from sandboxer.kernel.paths import find_facts; print(find_facts([{path!r}])[{path!r}].kind.value)"


def test_facts_in_a_shut_directory_are_unreadable(run_ordinary: RunCode) -> None:
    path = "/proc/1/fd/0"
    assert run_ordinary(UNREADABLE.format(path=path)) == "unreadable\n"


def test_facts_in_an_open_directory_are_readable_to_the_same_user(run_ordinary: RunCode) -> None:
    path = "/proc/self/fd"
    assert run_ordinary(UNREADABLE.format(path=path)) == "directory\n"


def test_inode_is_that_of_the_name_itself(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("file")
    numbers = [find_inode(bytes(tmp_path / name)) for name in ("file", "link")]
    assert numbers == [(tmp_path / name).lstat().st_ino for name in ("file", "link")]
    assert [find_inode(name) for name in (bytes(tmp_path / "none"), b"/a\0b", b"/" + b"x" * 5000)] == [0, 0, 0]
