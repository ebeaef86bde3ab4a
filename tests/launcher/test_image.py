"""launcher/image.py: the file of an image, and what whoever writes it may have done to it."""

from __future__ import annotations

import errno
import mmap
import os
from collections.abc import Iterator
from fcntl import F_ADD_SEALS, F_GET_SEALS, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_WRITE, fcntl

import pytest

from sandboxer.launcher.image import ImageFile, image_module

MOST = 1 << 20


@pytest.fixture
def file() -> Iterator[ImageFile]:
    made = ImageFile(MOST)
    yield made
    made.close()


def test_sealed_file_can_be_executed_and_not_be_changed(file: ImageFile) -> None:
    with open("/bin/true", "rb") as true:
        os.pwrite(file.fd, true.read(), 0)
    assert file.seal() >= 4096
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.pwrite(file.fd, b"x", 0)
    for flags in (os.O_RDWR, os.O_WRONLY):
        other = os.open(f"/proc/self/fd/{file.fd}", flags)
        with pytest.raises(PermissionError):
            os.pwrite(other, b"x", 0)
        with pytest.raises(PermissionError):
            os.ftruncate(other, 0)
        os.close(other)
    pid = os.posix_spawn(f"/proc/self/fd/{file.fd}", ["true"], {})
    assert os.waitpid(pid, 0)[1] == 0


def test_right_to_execute_it_cannot_be_taken_away(file: ImageFile) -> None:
    os.pwrite(file.fd, b"x", 0)
    file.seal()
    release = tuple(map(int, os.uname().release.split(".")[:2]))
    if release >= (6, 3):
        with pytest.raises(PermissionError):
            os.fchmod(file.fd, 0)


def test_file_does_not_grow_over_what_it_may(file: ImageFile) -> None:
    with pytest.raises(PermissionError):
        os.pwrite(file.fd, b"x", MOST)
    with pytest.raises(PermissionError):
        os.ftruncate(file.fd, MOST + 1)


@pytest.mark.parametrize("seals", [F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_WRITE])
def test_file_that_its_writer_has_sealed_is_refused(file: ImageFile, seals: int) -> None:
    os.pwrite(file.fd, b"x", 0)
    fcntl(file.fd, F_ADD_SEALS, seals)
    with pytest.raises(PermissionError):
        file.seal()


def test_file_that_somebody_can_still_write_is_refused(file: ImageFile) -> None:
    with mmap.mmap(file.fd, 4096), pytest.raises(OSError, match=os.strerror(errno.EBUSY)):
        file.seal()


def test_file_in_which_nothing_is_is_refused(file: ImageFile) -> None:
    with pytest.raises(OSError, match=os.strerror(errno.ENODATA)):
        file.seal()


def test_size_is_what_it_takes_and_not_how_long_it_is(file: ImageFile) -> None:
    os.pwrite(file.fd, b"x" * 10_000, 500_000)
    assert 10_000 <= file.seal() < 40_000


def test_nothing_stays_open_after_the_close() -> None:
    before = len(os.listdir("/proc/self/fd"))
    file = ImageFile(MOST)
    os.pwrite(file.fd, b"x", 0)
    file.seal()
    file.close()
    file.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_module_is_there_and_needs_no_library() -> None:
    assert image_module().startswith(b"\x7fELF")
    assert b"libc.so" not in image_module()
    fd = os.memfd_create("seals")
    assert fcntl(fd, F_GET_SEALS) & F_SEAL_SEAL
    os.close(fd)
