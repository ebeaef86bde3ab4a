"""Prototypes written by hand: how an i386 call finds the one whose function it has."""

from __future__ import annotations

import re

import pytest

from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.verify.prototypes import BODILESS, DEPENDENT, DROPPED, GAPS, I386, X32, find_same, narrowed, prototypes_of_i386

KNOWN = {"fcntl": "fd:32 cmd:32 arg:64", "futex": "uaddr:* op:32", "setuid": "uid:32", "pread64": "fd:32 buf:* count:64 pos:64"}


@pytest.mark.parametrize(
    ("call", "same"),
    [
        ("fcntl", "fcntl"),
        ("fcntl64", "fcntl"),
        ("futex_time64", "futex"),
        ("setuid32", "setuid"),
        ("pread64", "pread64"),
        ("x", None),
    ],
)
def test_variant_has_the_function_of_the_plain_name(call: str, same: str | None) -> None:
    assert find_same(call, KNOWN) == same


def test_what_has_64_bits_elsewhere_has_32_on_i386() -> None:
    assert narrowed("fd:32 buf:* count:64 mode:16") == "fd:32 buf:* count:32 mode:16"


def test_prototypes_of_i386_are_those_that_differ() -> None:
    found = prototypes_of_i386(["fcntl", "futex", "setuid", "setuid32"], KNOWN)
    assert found == {"fcntl": "fd:32 cmd:32 arg:32", "setuid": "uid:16", "setuid32": "uid:32"}


def test_call_of_i386_that_nobody_stated_is_refused() -> None:
    with pytest.raises(KeyError):
        prototypes_of_i386(["mystery"], KNOWN)


@pytest.mark.parametrize("table", [GAPS, I386, X32])
def test_texts_are_names_with_widths(table: dict[str, str]) -> None:
    assert [text for text in table.values() if not re.fullmatch(r"(\w+:(16|32|64|\*) ?)*", text)] == []


def test_prototypes_are_of_calls_that_exist() -> None:
    assert I386.keys() <= NUMBERS["i386"].keys()
    assert X32.keys() <= NUMBERS["x32"].keys()
    ours = NUMBERS["x86_64"].keys() | NUMBERS["aarch64"].keys() | NUMBERS["riscv64"].keys()
    assert GAPS.keys() | BODILESS.keys() | DEPENDENT.keys() | {call for call, _ in DROPPED} <= ours


def test_every_cut_has_its_source() -> None:
    assert all(re.match(r"(fs|kernel|mm)/\w+\.c", source) for source in DROPPED.values())
