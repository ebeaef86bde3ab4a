"""Filters as text; the closing filter in full, so that a change of it is read in review."""

from __future__ import annotations

from sandboxer.controls.seccomp.libseccomp.closing import closing_filter
from sandboxer.verify.disassemble import disassemble
from tests.controls.seccomp.filters import meaning


def lines() -> list[str]:
    return list(disassemble(closing_filter(meaning("allow: [execve, exit_group, {seccomp: {op: 2}}]"), "x86_64")))


def test_head_of_the_closing_filter_kills_foreign_calls() -> None:
    assert lines()[:9] == [
        "0000  load arch",
        "0001  if arch == 0xc000003e: 0003, else go on",
        "0002  kill the process",
        "0003  load nr",
        "0004  if nr == 4294967295: 0006, else go on",
        "0005  go to 0007",
        "0006  ENOSYS",
        "0007  if nr >= 1073741824: go on, else 0010",
        "0008  if nr > 4294967295: 0010, else go on",
    ]


def test_tail_of_the_closing_filter_decides_about_calls() -> None:
    assert lines()[-13:] == [
        "0034  if nr == clone3: 0036, else go on",
        "0035  go to 0038",
        "0036  ENOSYS",
        "0037  allow",
        "0038  if nr == seccomp: 0040, else go on",
        "0039  go to 0046",
        "0040  load argument 0 low",
        "0041  if argument 0 low == 0x2: 0043, else go on",
        "0042  go to 0044",
        "0043  go to 0045",
        "0044  EPERM",
        "0045  allow",
        "0046  allow",
    ]


def test_unknown_code_is_shown_as_it_is() -> None:
    assert list(disassemble(b"\xff\x00\x01\x02\x03\x00\x00\x00")) == ["0000  code 0xff 1 2 0x3"]
