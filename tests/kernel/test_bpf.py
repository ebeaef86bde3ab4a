"""The filters of a process, read back: of one that loaded some, of one that loaded none, and of one that is not ours to read."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sandboxer.kernel.bpf import read_filters
from sandboxer.kernel.proc import parse_status
from tests.controls.seccomp.filters import load
from tests.live.needs import needs
from tests.live.users import unused_id
from tests.verify.programs import ALLOW, on_number, program

STACK = (program(ALLOW), on_number(165, 0x00050001), on_number(166, 0x00050026))


@contextmanager
def sleeper(stack: tuple[bytes, ...]) -> Iterator[int]:
    """A child that has loaded these filters and waits to be killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            load(stack)
            os.write(writing, b"x")
            while True:
                signal.pause()
        finally:
            os._exit(1)
    os.close(writing)
    try:
        assert os.read(reading, 1) == b"x"
        yield child
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@needs("root", "x86_64")
@pytest.mark.parametrize("count", range(4))
def test_filters_are_read_in_the_order_of_loading(count: int) -> None:
    with sleeper(STACK[:count]) as child:
        assert read_filters(child) == STACK[:count]
        with open(f"/proc/{child}/status") as file:
            assert int(parse_status(file.read())["Seccomp_filters"]) == count


@needs("root", "x86_64")
def test_process_goes_on_after_it_was_read() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert read_filters(process.pid) == ()
        assert process.communicate(b"on\n", timeout=60)[0] == b"on\n"
    assert process.returncode == 0


def test_process_that_is_not_there_cannot_be_read() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait(60)
    with pytest.raises(ProcessLookupError):
        read_filters(process.pid)


@needs("root", "x86_64")
def test_ordinary_user_may_not_read() -> None:
    answer = os.fork()
    if answer == 0:
        os.setresgid(unused_id(), unused_id(), unused_id())
        os.setresuid(unused_id(), unused_id(), unused_id())
        try:
            with sleeper(STACK) as child:
                read_filters(child)
            os._exit(1)
        except PermissionError:
            os._exit(0)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(answer, 0)[1]) == 0
