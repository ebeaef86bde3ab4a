"""Subordinate ids, on pretended files."""

from __future__ import annotations

import pytest

from sandboxer.kernel.idmap import parse_subids
from sandboxer.model.host import IdRange

SUBUID = "root:1:10\nuser:100000:65536\n1000:300000:5\nother:7:7\n# note\nuser:x:1\nuser:1:0\nuser:4294967295:9\n"


def test_subids_are_found_by_name_and_by_number() -> None:
    assert parse_subids(SUBUID, "user", 1000) == (IdRange(100000, 65536), IdRange(300000, 5))


def test_subids_of_a_stranger_are_none() -> None:
    assert parse_subids(SUBUID, "nobody", 9) == ()


def test_subids_of_root_are_those_of_its_row() -> None:
    assert parse_subids(SUBUID, "root", 0) == (IdRange(1, 10),)


@pytest.mark.parametrize("text", ["", "\n", "user\n", "user:1\n", "user:-1:5\n", "user:1:²\n", "user:0:5\n", "user:1:2:3\n"])
def test_subids_of_a_broken_file_are_none(text: str) -> None:
    assert parse_subids(text, "user", 1000) == ()


def test_subids_that_reach_the_last_id_are_left_out() -> None:
    assert parse_subids("user:4294967290:9\n", "user", 1000) == ()


def test_subids_just_below_the_last_id_are_kept() -> None:
    assert parse_subids("user:4294967290:5\n", "user", 1000) == (IdRange(4294967290, 5),)
