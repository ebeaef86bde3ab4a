"""docs/calls.md: its examples, as a program that somebody would make of them."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/calls.md"
LIBRARY = """
def read(path):
    return [line.split(",") and (line.split(",")[0], int(line.split(",")[1])) for line in open(path).read().splitlines()]
"""
USES = """
print(parse("big.table"))
print(parse.local("big.table") == parse("big.table"), list(parse.map(["big.table"] * 2)) == [parse("big.table")] * 2)
print(median([3.0, 1.0, 2.0]))
"""
ELSEWHERE = ("dask",)
"""Needs another machine; tests/calls/executor/test_dask.py has that."""


def read_program() -> str:
    """What the examples define at the top, and what they do below the line that keeps it out of the box."""
    top: list[str] = []
    below: list[str] = []
    for block in re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL):
        if any(word in block for word in ELSEWHERE):
            continue
        for node in ast.parse(block).body:
            is_done = isinstance(node, ast.With | ast.For | ast.Expr)
            (below if is_done else top).append(ast.unparse(node))
    below.append(USES)
    indented = "\n".join(f"    {line}" for part in below for line in part.splitlines())
    return "\n".join(top) + f'\nif __name__ == "__main__":\n{indented}\n'


def test_examples_are_a_program_that_runs(in_project: Path, packages: Path) -> None:
    files = {"untrusted_library.py": LIBRARY, "big.table": "one,1\ntwo,2\n", "examples.py": read_program()}
    for name, text in files.items():
        (in_project / name).write_text(text)
    try:
        done = subprocess.run(
            [sys.executable, "-B", "examples.py"],
            capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "PYTHONPATH": str(packages)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert lines[0] == "4.0"
        assert lines[1].startswith("PoolStats(calls=1, from_image=1, ")
        assert "from_exec=0" in lines[1]
        assert lines[2] == "[('one', 1), ('two', 2)] [3, 5]"
        assert lines[3:5] == ["Row(name='one', size=1)", "Row(name='two', size=2)"]
        assert lines[5:8] == ["what is a box 0", "what is a box 1", "what is a box 2"]
        assert lines[8:] == ["[Row(name='one', size=1), Row(name='two', size=2)]", "True True", "2.0"]
    finally:
        for name in files:
            (in_project / name).unlink()
