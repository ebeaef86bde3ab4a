"""Reading back from a directory in which a job could do what it wanted."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from sandboxer.model.outcome.files import Collected
from sandboxer.run.scratch import collect as module
from sandboxer.run.scratch.collect import collect
from sandboxer.run.scratch.names import Globs


def collected(place: Path, *globs: str, most_bytes: int = 1 << 20) -> Collected:
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return collect(descriptor, Globs(globs or ["**"]), most_bytes=most_bytes)
    finally:
        os.close(descriptor)


def why(found: Collected) -> dict[str, str]:
    return {item.name: item.why for item in found.left_out}


def test_what_matches_is_read_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "out/deep").mkdir(parents=True)
    (tmp_path / "out/a.txt").write_bytes(b"\0\xff")
    (tmp_path / "out/deep/b.txt").write_text("b")
    (tmp_path / "c.txt").write_text("c")
    assert dict(collected(tmp_path, "out/**")) == {"out/a.txt": b"\0\xff", "out/deep/b.txt": b"b"}
    assert dict(collected(tmp_path, "*.txt", "out/*.txt")) == {"c.txt": b"c", "out/a.txt": b"\0\xff"}
    assert collected(tmp_path, "out/**").is_whole


def test_what_is_no_file_is_left_out_by_its_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path.parent / f"{tmp_path.name}-secret"
    secret.write_text("secret")
    (tmp_path / "link").symlink_to(secret)
    (tmp_path / "directory").symlink_to(tmp_path.parent)
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        found = collected(tmp_path)
    assert dict(found) == {}
    assert why(found) == {
        "link": "it is a symbolic link",
        "directory": "it is a symbolic link",
        "fifo": "it is a FIFO",
        "socket": "it is a socket",
    }
    assert not found.is_whole


def test_link_on_the_way_is_told_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "etc").symlink_to("/etc")
    found = collected(tmp_path, "etc/passwd")
    assert (dict(found), why(found)) == ({}, {"etc": "it is a symbolic link"})


@pytest.mark.parametrize("name", [b"a\nb", b"\x1b[2J", b"\xff", "\u202e".encode()])
def test_name_that_is_not_plain_text_is_left_out_and_shown_escaped(tmp_path: Path, name: bytes) -> None:
    with open(os.fsencode(tmp_path) + b"/" + name, "w") as file:
        file.write("x")
    found = collected(tmp_path)
    (left,) = found.left_out
    assert (dict(found), left.why) == ({}, "its name is not plain text")
    assert left.name.isprintable()


def test_directory_with_such_a_name_takes_its_files_along(tmp_path: Path) -> None:
    (tmp_path / "a\nb").mkdir()
    (tmp_path / "a\nb/c").write_text("x")
    assert why(collected(tmp_path)) == {"a\\nb/c": "its name is not plain text"}


def test_file_is_whole_or_left_out(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 60)
    (tmp_path / "b").write_bytes(b"x" * 60)
    (tmp_path / "c").write_bytes(b"x" * 40)
    found = collected(tmp_path, most_bytes=100)
    assert sorted(found) == ["a", "c"]
    assert why(found) == {"b": "it has 60 bytes, and 40 of 100 were left to be taken"}


def test_file_of_a_terabyte_takes_no_memory(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    os.truncate(tmp_path / "a", 1 << 40)
    assert why(collected(tmp_path)) == {"a": f"it has {1 << 40} bytes, and {1 << 20} of {1 << 20} were left to be taken"}


def test_many_links_to_one_file_count_each(tmp_path: Path) -> None:
    (tmp_path / "a0").write_bytes(b"x" * 40)
    for number in range(1, 5):
        os.link(tmp_path / "a0", tmp_path / f"a{number}")
    found = collected(tmp_path, most_bytes=100)
    assert (sorted(found), len(found.left_out)) == (["a0", "a1"], 3)


def test_too_many_files_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FILES", 3)
    for number in range(5):
        (tmp_path / f"{number}").touch()
    found = collected(tmp_path)
    assert (sorted(found), found.truncated) == (["0", "1", "2"], "there are more than 3 files, and the rest was not read")
    assert not found.is_whole


def test_as_many_files_as_may_be_are_no_truncation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FILES", 3)
    for number in range(3):
        (tmp_path / f"{number}").touch()
    (tmp_path / "empty").mkdir()
    assert collected(tmp_path).is_whole


def test_too_many_names_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ENTRIES", 3)
    for number in range(5):
        (tmp_path / f"{number}").touch()
    assert collected(tmp_path).truncated == "there are more than 3 names, and the rest was not looked at"


def test_many_that_are_left_out_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LEFT_OUT", 2)
    for number in range(5):
        os.mkfifo(tmp_path / f"{number}")
    found = collected(tmp_path)
    assert (len(found.left_out), found.truncated) == (2, "3 more files were left out")


def test_directories_without_end_have_one(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    for _ in range(100):
        os.mkdir("d", dir_fd=descriptor)
        deeper = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = deeper
    os.close(descriptor)
    (left,) = collected(tmp_path).left_out
    assert left.why == "it is deeper than 64 directories"


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c").write_text("c")
    (tmp_path / "a/l").symlink_to("b")
    before = os.listdir("/proc/self/fd")
    collected(tmp_path)
    assert os.listdir("/proc/self/fd") == before
