"""The generated tables hold the numbers and widths that everybody else's do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sandboxer.abi.arguments_table import ARGUMENTS, BY_ARCH
from sandboxer.abi.syscalls_table import NEWEST, NUMBERS

OURS = ("x86_64", "aarch64", "riscv64")


@pytest.mark.parametrize(
    ("arch", "call", "number"),
    [
        ("x86_64", "read", 0),
        ("x86_64", "execve", 59),
        ("x86_64", "seccomp", 317),
        ("x86_64", "clone3", 435),
        ("x86_64", "mseal", 462),
        ("aarch64", "execve", 221),
        ("aarch64", "seccomp", 277),
        ("riscv64", "riscv_hwprobe", 258),
        ("i386", "socketcall", 102),
        ("x32", "execve", 0x40000000 + 520),
    ],
)
def test_number_of_a_known_call_is_the_kernels(arch: str, call: str, number: int) -> None:
    assert NUMBERS[arch][call] == number


@pytest.mark.parametrize("arch", sorted(NUMBERS))
def test_numbers_of_an_architecture_are_distinct(arch: str) -> None:
    assert len(set(NUMBERS[arch].values())) == len(NUMBERS[arch])


@pytest.mark.parametrize("arch", sorted(NUMBERS))
def test_newest_is_the_largest_number(arch: str) -> None:
    assert NEWEST[arch] == max(NUMBERS[arch].values())


def test_numbers_agree_with_the_kernel_headers() -> None:
    header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    text = header.read_text() if header.exists() else ""
    found = {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)", text)}
    assert all(NUMBERS["x86_64"].get(name, number) == number for name, number in found.items())


def test_architectures_share_the_numbers_from_424_on() -> None:
    for arch in OURS:
        shared = {name: number for name, number in NUMBERS[arch].items() if number >= 424}
        assert shared.items() <= NUMBERS["x86_64"].items() | {("memfd_secret", 447)}


def test_arguments_have_known_widths_and_at_most_six() -> None:
    for call, text in [*ARGUMENTS.items(), *(item for table in BY_ARCH.values() for item in table.items())]:
        words = text.split()
        assert len(words) <= 6, call
        assert all(re.fullmatch(r"\w+:(16|32|64|\*)", word) for word in words), call
        assert len({word.split(":")[0] for word in words}) == len(words), call


def test_every_call_of_our_architectures_has_arguments_but_those_without_a_body() -> None:
    names = {name for arch in OURS for name in NUMBERS[arch]}
    assert names - set(ARGUMENTS) == {"epoll_ctl_old", "epoll_wait_old", "get_thread_area", "set_thread_area"}


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("socket", "family:32 type:32 protocol:32"),
        ("ioctl", "fd:32 cmd:32 arg:64"),
        ("mknodat", "dfd:32 filename:* mode:16 dev:32"),
        ("personality", "personality:32"),
        ("getpid", ""),
    ],
)
def test_widths_are_those_of_the_prototypes(call: str, text: str) -> None:
    assert ARGUMENTS[call] == text


def test_width_is_32_where_the_body_drops_the_upper_half() -> None:
    assert ARGUMENTS["clone"].split()[0] == "clone_flags:32"
    assert "fd:32" in ARGUMENTS["mmap"].split()


def test_clone_of_aarch64_has_the_thread_pointer_before_the_child_tid() -> None:
    assert [word.split(":")[0] for word in BY_ARCH["aarch64"]["clone"].split()][-2:] == ["tls", "child_tidptr"]
    assert [word.split(":")[0] for word in ARGUMENTS["clone"].split()][-2:] == ["child_tidptr", "tls"]
