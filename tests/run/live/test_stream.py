"""Events of a box, one after the other; and that leaving them kills it."""

from __future__ import annotations

import gc
import os
import signal
import struct
import sys
import threading
from collections.abc import Iterable
from fcntl import F_GETPIPE_SZ, fcntl, ioctl
from pathlib import Path
from termios import FIONREAD

import pytest

import sandboxer
from sandboxer import DenialSeen, Ended, Event, Reason, Stderr, Stdout, UsageTick
from tests.live.needs import needs


def joined(events: Iterable[Event], kind: type[Stdout] | type[Stderr]) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, kind))


def children() -> str:
    return Path("/proc/thread-self/children").read_text()


@needs("userns")
def test_outputs_come_as_events_and_the_result_is_the_last() -> None:
    with sandboxer.stream(["sh", "-c", "echo out; echo err >&2; exit 3"], "strict") as stream:
        events = list(stream)
    assert (joined(events, Stdout), joined(events, Stderr)) == (b"out\n", b"err\n")
    last = events[-1]
    assert isinstance(last, Ended)
    assert stream.result is last.result
    assert (last.result.exit_code, last.result.stdout, last.result.stderr) == (3, None, None)
    assert list(stream) == []


@needs("userns")
def test_event_comes_while_the_box_lives() -> None:
    with sandboxer.stream(["sh", "-c", "echo first; exec sleep 60"], "strict") as stream:
        assert next(stream) == Stdout(b"first\n")
        assert stream.result is None


@needs("userns")
def test_leaving_the_iterator_kills_the_box() -> None:
    before = children()
    with sandboxer.stream(["sh", "-c", "echo first; exec sleep 60"], "strict") as stream:
        next(stream)
        assert children() != before
    assert children() == before
    assert list(stream) == []
    stream.close()


@needs("userns")
def test_iterator_that_is_forgotten_kills_the_box() -> None:
    before = children()
    stream = sandboxer.stream(["sleep", "60"], "strict")
    assert children() != before
    del stream
    gc.collect()
    assert children() == before


@needs("userns")
def test_job_waits_for_a_slow_reader() -> None:
    """Until somebody reads, the pipe is full, and nothing of it is held here; then it comes piece by piece."""
    with sandboxer.stream(["yes"], "strict") as stream:
        running = stream._feed.running
        assert running is not None
        descriptor = next(iter(running._streams._read_fds))
        capacity = fcntl(descriptor, F_GETPIPE_SZ)
        while held(descriptor) < capacity:
            pass
        assert stream._feed.take() is None
        event = next(stream)
        assert isinstance(event, Stdout)
        assert 0 < len(event.data) <= capacity
        assert len(stream._feed._waiting) <= 1


def held(descriptor: int) -> int:
    """How many bytes are in a pipe."""
    return struct.unpack("i", ioctl(descriptor, FIONREAD, bytes(4)))[0]


@needs("userns")
def test_more_than_any_bound_of_run_goes_through() -> None:
    with sandboxer.stream(["sh", "-c", "head -c 100000000 /dev/zero"], "strict") as stream:
        total = sum(len(event.data) for event in stream if isinstance(event, Stdout))
    assert (total, stream.result and stream.result.reason) == (100_000_000, Reason.EXITED)


@needs("userns")
def test_input_files_and_what_is_collected_are_as_in_run() -> None:
    argv = ["sh", "-c", "cat a -; echo 2 > b"]
    with sandboxer.stream(argv, "strict", stdin=b"in", files={"a": "file "}, collect=["b"]) as stream:
        assert joined(list(stream), Stdout) == b"file in"
    assert stream.result is not None
    assert dict(stream.result.files or {}) == {"b": b"2\n"}


@needs("userns")
def test_end_by_a_limit_is_the_result() -> None:
    with sandboxer.stream(["sh", "-c", "echo part; exec sleep 60"], "strict", timeout=0.3) as stream:
        events = list(stream)
    assert (joined(events, Stdout), stream.result and stream.result.reason) == (b"part\n", Reason.WALL_TIMEOUT)
    assert stream.result is not None
    with pytest.raises(sandboxer.SandboxTimeout):
        stream.result.check()


@needs("userns")
def test_denial_is_told_once_while_the_box_lives() -> None:
    script = "import ctypes; call = ctypes.CDLL(None).syscall; call(250, 0, -3); call(250, 0, -3); print(1)"
    with sandboxer.stream([os.path.realpath(sys.executable), "-c", script], "python", explain=True) as stream:
        events = list(stream)
    seen = [event.denial for event in events if isinstance(event, DenialSeen) and event.denial.call == "keyctl"]
    assert [(denial.answer, denial.risk) for denial in seen] == [("EPERM", sandboxer.Risk.HIGH)] * len(seen)
    assert seen
    assert stream.result is not None
    assert stream.result.denials is not None
    assert sum(row.count for row in stream.result.denials.rows if row.call == "keyctl") == 2


@needs("userns")
def test_use_is_told_every_so_often() -> None:
    script = "import time\nheld = bytearray(30 << 20)\nprint(1, flush=True)\nwhile True: pass"
    with sandboxer.stream([os.path.realpath(sys.executable), "-c", script], "python", usage_every=0.05) as stream:
        ticks = [event for event in (next(stream) for _ in range(12)) if isinstance(event, UsageTick)]
    assert len(ticks) >= 10
    assert all(tick.processes >= 1 for tick in ticks[-2:])
    assert ticks[-1].rss_bytes > 30 << 20
    assert ticks[-1].cpu_us >= ticks[0].cpu_us


@pytest.mark.parametrize("every", [0, 0.001, "5ms", "soon"])
def test_interval_that_is_none_is_refused(every: str | float) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # each has a text of its own
        sandboxer.stream(["true"], "strict", usage_every=every)


@needs("userns")
def test_interrupt_of_the_reader_kills_the_box() -> None:
    before = children()
    sandboxer.run(["true"], "strict")
    stream = sandboxer.stream(["sleep", "60"], "strict")
    timer = threading.Timer(0.3, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        next(stream)
    timer.join()
    assert children() == before


def test_profile_that_is_wrong_raises_at_once() -> None:
    with pytest.raises(sandboxer.PolicyError, match="nosuch"):
        sandboxer.stream(["true"], "nosuch")
