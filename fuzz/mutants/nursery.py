"""Brings mutants up, each in a process of its own, and tells whether the battery catches them.

    python -m fuzz.mutants.nursery            every row, one line each, and the survivors at the end
    python -m fuzz.mutants.nursery NAME ...   these rows

As a server (`--serve`, what the tests use) it reads names line by line and answers each with one line of JSON. The process that
forks has loaded what mutants do not touch, so that a mutant costs what the battery costs.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Iterator
from types import ModuleType

from fuzz.mutants.of_algebra import ALGEBRA
from fuzz.mutants.of_compiler import COMPILER
from fuzz.mutants.of_meaning import MEANING
from fuzz.mutants.of_stack import STACK
from fuzz.mutants.of_tables import TABLES
from fuzz.mutants.of_text import TEXT
from fuzz.mutants.row import ROOT, RottenRow, Row

ALL: tuple[Row, ...] = (*COMPILER, *STACK, *ALGEBRA, *TEXT, *MEANING, *TABLES)
ROWS: dict[str, Row] = {row.name: row for row in ALL}
HEALTHY = "nothing"
"""The name of the row that changes nothing: the battery has to hold."""

CPU_SECONDS = 15
MEMORY_BYTES = 2 << 30
"""Some mutants run for ever or grow; the battery takes a quarter of this time, and little memory."""

_CHECKS = ("fuzz.mutants.battery", "fuzz.mutants.checks")
_FRESH = ("sandboxer.controls.seccomp", "sandboxer.abi", "sandboxer.verify", "tests", *_CHECKS)
_LOADED = ("hypothesis", "hypothesis.strategies", "yaml", "sandboxer.controls", "sandboxer.verify.simulate")


class _Mutator(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):
    """Finds one module with other text than its file has."""

    def __init__(self, row: Row, source: bytes) -> None:
        self.row = row
        self.source = source
        self.found = False

    def find_spec(self, name: str, path: object, target: ModuleType | None = None) -> importlib.machinery.ModuleSpec | None:
        if name != self.row.module:
            return None
        self.found = True
        return importlib.machinery.ModuleSpec(name, self, origin=str(self.row.file), is_package=self.row.file.stem == "__init__")

    def get_filename(self, fullname: str) -> str:
        return str(self.row.file)

    def get_data(self, path: str) -> bytes:
        return self.source


def load() -> None:
    """Load what every mutant needs and none changes."""
    for name in _LOADED:
        importlib.import_module(name)


def forget() -> None:
    """Drop every module that a mutant may change, and all that read it."""
    for name in [name for name in sys.modules if name == "sandboxer.controls" or name.startswith(_FRESH)]:
        del sys.modules[name]


def verdict_of(name: str) -> dict[str, object]:
    """{name, outcome, by, why, seconds}: the outcome is killed, survived, or rotten; by: the check that caught it."""
    begin = time.monotonic()
    try:
        source = ROWS[name].source() if name != HEALTHY else b""
    except RottenRow as error:
        return {"name": name, "outcome": "rotten", "by": "", "why": str(error), "seconds": 0.0}
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        try:
            os.write(writer, json.dumps(_live(name, source)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as results:
        data = results.read()
    _, status = os.waitpid(pid, 0)
    found = json.loads(data) if data else {"outcome": "killed", "by": "", "why": f"it ended by {status}, maybe for want of time"}
    return {"name": name, **found, "seconds": round(time.monotonic() - begin, 2)}


def _live(name: str, source: bytes) -> dict[str, str]:
    """The life of a mutant, in its own process."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    forget()
    mutator = _Mutator(ROWS[name], source) if name != HEALTHY else None
    if mutator is not None:
        sys.meta_path.insert(0, mutator)
    by = "import"
    try:
        battery = importlib.import_module("fuzz.mutants.battery")
        for by, check in battery.CHECKS.items():  # noqa: B007, by is told when a check fails
            check()
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if "/mutants/checks/" in frame.filename]
        return {"outcome": "killed", "by": by, "why": f"{type(error).__name__} at {lines[-1:]}: {error!s:.300}"}
    if mutator is not None and not mutator.found:
        return {"outcome": "rotten", "by": "", "why": f"nobody imports {ROWS[name].module}"}
    return {"outcome": "survived", "by": "", "why": ""}


def serve() -> None:
    """Answer names with verdicts."""
    load()
    for line in sys.stdin:
        print(json.dumps(verdict_of(line.strip())), flush=True)


def report(names: list[str]) -> Iterator[str]:
    """A line for each mutant, and a last one."""
    load()
    alive = []
    for name in names:
        found = verdict_of(name)
        yield f"{found['outcome']:9} {found['seconds']:6} s  {name}  {found['by']}: {found['why']}"[:200]
        if found["outcome"] != ("survived" if name == HEALTHY else "killed"):
            alive.append(name)
    yield f"{len(names)} mutants, wrong: {', '.join(alive) or 'none'}"


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    if sys.argv[1:] == ["--serve"]:
        serve()
    else:
        for text in report(sys.argv[1:] or [HEALTHY, *ROWS]):
            print(text, flush=True)
