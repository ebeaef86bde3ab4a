"""The maker of the tables reads tracefs formats and knows widths."""

from __future__ import annotations

import pytest

from sandboxer.verify.tables import bits_of, by_architecture, parse_formats, show_arguments

FORMAT = """name: sys_enter_{name}
ID: 1
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:int __syscall_nr;\toffset:8;\tsize:4;\tsigned:1;
\tfield:{one};\toffset:16;\tsize:8;\tsigned:0;
\tfield:{two};\toffset:24;\tsize:8;\tsigned:0;

print fmt: "fd: 0x%08lx", ((unsigned long)(REC->fd))
"""


def test_format_becomes_names_with_widths() -> None:
    text = FORMAT.format(name="socket", one="int family", two="const char * name")
    assert parse_formats(text) == {"socket": "family:32 name:*"}


def test_format_of_a_renamed_function_gets_the_name_of_the_call() -> None:
    assert list(parse_formats(FORMAT.format(name="newuname", one="int a", two="int b"))) == ["uname"]


def test_format_of_an_argument_that_the_body_cuts_gets_the_narrow_width() -> None:
    text = FORMAT.format(name="clone", one="unsigned long clone_flags", two="unsigned long newsp")
    assert parse_formats(text)["clone"] == "clone_flags:32 newsp:64"


@pytest.mark.parametrize(
    ("c_type", "bits"),
    [("const clockid_t", "32"), ("umode_t", "16"), ("size_t", "64"), ("const struct rlimit *", "*"), ("cap_user_header_t", "*")],
)
def test_width_of_a_type(c_type: str, bits: str) -> None:
    assert bits_of(c_type) == bits


def test_width_of_an_unknown_type_is_refused() -> None:
    with pytest.raises(KeyError):
        bits_of("mystery_t")


NUMBERS = {"x86_64": {"read": 0}, "i386": {"read": 3, "stat64": 195}, "x32": {"read": 0x40000000}}


def test_formats_of_what_calls_return_are_no_arguments() -> None:
    text = FORMAT.format(name="read", one="int fd", two="size_t count")
    returned = text.replace("sys_enter", "sys_exit").replace("int fd", "long ret")
    assert parse_formats(returned + text + returned) == {"read": "fd:32 count:64"}


def test_formats_can_be_read_as_the_kernel_declares_them() -> None:
    text = FORMAT.format(name="clone", one="unsigned long clone_flags", two="unsigned long newsp")
    assert parse_formats(text, dropped={})["clone"] == "clone_flags:64 newsp:64"


def test_arguments_of_calls_without_a_number_are_left_out() -> None:
    shown = show_arguments({"read": "fd:32", "gone": "x:32"}, "6.18", NUMBERS)
    assert '"read": "fd:32"' in shown
    assert "Linux 6.18" in shown
    assert "gone" not in shown


def test_architectures_state_what_differs_only() -> None:
    tables = by_architecture({"read": "fd:32 buf:* count:64"}, NUMBERS)
    assert tables["i386"] == {"read": "fd:32 buf:* count:32", "stat64": "filename:* statbuf:*"}
    assert tables["x32"] == {}
    assert by_architecture({"read": "fd:32"}, {**NUMBERS, "i386": {"read": 3}})["i386"] == {}
