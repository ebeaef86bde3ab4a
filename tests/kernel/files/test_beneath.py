"""What is looked up beneath a directory stays there, whatever lies in it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandboxer.kernel.files import beneath
from sandboxer.kernel.files.beneath import NotAFileError, open_beneath, open_directory, open_file, open_parent, read_whole
from tests.live.needs import needs


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A directory that is somebody else's, and its descriptor; beside it lies a secret."""
    (tmp_path / "secret").write_text("secret")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "file").write_text("plain")
    (inside / "deep/er").mkdir(parents=True)
    (inside / "deep/er/file").write_text("deep")
    descriptor = os.open(inside, os.O_RDONLY | os.O_DIRECTORY)
    yield inside, descriptor
    os.close(descriptor)


def refusal(call: Callable[[], object]) -> int | None:
    """The errno that a call answers; None: it succeeded."""
    try:
        call()
    except OSError as error:
        return error.errno
    return None


def read(directory: int, name: bytes) -> bytes | None:
    descriptor, _ = open_file(directory, name)
    try:
        return read_whole(descriptor, 100)
    finally:
        os.close(descriptor)


def test_file_is_read(place: tuple[Path, int]) -> None:
    assert read(place[1], b"file") == b"plain"
    assert read(place[1], b"deep/er/file") == b"deep"


@pytest.mark.parametrize("target", ["../secret", "/etc/passwd", "file", "deep/er/../../../secret", "/proc/self/root/etc/passwd"])
def test_link_is_never_followed(place: tuple[Path, int], target: str) -> None:
    (place[0] / "link").symlink_to(target)
    (place[0] / "up").symlink_to(os.path.dirname(target) or ".")
    with pytest.raises(NotAFileError, match="a symbolic link"):
        open_file(place[1], b"link")
    assert refusal(lambda: open_file(place[1], b"up/" + os.path.basename(target).encode())) == errno.ELOOP


@pytest.mark.parametrize("name", [b"../secret", b"deep/../../secret", b"/etc/passwd", b".."])
def test_no_name_leads_out(place: tuple[Path, int], name: bytes) -> None:
    assert refusal(lambda: open_file(place[1], name)) == errno.EXDEV


def test_another_file_system_is_not_entered(tmp_path: Path) -> None:
    descriptor = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert refusal(lambda: open_beneath(descriptor, b"proc/self/status", os.O_RDONLY)) == errno.EXDEV
    finally:
        os.close(descriptor)


def test_fifo_is_not_waited_for_and_nobody_at_its_other_end_is_woken(place: tuple[Path, int]) -> None:
    os.mkfifo(place[0] / "fifo")
    with pytest.raises(NotAFileError, match="a FIFO"):
        open_file(place[1], b"fifo")
    # Nobody has it open:
    assert refusal(lambda: os.open(place[0] / "fifo", os.O_WRONLY | os.O_NONBLOCK)) == errno.ENXIO


@needs("root")
def test_device_is_no_file(place: tuple[Path, int]) -> None:
    os.mknod(place[0] / "null", 0o020666, os.makedev(1, 3))
    with pytest.raises(NotAFileError, match="a device"):
        open_file(place[1], b"null")


def test_file_that_is_longer_than_may_be_is_none(place: tuple[Path, int]) -> None:
    os.truncate(place[0] / "file", 1 << 40)
    assert read(place[1], b"file") is None


def test_file_that_is_as_long_as_may_be_is_whole(place: tuple[Path, int]) -> None:
    (place[0] / "file").write_bytes(b"x" * 100)
    assert read(place[1], b"file") == b"x" * 100


def test_missing_directories_are_made_for_their_owner(place: tuple[Path, int]) -> None:
    os.close(open_parent(place[1], (b"deep", b"new", b"er"), (os.geteuid(), os.getegid()), 0o711))
    assert (place[0] / "deep/new/er").stat().st_mode & 0o7777 == 0o711
    assert (place[0] / "deep").stat().st_mode & 0o7777 != 0o711


def test_no_directory_is_made_behind_a_link(place: tuple[Path, int], tmp_path: Path) -> None:
    (place[0] / "link").symlink_to(tmp_path)
    assert refusal(lambda: open_parent(place[1], (b"link", b"made"), (0, 0))) in (errno.ELOOP, errno.ENOTDIR)
    assert not (tmp_path / "made").exists()


def test_no_descriptor_is_left_by_what_fails(place: tuple[Path, int]) -> None:
    (place[0] / "link").symlink_to("/etc")
    before = os.listdir("/proc/self/fd")
    for name in (b"link", b"link/passwd", b"deep", b"none"):
        with pytest.raises((OSError, ValueError)):
            open_file(place[1], name)
    assert refusal(lambda: open_directory(place[1], b"file")) == errno.ENOTDIR
    assert os.listdir("/proc/self/fd") == before


def test_rename_above_while_the_kernel_looks_is_tried_again(monkeypatch: pytest.MonkeyPatch, place: tuple[Path, int]) -> None:
    answers = [OSError(errno.EAGAIN, ""), OSError(errno.EINTR, "")]
    real = beneath.calls.call

    def call(*arguments: object) -> int:
        if answers:
            raise answers.pop()
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(beneath.calls, "call", call)
    assert read(place[1], b"file") == b"plain"
