"""Every call has arguments with the widths that the kernel looks at, or a reason why it has none."""

from __future__ import annotations

import re

import pytest

from sandboxer.abi.arguments_table import ARGUMENTS, BY_ARCH, UNSTATED
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.verify.prototypes import DROPPED

OURS = ("x86_64", "aarch64", "riscv64")
ALL = [("", call, text) for call, text in ARGUMENTS.items()] + [
    (arch, call, text) for arch, table in BY_ARCH.items() for call, text in table.items()
]


def text_of(call: str, arch: str) -> str | None:
    return BY_ARCH.get(arch, {}).get(call, ARGUMENTS.get(call))


def names_of(text: str | None) -> list[str]:
    return [word.split(":")[0] for word in (text or "").split()]


@pytest.mark.parametrize(("arch", "call", "text"), ALL)
def test_arguments_have_known_widths_and_at_most_six(arch: str, call: str, text: str) -> None:
    words = text.split()
    assert len(words) <= 6
    assert all(re.fullmatch(r"\w+:(16|32|64|\*)", word) for word in words)
    assert len(set(names_of(text))) == len(words)


@pytest.mark.parametrize("arch", sorted(NUMBERS))
def test_every_call_has_arguments_or_a_reason_to_have_none(arch: str) -> None:
    without = {call for call in NUMBERS[arch] if text_of(call, arch) is None}
    assert without == {call for call in UNSTATED.keys() & NUMBERS[arch].keys() if call not in BY_ARCH.get(arch, {})}
    assert all(UNSTATED.values())


def test_no_call_of_the_tables_is_without_a_number() -> None:
    assert ARGUMENTS.keys() | UNSTATED.keys() == {call for arch in OURS for call in NUMBERS[arch]}
    for arch, table in BY_ARCH.items():
        assert table.keys() <= NUMBERS[arch].keys()


def test_what_an_architecture_states_of_its_own_differs() -> None:
    assert [(arch, call) for arch, table in BY_ARCH.items() for call, text in table.items() if ARGUMENTS.get(call) == text] == []


def test_our_architectures_share_names_so_that_a_rule_means_one_thing() -> None:
    for arch in OURS:
        for call, text in BY_ARCH.get(arch, {}).items():
            assert sorted(text.split()) == sorted(ARGUMENTS[call].split()), (arch, call)


def test_nothing_of_i386_is_wider_than_a_register() -> None:
    for call in NUMBERS["i386"]:
        assert ":64" not in (text_of(call, "i386") or ""), call


@pytest.mark.parametrize(("call", "argument"), sorted(DROPPED))
def test_width_is_32_where_the_body_drops_the_upper_half(call: str, argument: str) -> None:
    assert f"{argument}:32" in ARGUMENTS[call].split()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("socket", "family:32 type:32 protocol:32"),
        ("ioctl", "fd:32 cmd:32 arg:64"),
        ("mknodat", "dfd:32 filename:* mode:16 dev:32"),
        ("personality", "personality:32"),
        ("getpid", ""),
        ("ptrace", "request:64 pid:32 addr:64 data:64"),
        ("unshare", "unshare_flags:64"),
    ],
)
def test_widths_are_those_of_the_prototypes(call: str, text: str) -> None:
    assert ARGUMENTS[call] == text


@pytest.mark.parametrize("arch", ["aarch64", "riscv64", "i386"])
def test_clone_has_the_thread_pointer_before_the_child_tid(arch: str) -> None:
    assert names_of(text_of("clone", arch))[-2:] == ["tls", "child_tidptr"]


@pytest.mark.parametrize("arch", ["x86_64", "x32"])
def test_clone_of_x86_64_has_the_thread_pointer_last(arch: str) -> None:
    assert names_of(text_of("clone", arch))[-2:] == ["child_tidptr", "tls"]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("pread64", "fd:32 ubuf:* count:32 poslo:32 poshi:32"),
        ("fallocate", "fd:32 mode:32 offset_lo:32 offset_hi:32 len_lo:32 len_hi:32"),
        ("truncate64", "filename:* offset_low:32 offset_high:32"),
        ("socketcall", "call:32 args:*"),
        ("ipc", "call:32 first:32 second:32 third:32 ptr:* fifth:32"),
        ("setuid", "uid:16"),
        ("setuid32", "uid:32"),
        ("mmap", "arg:*"),
        ("futex_time64", "uaddr:* op:32 val:32 utime:* uaddr2:* val3:32"),
    ],
)
def test_arguments_of_i386_are_those_of_its_registers(call: str, text: str) -> None:
    assert text_of(call, "i386") == text


@pytest.mark.parametrize(
    ("call", "text"),
    [("ioctl", "fd:32 cmd:32 arg:32"), ("read", "fd:32 buf:* count:64"), ("preadv", "fd:32 vec:* vlen:64 pos:64")],
)
def test_arguments_of_x32_are_64_bits_wide_but_behind_the_compat_layer(call: str, text: str) -> None:
    assert text_of(call, "x32") == text
