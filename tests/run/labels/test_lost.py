"""What is said of a descriptor that SELinux would take away."""

from __future__ import annotations

import pytest

from sandboxer.kernel.lsm.handed import Lost
from sandboxer.run.labels.lost import lost_error

COMMAND = "u:r:box_t:s0:c1,c2"


def said(number: int, label: str, kind: str) -> str:
    return str(lost_error(Lost(number, label, kind, ("read",)), COMMAND))


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (0, "fifo_file", "standard input is a pipe"), (1, "unix_stream_socket", "standard output is a socket"),
        (2, "chr_file", "standard error is a device"), (7, "file", "descriptor 7 is a file"),
        (3, "dir", "descriptor 3 is a directory"),
    ],
)  # fmt: skip
def test_descriptor_is_named_with_its_kind_and_the_domain(number: int, kind: str, words: str) -> None:
    assert f"{words} that the SELinux domain box_t may not use" in said(number, "u:r:mine_t:s0", kind)


def test_rule_that_would_help_is_told_with_the_level_where_that_is_in_the_way() -> None:
    rule = "(allow box_t mine_t (fifo_file (getattr read write append ioctl)))"
    plain, high = (said(1, f"u:r:mine_t:{level}", "fifo_file") for level in ("s0", "s0-s0:c0.c1023"))
    assert rule in plain
    assert "runcon" not in plain
    assert rule in high
    assert "runcon -l s0" in high
    assert "runcon" not in said(1, "u:r:mine_t", "fifo_file")


def test_file_is_to_be_a_pipe() -> None:
    assert "a pipe: `cat FILE | sandboxer exec" in said(0, "u:r:mine_t:s0", "file")
