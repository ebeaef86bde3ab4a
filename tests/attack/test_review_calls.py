"""System calls that are in the shipped list for their everyday use, and that a job must not turn to another one."""

from __future__ import annotations

import errno
import json

import pytest

from tests.attack.seats import Seat

IOCTLS = """
import fcntl, json, os, sys
answers = []
directory = os.open(".", os.O_RDONLY)
for number in json.loads(sys.argv[1]):
    try:
        fcntl.ioctl(directory, number, bytes(1024))
        answers.append(0)
    except OSError as error:
        answers.append(error.errno)
print(json.dumps(answers))
"""
SOCKETS = """
import json, socket, sys
answers = []
for words in json.loads(sys.argv[1]):
    try:
        socket.socket(*words).close()
        answers.append(0)
    except OSError as error:
        answers.append(error.errno)
print(json.dumps(answers))
"""
SNAPSHOTS = (0x50009401, 0x5000940E, 0x5000940F, 0x50009417, 0x50009418, 0x5000943F, 0x4008941A, 0x4058BC10)
CLONES = (0x40049409, 0x4020940D)
INET, INET6, STREAM, DGRAM = 2, 10, 1, 2
STRANGE = ((INET, STREAM, 132), (INET6, STREAM, 132), (INET, DGRAM, 115), (INET, DGRAM, 136), (INET, STREAM, 255))
EVERYDAY = ((INET, STREAM, 0), (INET, STREAM, 6), (INET6, STREAM, 6), (INET, DGRAM, 0), (INET6, DGRAM, 17))


def answers(seat: Seat, code: str, asked: tuple[object, ...]) -> list[int]:
    """The errno of each call in the box; 0 where it worked."""
    ended = seat.run(["python3", "-I", "-S", "-c", code, json.dumps(asked)])
    assert ended.status == 0, ended
    found: list[int] = json.loads(ended.out)
    return found


def test_snapshots_are_denied(seat: Seat) -> None:
    """What a mount hides of a tree is there in a snapshot of that tree, and its owner may make one."""
    assert set(answers(seat, IOCTLS, SNAPSHOTS)) == {errno.EPERM}


def test_clones_of_files_reach_the_filesystem(seat: Seat) -> None:
    assert errno.EPERM not in answers(seat, IOCTLS, CLONES)


def test_sockets_of_rare_protocols_are_denied(seat: Seat) -> None:
    """They would load kernel modules that few people have looked at, in a box without a network too."""
    assert set(answers(seat, SOCKETS, STRANGE)) == {errno.EPERM}


def test_sockets_of_everyday_protocols_work(seat: Seat) -> None:
    assert set(answers(seat, SOCKETS, EVERYDAY)) <= {0, errno.EAFNOSUPPORT}


@pytest.mark.parametrize("kind", [STREAM, DGRAM])
def test_unix_sockets_work(seat: Seat, kind: int) -> None:
    assert answers(seat, SOCKETS, ((1, kind, 0),)) == [0]
