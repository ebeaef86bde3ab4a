"""`Box` and its threads and tasks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

import sandboxer
from sandboxer import Box, DenialSeen, Stdout, UsageTick, aio
from sandboxer.sessions import box as module
from tests.live.needs import needs

BACKENDS = ["asyncio", "trio"]


@needs("userns")
def test_threads_share_the_files_of_a_plain_box() -> None:
    found: dict[int, bytes] = {}
    with Box("strict") as box:

        def one(number: int) -> None:
            box.exec(["sh", "-c", f"echo {number} > {number}; cat {number}"]).check()
            found[number] = box.read(str(number))

        threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == {number: f"{number}\n".encode() for number in range(8)}


@needs("userns", "overlay")
def test_overlay_takes_one_command_at_a_time(project: Path) -> None:
    with Box("python", workdir=project) as box, box.popen(["cat"]) as process:
        calls: list[Callable[[], object]] = [
            lambda: box.exec(["true"]), box.changes, box.commit, box.discard, lambda: box.write("x", b""), box.fork,
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(RuntimeError, match="a command runs in"):
                call()
        assert box.read("old") == b"text of old"
        process.wait()
        assert box.exec(["true"]).exit_code == 0


@needs("userns")
def test_box_that_is_closed_meanwhile_ends_its_command() -> None:
    box = Box("strict").open()
    timer = threading.Timer(0.3, box.close)
    timer.start()
    assert box.exec(["sleep", "60"]).reason is sandboxer.Reason.CANCELLED
    timer.join()


@needs("userns")
def test_reader_of_a_process_that_is_closed_meanwhile_comes_to_its_end() -> None:
    """Whoever is first: it has a result, or it hears that somebody closed it."""
    box = Box("strict").open()
    process = box.popen(["sleep", "60"])
    timer = threading.Timer(0.3, box.close)
    timer.start()
    found: list[object] = []
    try:
        found.append(next(process))
    except sandboxer.InternalError as error:
        found.append(error)
    timer.join()
    assert isinstance(found[0], sandboxer.Ended) or "closed by somebody" in str(found[0])


@needs("userns")
def test_kill_of_a_process_is_its_end() -> None:
    with Box("strict") as box, box.popen(["sh", "-c", "echo 1; exec sleep 60"]) as process:
        assert next(process) == Stdout(b"1\n")
        process.kill()
        assert process.wait().reason is sandboxer.Reason.CANCELLED


@needs("userns")
def test_later_command_of_a_session_is_compiled_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    with Box("strict") as box:
        box.exec(["touch", "a"]).check()

        def never(*_: object) -> None:
            raise AssertionError("compiled again")

        monkeypatch.setattr(module, "compile_request", never)
        box.write("b", b"1")
        assert box.exec(["cat", "b"]).stdout == b"1"


def test_names_lead_nowhere_else() -> None:
    with Box("strict") as box:
        for name in ("../x", "/etc/passwd", ""):
            with pytest.raises(ValueError, match="no name"):
                box.read(name)
            with pytest.raises(ValueError, match="no name"):
                box.write(name, b"")
        with pytest.raises(FileNotFoundError):
            box.read("nothing")
        with pytest.raises(RuntimeError, match="no directory of the host"):
            box.commit()
        with pytest.raises(ValueError, match="no command"):
            box.exec([])
        with pytest.raises(ValueError, match="none of"):
            box.set_network("internet")


def test_file_that_is_too_long_is_not_read() -> None:
    with Box("strict") as box:
        box.write("a", b"12345")
        assert box.read("a", max_bytes=5) == b"12345"
        with pytest.raises(ValueError, match="5 bytes, and at most 4"):
            box.read("a", max_bytes=4)


def test_interrupt_removes_what_there_is() -> None:
    def body() -> None:
        with Box("strict") as box:
            box.write("a", b"1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        body()


@needs("userns", "overlay")
@pytest.mark.parametrize("backend", BACKENDS)
def test_sessions_of_tasks(backend: str, project: Path) -> None:
    async def body() -> None:
        async with aio.Box("python", workdir=project) as box:
            assert (await box.exec(["sh", "-c", "cat old; rm gone; echo new > new"])).stdout == b"text of old"
            await box.write("old", "other")
            assert sorted(map(str, await box.changes())) == ["added file new", "modified file old", "removed file gone"]
            async with await box.fork() as other:
                assert await other.read("new") == b"new\n"
                await other.discard()
                assert await other.changes() == ()
            async with box.popen(["cat"]) as process:
                await process.write(b"hello")
                assert await anext(process) == Stdout(b"hello")
                process.close_input()
                assert [type(event).__name__ async for event in process] == ["Ended"]
            async with await box.python() as python:
                await python.exec("x = 2")
                assert await python.eval("x + 1") == 3
            assert (await box.commit()).is_whole
            box.set_network("none")

    anyio.run(body, backend=backend)
    assert ((project / "old").read_text(), (project / "gone").exists()) == ("other", False)


@needs("userns")
@pytest.mark.parametrize("backend", BACKENDS)
def test_cancel_ends_a_command_and_a_piece_of_python(backend: str) -> None:
    async def body() -> None:
        async with aio.Box("python") as box:
            with anyio.move_on_after(0.3) as scope:
                await box.exec(["sleep", "60"])
            assert scope.cancelled_caught
            async with await box.python() as python:
                await python.exec("x = 1")
                with anyio.move_on_after(0.3) as scope:
                    await python.exec("import time; time.sleep(60)")
                assert scope.cancelled_caught
                with pytest.raises(RuntimeError, match="has ended"):
                    await python.eval("x")
            assert (await box.exec(["echo", "1"])).stdout == b"1\n"

    anyio.run(body, backend=backend)


ASKS = "import ctypes, time; call = ctypes.CDLL(None).syscall; open('made', 'w').close(); call(250, 0, -3); time.sleep(0.5)"


@pytest.mark.parametrize("shows_project", [False, True], ids=["plain", "overlay"])
@needs("userns", "overlay")
def test_command_of_a_session_tells_what_was_refused(project: Path, shows_project: bool) -> None:
    with Box("python", workdir=project if shows_project else None) as box:
        result = box.exec(["python3", "-c", ASKS], explain=True)
        assert result.denials is not None
        assert [(row.call, row.answer) for row in result.denials.rows if row.call == "keyctl"] == [("keyctl", "EPERM")]
        assert [change.path for change in box.changes()] == ["made"]
        assert box.exec(["true"]).denials is None


@needs("userns")
def test_process_of_a_session_tells_what_is_refused_and_used() -> None:
    with Box("python") as box, box.popen(["python3", "-c", ASKS], explain=True, usage_every=0.05) as process:
        events = list(process)
        assert "keyctl" in {event.denial.call for event in events if isinstance(event, DenialSeen)}
        assert any(event.processes for event in events if isinstance(event, UsageTick))
        assert process.result is not None
        assert process.result.denials is not None
    with Box("python") as box, pytest.raises(ValueError, match="less than 10 ms"):
        box.popen(["true"], usage_every=0.001)


@needs("userns")
@pytest.mark.parametrize("backend", BACKENDS)
def test_tasks_are_told_what_was_refused(backend: str) -> None:
    async def main() -> None:
        async with aio.Box("python") as box:
            result = await box.exec(["python3", "-c", ASKS], explain=True)
            assert result.denials is not None
            assert "keyctl" in {row.call for row in result.denials.rows}
            async with box.popen(["python3", "-c", ASKS], explain=True) as process:
                events = [event async for event in process]
            assert "keyctl" in {event.denial.call for event in events if isinstance(event, DenialSeen)}

    anyio.run(main, backend=backend)
