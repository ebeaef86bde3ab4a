"""The probe: statements in, answers out, outside of any box."""

from __future__ import annotations

import os
import resource
import subprocess

import pytest

from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.launcher.probe import open_probe, probe_path

NR = NUMBERS[os.uname().machine]


def answers(*statements: str, stdin: bytes = b"") -> list[str]:
    done = subprocess.run([probe_path(), *statements], capture_output=True, input=stdin, text=False, timeout=20)
    assert done.returncode == 0
    return done.stdout.decode().splitlines()


def test_call_answers_its_result_or_its_errno() -> None:
    first, second = answers(f"call {NR['getpid']}", f"call {NR['close']} -1")
    assert int(first.split()[1]) > 1
    assert second == "1 -9"


def test_buffer_is_shown_in_hex() -> None:
    lines = answers(f"call {NR['read']} 0 b8 8", "dump 4", stdin=b"abcdefgh")
    assert lines == ["0 8", "1 61626364"]


def test_bytes_and_answers_are_arguments() -> None:
    path = b"/proc/self/status".hex()
    lines = answers(f"call {NR['openat']} -100 x{path} 0", f"call {NR['read']} r0 b16 5", "dump 5")
    assert lines[1:] == ["1 5", f"2 {b'Name:'.hex()}"]


@pytest.mark.parametrize(
    ("statement", "status"), [("child rest 1", 0), ("child stack 1000000000000", 11), (f"child call {NR['close']} -1", 9 << 8)]
)
def test_child_answers_its_wait_status(statement: str, status: int) -> None:
    (line,) = answers(statement)
    assert int(line.split()[1]) & ~0x80 == status


def test_repetition_ends_at_the_first_failure() -> None:
    assert answers("repeat 5 1", f"call {NR['getpid']}")[0].split()[1] == "5"
    assert answers("repeat 5 1", f"call {NR['close']} -1", f"call {NR['close']} -1") == ["0 0 -9", "2 -9"]


@pytest.mark.parametrize("statement", ["", "nonsense 1", "call", "touch 1", "repeat"])
def test_statement_that_is_none_answers_einval(statement: str) -> None:
    assert answers(statement) == ["0 -22"]


def test_memory_that_cannot_be_had_answers_enomem() -> None:
    assert answers(f"touch {1 << 62} 34") == ["0 -12"]


def test_sealed_program_runs_as_its_own_standard_input() -> None:
    descriptor = open_probe()
    try:
        done = subprocess.run(["/proc/self/fd/0", "rest 1"], stdin=descriptor, capture_output=True)
        with pytest.raises(PermissionError):
            os.write(descriptor, b"x")
    finally:
        os.close(descriptor)
    assert done.stdout == b"0 0\n"


def test_cpu_time_is_used_however_long_that_takes() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert answers("burn 200") == ["0 0"]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime >= 0.2
