"""The other way to start the launcher: what it inherits, and how it says that it cannot."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import pytest

from sandboxer.launcher.forked import fork_exec


def run(program: str, argv: list[str], duplicates: list[tuple[int, int]]) -> int:
    return fork_exec(program, argv, duplicates, defaults=[signal.SIGPIPE], mask={signal.SIGTERM})


def output(place: Path, argv: list[str], kept: tuple[int, ...] = ()) -> tuple[int, str]:
    """The pid of a program, and what it printed."""
    out = os.open(place / "out", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        pid = run(argv[0], argv, [*((descriptor, descriptor) for descriptor in kept), (out, 1)])
        assert os.waitpid(pid, 0)[1] == 0
    finally:
        os.close(out)
    return pid, (place / "out").read_text()


def test_program_has_the_descriptors_that_it_is_given_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "given").write_text("given\n")
    given, other = (os.open(tmp_path / "given", os.O_RDONLY) for _ in range(2))
    try:
        _, found = output(tmp_path, ["/bin/ls", "/proc/self/fd"], (given,))
    finally:
        os.close(given)
        os.close(other)
    assert str(given) in found.split()
    assert str(other) not in found.split()


def test_program_leads_a_group_of_its_own_and_has_no_environment(tmp_path: Path) -> None:
    pid, found = output(tmp_path, ["/usr/bin/cut", "-d ", "-f5", "/proc/self/stat"])
    assert int(found) == pid
    assert output(tmp_path, ["/usr/bin/env"])[1] == ""


def test_program_has_the_signals_that_it_is_given_and_ours_stay(tmp_path: Path) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    _, found = output(tmp_path, ["/bin/grep", "^Sig[BI]", "/proc/self/status"])
    blocked, ignored = (int(line.split()[1], 16) for line in found.splitlines())
    assert blocked == 1 << signal.SIGTERM - 1
    assert not ignored & 1 << signal.SIGPIPE - 1
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_program_that_is_not_there_is_an_error_and_leaves_no_child() -> None:
    children = Path("/proc/thread-self/children")
    before = children.read_text()
    with pytest.raises(FileNotFoundError) as caught:
        run("/nope", ["nope"], [])
    assert (caught.value.errno, children.read_text()) == (errno.ENOENT, before)
