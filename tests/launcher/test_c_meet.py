"""inside/meet.c, HandOver: a directory goes to the supervisor, and the child waits for its word."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable

from sandboxer.kernel.listener.notices import make_watch, receive_descriptor
from sandboxer.launcher.record import Outcome
from sandboxer.model import op as ops
from sandboxer.model.op import U32, U64, Op, Text, TextList
from tests.launcher.plans import Ended, boxed, boxed_end, launch, plan, shell

STEPS: list[Op] = [
    ops.MakeDirectory(Text("/own"), U32(0o755)),
    ops.MountFilesystem(Text("tmpfs"), Text("/own"), U64(0), TextList(())),
    ops.HandOver(Text("/own")),
]


def run(serve: Callable[[socket.socket], None], script: str, steps: list[Op] = STEPS) -> Ended:
    before, inside = boxed()
    ours, theirs = make_watch()
    with ours, theirs:
        thread = threading.Thread(target=serve, args=(ours,))
        thread.start()
        ended = launch(plan(before, [*inside, *steps, *boxed_end()], shell(script)), watch_fd=theirs.fileno())
        theirs.close()
        thread.join()
    return ended


def test_supervisor_puts_a_file_there_and_the_command_sees_it() -> None:
    kept: list[int] = []

    def serve(watch: socket.socket) -> None:
        kind, descriptor, _ = receive_descriptor(watch)
        assert kind == b"d"
        kept.append(os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=descriptor))
        os.close(descriptor)
        os.close(os.open("given", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=kept[0]))
        watch.send(b"g")

    ended = run(serve, "ls /own; echo made > /own/made")
    assert (ended.out, ended.status) == ("given\n", 0)
    with os.fdopen(os.open("made", os.O_RDONLY, dir_fd=kept[0])) as file:
        assert file.read() == "made\n"  # the box is gone, and the directory is not
    os.close(kept[0])


def test_supervisor_that_gives_up_ends_the_set_up() -> None:
    def serve(watch: socket.socket) -> None:
        os.close(receive_descriptor(watch)[1])
        watch.close()

    ended = run(serve, "echo ran")
    assert (ended.out, ended.record["outcome"]) == ("", Outcome.SETUP_FAILED)
    assert (ended.record["fail_op"], ended.record["fail_errno"]) == (ops.HandOver.TAG, errno.ESRCH)


def test_without_a_supervisor_nothing_starts() -> None:
    before, inside = boxed()
    ended = launch(plan(before, [*inside, *STEPS, *boxed_end()], shell("echo ran")))
    assert (ended.out, ended.record["fail_op"], ended.record["fail_errno"]) == ("", ops.HandOver.TAG, errno.EBADF)


def test_path_that_is_not_there_is_an_error() -> None:
    ended = run(lambda watch: watch.close(), "echo ran", [ops.HandOver(Text("/nowhere"))])
    assert (ended.record["fail_op"], ended.record["fail_errno"]) == (ops.HandOver.TAG, errno.ENOENT)


def test_command_has_nothing_of_the_socket() -> None:
    def serve(watch: socket.socket) -> None:
        os.close(receive_descriptor(watch)[1])
        watch.send(b"g")

    assert run(serve, "ls /proc/self/fd | tr '\\n' ' '").out == "0 1 2 3 "  # 3 is that of ls
