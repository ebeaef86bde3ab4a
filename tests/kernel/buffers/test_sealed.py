"""Sealed memory: it is what it says, stays so, and everything else is told apart."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from fcntl import F_ADD_SEALS, F_SEAL_GROW, F_SEAL_SHRINK, F_SEAL_WRITE, fcntl
from pathlib import Path

import pytest

from sandboxer.kernel.buffers.mapping import map_readonly
from sandboxer.kernel.buffers.sealed import SEALS, find_wrong, make_sealed, map_copy


def test_memory_is_sealed_and_read_by_both_mappings() -> None:
    made = make_sealed(b"text" * 5000)
    assert find_wrong(made, 20_000) == ""
    with pytest.raises(PermissionError):
        os.write(made, b"x")
    with pytest.raises(PermissionError):
        os.truncate(made, 0)
    copy, shown = map_copy(made, 20_000), map_readonly(made, 20_000)
    os.close(made)
    assert (copy[:4], bytes(shown[-4:]), shown.readonly) == (b"text", b"text", True)
    copy[:4] = b"mine"
    assert bytes(shown[:4]) == b"text"


def test_mapping_goes_with_its_last_reader_and_keeps_no_descriptor() -> None:
    before = len(os.listdir("/proc/self/fd"))
    made = make_sealed(b"x" * 123_456)
    part = map_readonly(made, 123_456)[5:]
    os.close(made)
    assert len(os.listdir("/proc/self/fd")) == before
    assert bytes(part[:3]) == b"xxx"
    assert "sandboxer-buffer" in Path("/proc/self/maps").read_text()
    del part
    assert "sandboxer-buffer" not in Path("/proc/self/maps").read_text()


def memory(size: int, seals: int, *, content: bytes = b"") -> int:
    made = os.memfd_create("x", os.MFD_ALLOW_SEALING)
    os.write(made, content)
    os.truncate(made, size)
    fcntl(made, F_ADD_SEALS, seals)
    return made


def half_of_a_pipe() -> int:
    ends = os.pipe()
    os.close(ends[1])
    return ends[0]


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: os.open("/", os.O_RDONLY), "no memory"),
        (lambda: os.open("/", os.O_PATH), "no memory"),
        (lambda: os.open("/dev/zero", os.O_RDWR), "no memory"),
        (half_of_a_pipe, "no memory"),
        (lambda: socket.socket().detach(), "no memory"),
        (lambda: memory(10, 0, content=b"x" * 10), "not sealed"),
        (lambda: memory(10, F_SEAL_SHRINK | F_SEAL_GROW, content=b"x" * 10), "not sealed"),
        (lambda: memory(10, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE, content=b"x" * 10), "not sealed"),
        (lambda: memory(11, SEALS, content=b"x" * 11), "11 bytes, and 10 were announced"),
        (lambda: memory(10, SEALS), "holes"),
    ],
)
def test_what_is_no_sealed_memory_of_that_size_is_told_apart(make: Callable[[], int], why: str) -> None:
    descriptor = make()
    try:
        assert why in find_wrong(descriptor, 10)
    finally:
        os.close(descriptor)


def test_memory_that_somebody_can_still_write_cannot_be_sealed() -> None:
    """The kernel's promise that all of this stands on."""
    import mmap

    made = os.memfd_create("x", os.MFD_ALLOW_SEALING)
    os.truncate(made, 4096)
    with mmap.mmap(made, 4096), pytest.raises(OSError, match="busy"):
        fcntl(made, F_ADD_SEALS, SEALS)
    os.close(made)


def test_mapping_that_the_kernel_refuses_is_an_error() -> None:
    made = make_sealed(b"x" * 10)
    blind = os.open(f"/proc/self/fd/{made}", os.O_PATH)
    with pytest.raises(OSError, match="mmap"):
        map_readonly(blind, 10)
    os.close(blind)
    os.close(made)
