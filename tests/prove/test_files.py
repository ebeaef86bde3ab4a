"""Judges of files: what opens although it should not, and what should open and does not."""

from __future__ import annotations

import pytest

from sandboxer.prove.files import judge_opens, judge_writes
from tests.prove.pretend import seen

ENOENT, EACCES, EROFS, EMFILE = -2, -13, -30, -24


@pytest.mark.parametrize(
    ("stopped", "given", "is_right"),
    [(ENOENT, 3, True), (EACCES, 3, True), (3, 4, False), (ENOENT, EACCES, False), (EMFILE, 3, False)],
)
def test_stopped_paths_answer_so_and_given_ones_open(stopped: int, given: int, is_right: bool) -> None:
    assert judge_opens({0: "/root"}, {1: "/"}, seen((stopped,), (given,))).is_right is is_right


def test_probe_that_never_came_to_it_is_wrong() -> None:
    assert not judge_opens({0: "/root"}, {1: "/"}, seen()).is_right
    assert not judge_writes({1: (0, "/usr")}, {2: "/tmp"}, seen()).is_right


@pytest.mark.parametrize(
    ("reached", "written", "given", "is_right"),
    [
        (3, EROFS, 4, True),
        (3, EACCES, 4, False),  # another wall, or only the owner of the directory: the mount is not read-only
        (3, 5, 4, False),
        (3, EROFS, EACCES, False),
    ],
)
def test_directory_that_is_there_is_on_a_read_only_mount(reached: int, written: int, given: int, is_right: bool) -> None:
    assert judge_writes({1: (0, "/usr")}, {2: "/tmp"}, seen((reached,), (written,), (given,))).is_right is is_right
