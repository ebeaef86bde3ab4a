"""A child gets its input, gives its output, and tells how it ended; neither side waits for the other."""

from __future__ import annotations

import os
import sys

import pytest

from sandboxer.kernel.child import run_child, run_piped


def run(code: str, data: bytes = b"") -> tuple[int, bytes, bytes]:
    return run_child([sys.executable, "-I", "-c", code], data)


def test_streams_are_the_childs() -> None:
    code = "import sys; data = sys.stdin.buffer.read(); sys.stdout.buffer.write(data[::-1]); sys.stderr.write('said')"
    assert run(code, b"abc\0\xff") == (0, b"\xff\0cba", b"said")


def test_output_without_input_is_read_and_no_output_is_empty() -> None:
    assert run("print('x')") == (0, b"x\n", b"")
    assert run("pass", b"ignored") == (0, b"", b"")


def test_more_than_a_pipe_holds_goes_through_both_ways() -> None:
    """Through pipes, a child that writes before it has read all would wait for ever."""
    code = (
        "import sys; sys.stdout.buffer.write(b'y' * 3_000_000); sys.stderr.write('z' * 1_000_000); data = sys.stdin.buffer.read()"
    )
    status, written, said = run(f"{code}; sys.exit(len(data) % 200)", b"x" * 3_000_123)
    assert (status, len(written), len(said)) == (123, 3_000_000, 1_000_000)


@pytest.mark.parametrize("status", [0, 1, 3, 255])
def test_exit_status_is_the_childs(status: int) -> None:
    assert run(f"import sys; sys.exit({status})")[0] == status


def test_signal_is_a_status_below_zero_and_what_was_written_is_kept() -> None:
    assert run("import os; os.write(1, b'half'); os.kill(os.getpid(), 9)") == (-9, b"half", b"")


def test_no_descriptor_of_ours_reaches_the_child() -> None:
    """What whoever started the tests left open for all children does not count."""
    with open(os.devnull, "rb"):
        listed = [int(name) for name in os.listdir("/proc/self/fd")]
        shared = {number for number in listed if os.path.exists(f"/proc/self/fd/{number}") and os.get_inheritable(number)}
        status, written, _ = run("import os; print(*os.listdir('/proc/self/fd'))")
    assert status == 0
    assert {int(number) for number in written.split()} <= {0, 1, 2, 3} | shared  # 3 is the directory that it reads


def test_program_that_is_not_there_raises() -> None:
    with pytest.raises(FileNotFoundError):
        run_child(["/nonexistent/program"], b"")


def test_descriptors_are_closed_afterwards() -> None:
    before = len(os.listdir("/proc/self/fd"))
    run("pass")
    with pytest.raises(FileNotFoundError):
        run_child(["/nonexistent/program"], b"")
    assert len(os.listdir("/proc/self/fd")) == before


def test_piped_child_has_nothing_to_read_and_one_output_however_long() -> None:
    status, said = run_piped(["/bin/sh", "-c", "cat; echo one; echo two >&2; head -c 200000 /dev/zero; exit 3"])
    assert (status, said[:8], len(said)) == (3, b"one\ntwo\n", 200008)


def test_piped_program_that_is_missing_is_an_error_and_leaves_nothing_open() -> None:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(FileNotFoundError):
        run_piped(["/nowhere/program"])
    assert os.listdir("/proc/self/fd") == before
