"""Values are the bits that the kernel sees; what an argument cannot hold is refused."""

from __future__ import annotations

import pytest

from sandboxer.controls.seccomp.rules import Argument, find_arguments
from sandboxer.controls.seccomp.values import check_pointer, parse_value
from sandboxer.errors import ProfileError
from sandboxer.model.node import Scalar
from sandboxer.model.place import Place

FULL = 0xFFFFFFFF
WIDE = (1 << 64) - 1


def argument(call: str, name: str) -> Argument:
    return next(known for known in find_arguments(call, "x86_64") or () if known.name == name)


def value(text: str, call: str = "socket", name: str = "family") -> int:
    node = Scalar(text, text, False, Place("test.yaml", 1, 1, text))
    return parse_value(node, call, argument(call, name))


@pytest.mark.parametrize(
    ("text", "call", "name", "expected"),
    [
        ("0", "socket", "family", 0),
        ("007", "socket", "family", 7),
        ("0x1F", "socket", "family", 31),
        ("-1", "socket", "family", FULL),
        ("-2147483648", "socket", "family", 1 << 31),
        ("4294967295", "socket", "family", FULL),
        ("-0x1", "socket", "family", FULL),
        ("65535", "mknod", "mode", 0xFFFF),
        ("-1", "mknod", "mode", 0xFFFF),
        ("18446744073709551615", "ioctl", "arg", WIDE),
        ("0xFFFFFFFFFFFFFFFF", "ioctl", "arg", WIDE),
        ("-1", "ioctl", "arg", WIDE),
        ("AF_INET6", "socket", "family", 10),
        ("PROT_READ|PROT_EXEC", "mmap", "prot", 5),
        ("PROT_READ | 0x8", "mmap", "prot", 9),
        ("-100", "openat", "dfd", 0xFFFFFF9C),
    ],
)
def test_value_is_the_bits_that_the_kernel_sees(text: str, call: str, name: str, expected: int) -> None:
    assert value(text, call, name) == expected


@pytest.mark.parametrize(
    ("text", "call", "name", "what"),
    [
        ("4294967296", "socket", "family", "4294967296 does not fit into family"),
        ("-2147483649", "socket", "family", "-2147483649 does not fit into family"),
        ("65536", "mknod", "mode", "65536 does not fit into mode"),
        ("-32769", "mknod", "mode", "-32769 does not fit into mode"),
        ("18446744073709551616", "ioctl", "arg", "18446744073709551616 does not fit into arg"),
        ("AF_UNIX|4294967296", "socket", "family", "4294967296 does not fit into family"),
        ("AF_INET", "socket", "type", "AF_INET is no value of type"),
        ("SOCK_STREAM|AF_INET", "socket", "type", "AF_INET is no value of type"),
        ("", "socket", "family", "unknown value ''"),
        ("1|", "socket", "family", "unknown value ''"),
        ("1.5", "socket", "family", "unknown value '1.5'"),
        ("1 2", "socket", "family", "unknown value '1 2'"),
        ("0x", "socket", "family", "unknown value '0x'"),
        ("+1", "socket", "family", "unknown value '+1'"),
        ("--1", "socket", "family", "unknown value '--1'"),
        ("1e3", "socket", "family", "unknown value '1e3'"),
        ("0b11", "socket", "family", "unknown value '0b11'"),
        ("1_0", "socket", "family", "unknown value '1_0'"),
        ("٣", "socket", "family", "unknown value '٣'"),
        ("9" * 21, "ioctl", "arg", "unknown value"),
        ("0x" + "1" * 17, "ioctl", "arg", "unknown value"),
        ("af_inet", "socket", "family", "unknown value 'af_inet'"),
    ],
)
def test_what_is_no_value_of_an_argument_is_refused(text: str, call: str, name: str, what: str) -> None:
    with pytest.raises(ProfileError) as caught:
        value(text, call, name)
    assert caught.value.problems[0].what.startswith(what)


def test_constant_of_any_kind_goes_where_no_kinds_are_known() -> None:
    assert value("AF_INET", "ioctl", "arg") == 2


def test_pointer_may_be_asked_whether_it_is_null() -> None:
    node = Scalar("0", "0", False, Place("test.yaml", 1, 1, "0"))
    pointer = argument("read", "buf")
    check_pointer(node, pointer, WIDE, ((0, 0),))
    check_pointer(node, pointer, WIDE, ((1, WIDE),))
    for mask, ranges in ((WIDE, ((1, 1),)), (FULL, ((0, 0),)), (WIDE, ((0, 1),)), (WIDE, ())):
        with pytest.raises(ProfileError, match="buf is a pointer"):
            check_pointer(node, pointer, mask, ranges)
    check_pointer(node, argument("read", "count"), FULL, ((1, 7),))
