"""Descriptors over a socket: all of them arrive or that is known, and none makes us wait."""

from __future__ import annotations

import os
import resource
import socket
import struct
import threading

import pytest

from sandboxer.kernel.buffers.passing import MOST, close_aside, receive, refuse_descriptors, send


def test_descriptors_come_with_the_first_byte_of_their_data() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, open("/dev/null") as nothing:
        assert send(theirs, memoryview(b"ab"), [nothing.fileno()] * 3) == 2
        data, found, is_whole = receive(ours, 1)
        assert (data, len(found), is_whole) == (b"a", 3, True)
        assert not any(os.get_inheritable(one) for one in found)
        assert receive(ours, 9) == (b"b", [], True)
        close_aside(found)


def test_there_is_room_for_as_many_as_one_message_has() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, open("/dev/null") as nothing:
        send(theirs, memoryview(b"a"), [nothing.fileno()] * MOST)
        _, found, is_whole = receive(ours, 1)
        assert (len(found), is_whole) == (MOST, True)
        close_aside(found)
        with pytest.raises(OSError, match="Invalid argument"):
            send(theirs, memoryview(b"a"), [nothing.fileno()] * (MOST + 1))


def test_lack_of_numbers_is_seen() -> None:
    ours, theirs = socket.socketpair()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ours, theirs, open("/dev/null") as nothing:
        send(theirs, memoryview(b"a"), [nothing.fileno()] * 100)
        opened = [int(name) for name in os.listdir("/proc/self/fd")]
        few = next(number for number in range(soft) if number - sum(one < number for one in opened) == 10)
        resource.setrlimit(resource.RLIMIT_NOFILE, (few, hard))
        try:
            _, found, is_whole = receive(ours, 1)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        close_aside(found)
        assert not is_whole


def test_refused_descriptors_are_refused_where_the_kernel_can_and_data_is_not() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, open("/dev/null") as nothing:
        refuse_descriptors(ours)
        theirs.send(b"x")
        assert receive(ours, 9)[0] == b"x"
        try:
            send(theirs, memoryview(b"a"), [nothing.fileno()])
        except PermissionError:
            return
        close_aside(receive(ours, 9)[1])


def test_socket_that_lingers_is_closed_by_somebody_else() -> None:
    """It has data that nobody takes, and its close waits for that."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        theirs = socket.create_connection(server.getsockname())
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
        accepted = server.accept()[0]
        theirs.settimeout(0.1)
        with pytest.raises(TimeoutError):
            theirs.sendall(b"x" * (64 << 20))
        close_aside([theirs.detach()])
        closing = [thread for thread in threading.enumerate() if thread.name == "sandboxer-close"]
        accepted.close()  # resets the connection, so that the close ends
        for thread in closing:
            thread.join()


def test_all_is_closed_where_no_thread_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    ours, theirs = os.pipe()
    close_aside([ours, theirs])
    for descriptor in (ours, theirs):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
