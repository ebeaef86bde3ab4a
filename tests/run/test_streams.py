"""Feeding and draining the standard streams of a box."""

from __future__ import annotations

import os
import subprocess

import pytest

from sandboxer.run.streams import Streams, open_streams
from sandboxer.run.turns import Turns


def fed(command: list[str], stdin: bytes | None) -> tuple[bytes, bytes]:
    with open_streams(stdin, is_captured=True) as streams:
        theirs = streams.theirs
        with subprocess.Popen(command, stdin=theirs[0], stdout=theirs[1], stderr=theirs[2]):
            streams.close_theirs()
            return pumped(streams)


def pumped(streams: Streams) -> tuple[bytes, bytes]:
    turns = Turns()
    streams.enter(turns)
    turns.run()
    return streams.outputs


def test_outputs_are_kept_apart() -> None:
    assert fed(["sh", "-c", "echo out; echo err >&2"], None) == (b"out\n", b"err\n")


def test_input_larger_than_any_pipe_goes_through() -> None:
    data = os.urandom(1 << 20)
    assert fed(["cat"], data)[0] == data


def test_empty_input_is_the_end_of_the_stream() -> None:
    assert fed(["cat"], b"")[0] == b""


def test_command_that_reads_nothing_stops_nothing() -> None:
    assert fed(["echo", "done"], bytes(1 << 20))[0] == b"done\n"


def test_streams_that_nobody_wants_are_the_callers() -> None:
    with open_streams(None, is_captured=False) as streams:
        assert streams.theirs == (0, 1, 2)
        assert pumped(streams) == (b"", b"")


@pytest.mark.parametrize("stdin", [None, b"x"])
def test_no_descriptor_is_left(stdin: bytes | None) -> None:
    before = os.listdir("/proc/self/fd")
    fed(["true"], stdin)
    assert os.listdir("/proc/self/fd") == before


def test_no_descriptor_is_left_of_what_never_started() -> None:
    before = os.listdir("/proc/self/fd")
    with open_streams(b"x", is_captured=True):
        pass
    assert os.listdir("/proc/self/fd") == before
