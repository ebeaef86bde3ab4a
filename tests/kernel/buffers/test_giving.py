from __future__ import annotations

import os
import threading

import pytest

from sandboxer.kernel.buffers.giving import MUCH_BYTES, close_sealed
from sandboxer.kernel.buffers.sealed import make_sealed

LITTLE, MUCH = 1000, MUCH_BYTES


def closing_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "sandboxer-close"]


def test_little_is_closed_when_it_returns() -> None:
    descriptors = [make_sealed(bytes(LITTLE)) for _ in range(3)]
    close_sealed(descriptors)
    assert not closing_threads()
    for descriptor in descriptors:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def test_nothing_is_closed() -> None:
    close_sealed(())


@pytest.mark.parametrize("sizes", [(MUCH,), (MUCH // 2, MUCH // 2), (LITTLE, MUCH)])
def test_much_is_closed_beside_the_caller(sizes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    may_close = threading.Event()
    close = os.close
    monkeypatch.setattr(os, "close", lambda number: may_close.wait(30) and close(number))
    descriptors = [make_sealed(bytes(size)) for size in sizes]
    close_sealed(descriptors)
    (thread,) = closing_threads()
    assert not thread.daemon  # the interpreter waits for it
    may_close.set()
    thread.join()
    monkeypatch.undo()
    for descriptor in descriptors:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def test_much_is_closed_where_no_thread_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    descriptor = make_sealed(bytes(MUCH))
    close_sealed([descriptor])
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
