"""The probe's lines are read back; what a kill cut off does not count."""

from __future__ import annotations

from sandboxer.prove.box import read_answers
from tests.prove.pretend import ended

STATEMENTS = ("call 39", "repeat 5 1", "call 32 0", "dump 2")


def test_answers_and_dumps_are_read_by_number() -> None:
    found = read_answers(ended(stdout=b"0 7\n1 3 -24\n3 00ff\n"), STATEMENTS)
    assert (found.first(0), found.first(1), found.last(1)) == (7, 3, -24)
    assert found.dumps == {3: b"\x00\xff"}


def test_line_without_an_end_does_not_count() -> None:
    found = read_answers(ended(stdout=b"0 7\n1 3"), STATEMENTS)
    assert (found.first(0), found.first(1), found.last(0)) == (7, None, None)


def test_no_output_is_no_answer() -> None:
    assert read_answers(ended(), STATEMENTS).answers == {}
