"""Builds the oracle's helper program, for the tests and for the fuzzer."""

from __future__ import annotations

import subprocess
from pathlib import Path

SOURCES = Path(__file__).parent / "oracle"
FLAGS = ("-static", "-O2", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-Wshadow")


def build_helper(directory: Path) -> Path:
    """The program that asks the kernel, in this directory; static, so that its start costs little."""
    program = directory / "oracle"
    subprocess.run(["gcc", *FLAGS, "-o", program, *sorted(SOURCES.glob("*.c"))], check=True)
    return program
