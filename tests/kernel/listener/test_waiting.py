"""What is seen of a process that waits: bounded bytes, or nothing."""

from __future__ import annotations

import ctypes
import mmap
import os

import pytest

from sandboxer.kernel.listener.waiting import PAGE_BYTES, Waiting
from tests.kernel.asking import ask, asking, libc, next_notice


def room_of(size: int) -> tuple[mmap.mmap, int]:
    """Fresh memory with a page behind it that cannot be read, and its address."""
    room = mmap.mmap(-1, size + PAGE_BYTES)
    address = ctypes.addressof(ctypes.c_char.from_buffer(room))
    libc.mprotect(ctypes.c_void_p(address + size), PAGE_BYTES, 0)
    return room, address


TEXTS = {
    "whole": (b"/etc/passwd\0more", 0, 256, (b"/etc/passwd", True)),
    "empty": (b"\0", 0, 256, (b"", True)),
    "too long": (b"a" * 300 + b"\0", 0, 256, (b"a" * 256, False)),
    "of two pages": (b"b" * 100 + b"\0", PAGE_BYTES - 10, 256, (b"b" * 100, True)),
    "not text": (b"\x1b[2J\xff\n\0", 0, 256, (b"\x1b[2J\xff\n", True)),
}


@pytest.mark.parametrize("name", TEXTS)
def test_text_is_read_as_it_lies_there(name: str) -> None:
    content, offset, limit, expected = TEXTS[name]
    room, address = room_of(2 * PAGE_BYTES)
    room[offset : offset + len(content)] = content
    with asking(lambda: ask(address + offset)) as (listener, _), Waiting(listener, notice := next_notice(listener)) as waiting:
        assert waiting.read_text(notice.arguments[0], limit) == expected


def test_text_that_runs_into_nothing_is_what_there_is() -> None:
    room, address = room_of(PAGE_BYTES)
    room[-PAGE_BYTES - 3 : -PAGE_BYTES] = b"end"
    libc.munmap(ctypes.c_void_p(address + PAGE_BYTES), PAGE_BYTES)
    with asking(lambda: ask(address + PAGE_BYTES - 3)) as (listener, _), Waiting(listener, next_notice(listener)) as waiting:
        assert waiting.read_text(address + PAGE_BYTES - 3) == (b"end", False)


@pytest.mark.parametrize("address", [0, 8, (1 << 64) - 8, 1 << 63, (1 << 63) - 1, 0x7FFFFFFFF000])
def test_address_that_is_none_is_no_text(address: int) -> None:
    with asking(lambda: ask(address)) as (listener, _), Waiting(listener, next_notice(listener)) as waiting:
        assert (waiting.read_text(address), waiting.read(address, 16)) == (None, None)


def test_read_is_bounded() -> None:
    _, address = room_of(4 * PAGE_BYTES)
    with asking(lambda: ask(address)) as (listener, _), Waiting(listener, next_notice(listener)) as waiting:
        assert len(waiting.read(address, 1 << 30) or b"") == PAGE_BYTES


def test_name_and_descriptors_are_seen() -> None:
    def job() -> int:
        libc.prctl(15, b"evil\x1b[2Jname\n", 0, 0, 0)  # PR_SET_NAME
        return ask(os.open("/etc/hostname", os.O_RDONLY))

    with asking(job) as (listener, _), Waiting(listener, notice := next_notice(listener)) as waiting:
        assert waiting.find_name() == b"evil\x1b[2Jname\n"
        assert waiting.find_link(notice.arguments[0]) == b"/etc/hostname"
        assert waiting.find_link(1023) is None


def test_other_proc_shows_nothing_and_kills_nobody() -> None:
    """Where /proc is of another pid namespace, a pid in it is somebody else."""
    with asking(lambda: ask(1)) as (listener, _), Waiting(listener, notice := next_notice(listener)) as waiting:
        listener.sees_proc = False
        assert (waiting.read_text(notice.arguments[0]), waiting.find_name(), waiting.find_link(1)) == (None, b"", None)
        with pytest.raises(ProcessLookupError):
            listener.kill(notice)
