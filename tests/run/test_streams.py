"""Feeding and draining the standard streams of a box."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

import pytest

from sandboxer.run.streams import MAX_OUTPUT_BYTES, Streams, open_streams
from sandboxer.run.turns import Turns


def fed(
    command: list[str], stdin: bytes | None, most: int = MAX_OUTPUT_BYTES, excess: str = ""
) -> tuple[bytes | None, bytes | None]:
    """What the command wrote, as far as it is kept. It is killed if it wrote more."""
    with open_streams(stdin, most) as streams:
        theirs = streams.theirs
        with subprocess.Popen(command, stdin=theirs[0], stdout=theirs[1], stderr=theirs[2]) as process:
            streams.close_theirs()
            outputs = pumped(streams, process.kill)
        assert (streams.excess, process.returncode) == (excess, -9 if excess else 0)
        return outputs


def pumped(streams: Streams, end: Callable[[], None] = lambda: None) -> tuple[bytes | None, bytes | None]:
    turns = Turns()
    streams.enter(turns, end)
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
    with open_streams(None, None) as streams:
        assert streams.theirs == (0, 1, 2)
        assert pumped(streams) == (None, None)


@pytest.mark.parametrize(("redirect", "name"), [("", "standard output"), (">&2", "standard error")])
def test_output_that_is_too_long_is_kept_up_to_the_bound_and_ended(redirect: str, name: str) -> None:
    outputs = fed(["sh", "-c", f"exec yes {redirect}"], None, 100_001, name)
    assert sorted(outputs, key=lambda kept: len(kept or b"")) == [b"", b"y\n" * 50_000 + b"y"]


@pytest.mark.parametrize("most", [0, 4, 1 << 20])
def test_output_up_to_the_bound_is_whole(most: int) -> None:
    """Each of the two outputs has all of the bound."""
    text = "x" * most
    assert fed(["sh", "-c", "cat | tee /dev/stderr"], text.encode(), most) == (text.encode(),) * 2


def test_one_byte_more_than_the_bound_is_too_much() -> None:
    assert fed(["sh", "-c", "printf 12345; exec sleep 60"], None, 4, "standard output") == (b"1234", b"")


@pytest.mark.parametrize("stdin", [None, b"x"])
def test_no_descriptor_is_left(stdin: bytes | None) -> None:
    before = os.listdir("/proc/self/fd")
    fed(["true"], stdin)
    assert os.listdir("/proc/self/fd") == before


def test_no_descriptor_is_left_of_what_never_started() -> None:
    before = os.listdir("/proc/self/fd")
    with open_streams(b"x", 1):
        pass
    assert os.listdir("/proc/self/fd") == before


def test_sink_takes_the_outputs_and_none_is_kept() -> None:
    taken: list[tuple[int, bytes]] = []
    with open_streams(None, 1, lambda number, data: taken.append((number, data))) as streams:
        theirs = streams.theirs
        with subprocess.Popen(["sh", "-c", "echo out; echo err >&2"], stdout=theirs[1], stderr=theirs[2]):
            streams.close_theirs()
            assert pumped(streams) == (None, None)
        assert streams.excess == ""
    assert sorted(taken) == [(1, b"out\n"), (2, b"err\n")]
