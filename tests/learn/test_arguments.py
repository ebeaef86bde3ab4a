"""Every argument of every call can be shown, whatever is in it and in the memory that it points to."""

from __future__ import annotations

import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandboxer.abi.arguments_table import ARGUMENTS
from sandboxer.abi.constants import CONSTANTS
from sandboxer.controls.seccomp.rules import find_arguments
from sandboxer.learn.arguments import _BY_CALL, show_arguments, shown_arguments
from tests.learn.waiting import ARCH, Memory, look_at

TEXT_LIMIT = 4 * 256 + 64


def shown(call: str, *arguments: int, memory: Memory | None = None) -> dict[str, str]:
    """Each argument by its name."""
    texts = show_arguments(look_at(call, *arguments, memory=memory), ARCH)
    assert texts is not None
    return dict(zip((item.name for item in find_arguments(call, ARCH) or ()), texts, strict=True))


class Anything(Memory):
    """Memory that has the same bytes at every address."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.data = data

    def read(self, address: int, count: int) -> bytes | None:
        return self.data[:count] or None

    def read_text(self, address: int) -> tuple[bytes, bool] | None:
        return self.data[:256], len(self.data) % 2 == 0

    def find_link(self, descriptor: int) -> bytes | None:
        return self.data


WORD = st.one_of(st.integers(0, (1 << 64) - 1), st.sampled_from([0, 1, 2, 10, 0xFFFFFF9C, (1 << 64) - 1, *CONSTANTS.values()]))


@given(st.sampled_from(sorted(ARGUMENTS)), st.lists(WORD, min_size=6, max_size=6), st.binary(max_size=256))
def test_any_call_is_shown_in_bounded_printable_words(call: str, arguments: list[int], data: bytes) -> None:
    for memory in (Memory(), Anything(data)):
        for text in shown(call, *arguments, memory=memory).values():
            assert text.isprintable()
            assert len(text) <= TEXT_LIMIT


def test_every_row_is_about_an_argument_that_there_is() -> None:
    for key in _BY_CALL:
        call, _, name = key.partition(".")
        assert name in {item.name for item in find_arguments(call, ARCH) or ()}, key


def test_every_text_is_a_pointer() -> None:
    """A number is no address."""
    from sandboxer.learn import look

    for call in ARGUMENTS:
        for argument, kind in shown_arguments(call, ARCH) or ():
            assert argument.is_pointer or kind is not look.text, f"{call}.{argument.name}"


@pytest.mark.parametrize(
    ("call", "arguments", "expected"),
    [
        ("socket", (40, 1, 0), {"family": "AF_VSOCK", "type": "SOCK_STREAM", "protocol": "0"}),
        ("socket", (2, 3 | 0x80000, 1), {"family": "AF_INET", "type": "SOCK_RAW|SOCK_CLOEXEC", "protocol": "IPPROTO_ICMP"}),
        ("socket", (16, 3, 9), {"protocol": "NETLINK_AUDIT"}),
        ("socket", (99, 77, 1 << 31), {"family": "99", "type": "13|0x40", "protocol": "0x80000000"}),
        ("ioctl", (0, 0x5412, 1), {"cmd": "TIOCSTI", "arg": "[...]"}),
        ("ioctl", (0, 1 << 40 | 0x5412, 0), {"cmd": "TIOCSTI", "arg": "NULL"}),
        ("ioctl", (0, 0xC018F501, 0), {"cmd": "_IOWR(0xf5, 1, 24)"}),
        ("ioctl", (0, 0x1234, 0), {"cmd": "0x1234"}),
        ("kill", (0xFFFFFFFF, 9), {"pid": "-1", "sig": "SIGKILL"}),
        ("chmod", (0, 0o4755), {"filename": "NULL", "mode": "04755"}),
        ("openat", (0xFFFFFF9C, 0, os.O_RDWR | 0x40, 0o644), {"dfd": "AT_FDCWD", "flags": "O_RDWR|O_CREAT", "mode": "0644"}),
        ("open", (0, 0, 0), {"flags": "O_RDONLY", "mode": "0"}),
        ("clone", (0x10000000 | 17,), {"clone_flags": "CLONE_NEWUSER|SIGCHLD", "newsp": "0"}),
        ("unshare", (0x10020000,), {"unshare_flags": "CLONE_NEWNS|CLONE_NEWUSER"}),
        ("prctl", (22, 2), {"option": "PR_SET_SECCOMP"}),
        ("ptrace", (16, 1), {"request": "PTRACE_ATTACH", "pid": "1"}),
        ("bpf", (5, 1, 64), {"cmd": "BPF_PROG_LOAD", "uattr": "[...]"}),
        ("setrlimit", (7, 0), {"resource": "RLIMIT_NOFILE"}),
        ("umount2", (0, 2), {"flags": "MNT_DETACH"}),
        ("unlinkat", (0xFFFFFF9C, 0, 0x200), {"flag": "AT_REMOVEDIR"}),
        ("close", (0xFFFFFFFF,), {"fd": "-1"}),
    ],
)  # fmt: skip
def test_numbers_have_the_names_that_people_know(call: str, arguments: tuple[int, ...], expected: dict[str, str]) -> None:
    found = shown(call, *arguments)
    assert {name: found[name] for name in expected} == expected


def test_descriptors_are_what_they_are() -> None:
    memory = Memory(links={3: b"/srv/data", 4: b"socket:[12345]", 5: b"\x1b[2J"})
    assert shown("read", 3, memory=memory)["fd"] == "3 (/srv/data)"
    assert shown("openat", 4, memory=memory)["dfd"] == "4 (socket:[12345])"
    assert shown("read", 5, memory=memory)["fd"] == "5 (\\x1b[2J)"
    assert shown("read", 6, memory=memory)["fd"] == "6"


def test_texts_are_quoted() -> None:
    memory = Memory()
    where = memory.put(b"none\0")
    assert shown("mount", where, 0, where, memory=memory) == {
        "dev_name": '"none"', "dir_name": "NULL", "type": '"none"', "flags": "0", "data": "NULL",
    }  # fmt: skip
    assert shown("mount", 0xDEAD, memory=memory)["dev_name"] == "[...]"


ADDRESSES = {
    "127.0.0.1:80": struct.pack("<H", 2) + struct.pack(">H", 80) + bytes([127, 0, 0, 1]) + bytes(8),
    "[::1]:8080": struct.pack("<H", 10) + struct.pack(">H", 8080) + bytes(4) + bytes(15) + b"\1" + bytes(4),
    'unix socket "/run/x"': struct.pack("<H", 1) + b"/run/x\0",
    'abstract socket "hidden\\x00x"': struct.pack("<H", 1) + b"\0hidden\0x",
    "vsock 3:99": struct.pack("<HHII", 40, 0, 99, 3) + bytes(4),
    "AF_NETLINK, 12 bytes": struct.pack("<HHII", 16, 0, 0, 0),
    "AF_INET, 4 bytes": struct.pack("<HH", 2, 0),
    "[...]": b"\2",
}


@pytest.mark.parametrize("expected", ADDRESSES)
def test_addresses_are_told(expected: str) -> None:
    data = ADDRESSES[expected]
    memory = Memory()
    where = memory.put(data)
    assert shown("connect", 3, where, len(data), memory=memory)["uservaddr"] == expected
    head = memory.put(struct.pack("<QI", where, len(data)) + bytes(44))
    told = shown("sendmsg", 3, head, 0, memory=memory)["msg"]
    assert told == f"to {expected}"


def test_structures_are_opened() -> None:
    memory = Memory()
    how = memory.put(struct.pack("<QQQ", os.O_WRONLY | os.O_CREAT, 0o600, 16))
    clone = memory.put(struct.pack("<5Q", 0x10000000, 0, 0, 0, 17))
    limit = memory.put(struct.pack("<QQ", 5, (1 << 64) - 1))
    assert shown("openat2", 3, 0, how, 24, memory=memory)["how"] == "{O_WRONLY|O_CREAT, 0600, RESOLVE_IN_ROOT}"
    assert shown("clone3", clone, 88, memory=memory)["uargs"] == "{CLONE_NEWUSER, SIGCHLD}"
    assert shown("prlimit64", 0, 7, limit, 0, memory=memory)["new_rlim"] == "{5, no limit}"
    short = memory.put(b"123")
    assert shown("openat2", 3, 0, short, 24, memory=memory)["how"] == "[...]"
