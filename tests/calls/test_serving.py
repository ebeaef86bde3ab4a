"""What runs in a box, here without one: an interpreter that is ready serves one call after the other."""

from __future__ import annotations

import math
import operator
import pickle
import socket
from collections.abc import Callable
from typing import Any

import pytest

from sandboxer.calls.channel import Channel, Gone
from sandboxer.calls.request import pack_call
from sandboxer.calls.serving import serve
from sandboxer.calls.wire.block import READY, pack_block
from sandboxer.calls.wire.caps import Caps
from sandboxer.calls.wire.decode import decode
from sandboxer.calls.wire.frame import ASK, ERROR, VALUE
from sandboxer.calls.wire.reader import FrameReader


def answer_of(ours: socket.socket) -> tuple[int, Any]:
    reader = FrameReader(Caps())
    reader.feed(ours.recv(1 << 16))
    frame = reader.next({VALUE: 1 << 20, ERROR: 1 << 20})
    assert frame is not None
    return frame.kind, decode(frame.text, frame.segments)


def ask(ours: socket.socket, channel: Channel, function: Callable[..., Any], *arguments: Any) -> tuple[int, Any]:
    ours.sendall(pack_call(function, arguments, {}).data)
    serve(channel)
    return answer_of(ours)


def test_interpreter_serves_one_call_after_the_other() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = Channel(theirs.fileno())
        assert ask(ours, channel, operator.add, 1, 2) == (VALUE, 3)
        kind, told = ask(ours, channel, math.sqrt, -1)
        assert (kind, told["classes"][0]) == (ERROR, "builtins:ValueError")
        assert ask(ours, channel, math.sqrt, 4) == (VALUE, 2.0)


def test_caller_that_is_gone_is_told_apart() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        ours.close()
        with pytest.raises(Gone):
            serve(Channel(theirs.fileno()))


def test_block_that_is_not_expected_is_refused() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(pack_block(READY, pickle.dumps(None)))
        with pytest.raises(ValueError, match="kind 1 came, and 2 was expected"):
            serve(Channel(theirs.fileno()))


def test_thread_that_goes_on_after_the_answer_says_nothing() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = Channel(theirs.fileno())
        ask(ours, channel, operator.add, 1, 2)
        with pytest.raises(RuntimeError, match="over"):
            channel.ask(ASK, b"question", [])
        ours.setblocking(False)
        with pytest.raises(BlockingIOError):
            ours.recv(1)
