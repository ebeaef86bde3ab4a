"""Boxes of tasks, on asyncio and on trio: they end with their tasks, and keep nobody waiting."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

import sandboxer
from sandboxer import Ended, Reason, Stdout, aio
from sandboxer.kernel.boxes.living import COMM
from sandboxer.kernel.proc import find_text
from tests.live.needs import needs
from tests.run.live.conftest import project  # noqa: F401  # a fixture, of every test

BACKENDS = ["asyncio", "trio"]
Body = Callable[[], Awaitable[None]]


@pytest.fixture(params=BACKENDS)
def on(request: pytest.FixtureRequest) -> Callable[[Body], None]:
    """Run a body on one event loop or the other, and nothing of a box is there when it ends."""

    def run(body: Body) -> None:
        anyio.run(body, backend=request.param)
        assert boxes() == 0

    return run


def boxes() -> int:
    """How many launchers this process has started and not waited for."""
    threads = Path("/proc/self/task").iterdir()
    children = [pid for thread in threads for pid in (find_text(f"{thread}/children") or "").split()]
    return sum(read_name(pid) == COMM for pid in children)


def read_name(pid: str) -> str:
    return (find_text(f"/proc/{pid}/comm") or "").strip()


@needs("userns")
def test_run_gives_the_result(on: Callable[[Body], None]) -> None:
    async def body() -> None:
        argv = ["sh", "-c", "cat; cat a; echo 1 > b; exit 4"]
        result = await aio.run(argv, "strict", stdin=b"in", files={"a": "x"}, collect=["b"])
        assert (result.exit_code, result.stdout, dict(result.files or {})) == (4, b"inx", {"b": b"1\n"})

    on(body)


@needs("userns")
def test_loop_goes_on_meanwhile(on: Callable[[Body], None]) -> None:
    async def body() -> None:
        counted = 0

        async def count() -> None:
            nonlocal counted
            while True:
                await anyio.sleep(0.01)
                counted += 1

        async with anyio.create_task_group() as group:
            group.start_soon(count)
            assert (await aio.run(["sleep", "0.5"], "strict")).exit_code == 0
            group.cancel_scope.cancel()
        assert counted > 10

    on(body)


@needs("userns")
def test_many_at_once(on: Callable[[Body], None]) -> None:
    async def body() -> None:
        found: dict[int, bytes | None] = {}

        async def one(number: int) -> None:
            found[number] = (await aio.run(["sh", "-c", f"sleep 0.1; echo {number}"], "strict")).stdout

        await aio.run(["true"], "strict")
        async with anyio.create_task_group() as group:
            for number in range(16):
                group.start_soon(one, number)
        assert found == {number: f"{number}\n".encode() for number in range(16)}

    on(body)


@needs("userns")
@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.4])
def test_task_that_is_cancelled_has_killed_the_box(on: Callable[[Body], None], after_s: float) -> None:
    """Also while it starts: then the start is finished first."""

    async def body() -> None:
        with anyio.move_on_after(after_s) as scope:
            await aio.run(["sleep", "60"], "strict")
        assert scope.cancelled_caught
        assert boxes() == 0

    on(body)


@needs("userns")
def test_plain_asyncio_cancel_has_killed_the_box() -> None:
    async def body() -> None:
        for delay_s in (0, 0.05, 0.3):
            task = asyncio.create_task(aio.run(["sleep", "60"], "strict"))
            await asyncio.sleep(delay_s)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert boxes() == 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await aio.run(["sleep", "60"], "strict")
        assert boxes() == 0

    asyncio.run(body())


@needs("userns")
def test_stream_gives_events(on: Callable[[Body], None]) -> None:
    async def body() -> None:
        async with aio.stream(["sh", "-c", "echo 1; sleep 0.1; echo 2; exit 3"], "strict") as events:
            found = [event async for event in events]
        assert b"".join(event.data for event in found if isinstance(event, Stdout)) == b"1\n2\n"
        assert isinstance(found[-1], Ended)
        assert events.result is not None
        assert events.result.exit_code == 3
        assert [event async for event in events] == []

    on(body)


@needs("userns")
def test_leaving_a_stream_kills_the_box(on: Callable[[Body], None]) -> None:
    async def body() -> None:
        async with aio.stream(["sh", "-c", "echo 1; exec sleep 60"], "strict") as events:
            async for event in events:
                assert event == Stdout(b"1\n")
                break
            assert boxes() == 1
        assert boxes() == 0

    on(body)


@needs("userns")
def test_reader_of_a_stream_that_is_cancelled_has_killed_the_box(on: Callable[[Body], None]) -> None:
    async def body() -> None:
        events = aio.stream(["sleep", "60"], "strict")
        with anyio.move_on_after(0.3) as scope:
            await anext(events)
        assert scope.cancelled_caught
        assert boxes() == 0

    on(body)


@needs("userns")
def test_stream_without_end_leaves_others_their_turn_and_can_be_cancelled(on: Callable[[Body], None]) -> None:
    async def body() -> None:
        with anyio.move_on_after(0.3) as scope:
            async with aio.stream(["yes"], "strict") as events:
                async for _ in events:
                    pass
        assert scope.cancelled_caught
        assert boxes() == 0

    on(body)


@needs("userns")
def test_explain_in_a_task(on: Callable[[Body], None]) -> None:
    async def body() -> None:
        script = "import ctypes; ctypes.CDLL(None).syscall(250, 0, -3)"
        result = await aio.run(["python3", "-c", script], "python", explain=True)
        assert result.denials is not None
        assert any(row.call == "keyctl" for row in result.denials.rows)

    on(body)


def test_what_is_wrong_raises_in_the_task(on: Callable[[Body], None]) -> None:
    async def body() -> None:
        with pytest.raises(sandboxer.PolicyError, match="nosuch"):
            await aio.run(["true"], "nosuch")
        with pytest.raises(sandboxer.PolicyError, match="nosuch"):
            await anext(aio.stream(["true"], "nosuch"))

    on(body)


def test_wrong_words_raise_at_once() -> None:
    with pytest.raises(ValueError, match="no command"):
        aio.stream([])
    with pytest.raises(ValueError, match="usage_every"):
        aio.stream(["true"], usage_every=0)


@needs("userns")
def test_thirty_two_threads_at_once() -> None:
    """Each with a loop of its own, or none; nobody forks, and no result is another's."""
    sandboxer.run(["true"], "strict")
    found: dict[int, bytes] = {}

    def one(number: int) -> None:
        argv = ["sh", "-c", f"cat a; echo {number}; cp a out"]
        files = {"a": f"{number} "}
        if number % 2:
            result = asyncio.run(aio.run(argv, "strict", files=files, collect=["out"]))
        else:
            result = sandboxer.run(argv, "strict", files=files, collect=["out"])
        assert result.reason is Reason.EXITED
        assert dict(result.files or {}) == {"out": f"{number} ".encode()}
        found[number] = result.stdout or b""

    threads = [threading.Thread(target=one, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: f"{number} {number}\n".encode() for number in range(32)}


@needs("userns")
def test_nobody_forks(monkeypatch: pytest.MonkeyPatch, on: Callable[[Body], None]) -> None:
    def never(*_: object) -> None:
        raise AssertionError("forked")

    sandboxer.run(["true"], "strict")  # a cold start may try things out in children of its own
    for forks in ("fork", "forkpty"):
        monkeypatch.setattr(os, forks, never)

    async def body() -> None:
        assert (await aio.run(["true"], "strict")).exit_code == 0

    on(body)
