"""Trees that a job has made, removed and copied."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from sandboxer.kernel.files import trees
from sandboxer.kernel.files.trees import copy_tree, empty


def on(path: Path, call: Callable[[int], None]) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        call(descriptor)
    finally:
        os.close(descriptor)


def odd(place: Path) -> None:
    """What a job may leave."""
    (place / "deep/er").mkdir(parents=True)
    (place / "deep/er/file").write_text("x")
    (place / "link").symlink_to(place.parent)
    (place / "dangling").symlink_to("nowhere")
    os.mkfifo(place / "fifo")
    (place / "a\nb\x1b").write_text("x")
    (place / "locked").mkdir()
    (place / "locked/inner").mkdir()
    (place / "locked/inner/file").write_text("x")
    (place / "unreadable").write_text("x")
    for name in ("locked/inner", "locked", "unreadable"):
        (place / name).chmod(0)


def test_everything_goes_and_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "beside").write_text("stays")
    place = tmp_path / "place"
    place.mkdir()
    odd(place)
    on(place, empty)
    assert list(place.iterdir()) == []
    assert (tmp_path / "beside").read_text() == "stays"


def test_no_depth_is_too_much(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    for _ in range(3000):  # more than there may be descriptors or recursions
        os.mkdir("d", dir_fd=descriptor)
        deeper = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = deeper
    os.close(descriptor)
    on(tmp_path, empty)
    assert list(tmp_path.iterdir()) == []


def test_many_in_one_directory_go(tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    for number in range(2500):
        (tmp_path / f"many/{number}").touch()
    on(tmp_path, empty)
    assert list(tmp_path.iterdir()) == []


def test_copy_is_the_same_and_has_no_set_id(tmp_path: Path) -> None:
    place, target = tmp_path / "place", tmp_path / "target"
    place.mkdir()
    target.mkdir()
    odd(place)
    (place / "program").write_text("x")
    (place / "program").chmod(0o4755)
    on(place, lambda source: on(target, lambda into: copy_tree(source, into, keep=lambda one, other: None)))
    assert (target / "program").stat().st_mode & 0o7777 == 0o755
    assert os.readlink(target / "link") == str(tmp_path)
    assert stat.S_ISFIFO((target / "fifo").stat().st_mode)
    assert (target / "locked").stat().st_mode & 0o7777 == (place / "locked").stat().st_mode & 0o7777 == 0
    assert (target / "unreadable").stat().st_mode & 0o7777 == 0
    assert set(os.listdir(target)) == set(os.listdir(place))
    for name in ("locked", "locked/inner", "unreadable"):
        (target / name).chmod(0o700)
    assert ((target / "locked/inner/file").read_text(), (target / "unreadable").read_text()) == ("x", "x")


def test_copy_without_reflink_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise OSError(95, "not here")

    monkeypatch.setattr(trees, "ioctl", never)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    data = os.urandom(3 << 20)
    (tmp_path / "a/file").write_bytes(data)
    on(tmp_path / "a", lambda source: on(tmp_path / "b", lambda into: copy_tree(source, into, keep=lambda one, other: None)))
    assert (tmp_path / "b/file").read_bytes() == data
