"""Files on their way in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sandboxer.run.scratch.fill import Source, fill, parse_files


def filled(place: Path, files: dict[str, Source]) -> None:
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fill(descriptor, parse_files(files))
    finally:
        os.close(descriptor)


def test_bytes_texts_and_files_are_there_for_the_owner(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"copied")
    place = tmp_path / "place"
    place.mkdir()
    filled(place, {"a": b"\0", "deep/er/b": "ä", "deep/c": tmp_path / "source"})
    assert {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()} == {
        "a": b"\0",
        "deep/er/b": "ä".encode(),
        "deep/c": b"copied",
    }
    assert ((place / "a").stat().st_mode & 0o7777, (place / "deep").stat().st_mode & 0o7777) == (0o644, 0o755)


def test_size_is_known_ahead(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x" * 7)
    assert parse_files({"a": b"12", "b": "ä", "c": tmp_path / "source"}).size_bytes == 11


def test_file_to_copy_that_is_not_there_is_an_error_ahead(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        parse_files({"a": tmp_path / "none"})


@pytest.mark.parametrize("names", [["a", "a/b"], ["a/b/c", "a/b"]])
def test_file_below_another_file_is_refused(names: list[str]) -> None:
    with pytest.raises(ValueError, match="below another file"):
        parse_files(dict.fromkeys(names, b""))


def test_fifo_to_copy_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "place").mkdir()
    with pytest.raises(ValueError, match="a FIFO"):
        filled(tmp_path / "place", {"a": tmp_path / "fifo"})


def test_error_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(OSError, match="File exists: 'a'") as caught:
        filled(tmp_path, {"a": b"x"})
    assert caught.value.filename == "a"
