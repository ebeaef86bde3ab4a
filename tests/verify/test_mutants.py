"""Every mutant of what filters depend on is caught by the battery: the proof, the simulator, or what was written down by hand."""

from __future__ import annotations

import collections
import json
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from fuzz.mutants.nursery import ALL, HEALTHY, ROWS
from fuzz.mutants.row import ROOT

Ask = Callable[[str], dict[str, str]]


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    """What becomes of a mutant."""
    argv = [sys.executable, "-m", "fuzz.mutants.nursery", "--serve"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as nursery:
        assert nursery.stdin
        assert nursery.stdout
        questions, answers = nursery.stdin, nursery.stdout

        def answer(name: str) -> dict[str, str]:
            print(name, file=questions, flush=True)
            found = json.loads(answers.readline())
            assert found["name"] == name
            return dict(found)

        yield answer
        questions.close()


def test_battery_holds_without_a_mutation(ask: Ask) -> None:
    found = ask(HEALTHY)
    assert found["outcome"] == "survived", found


@pytest.mark.parametrize("name", ROWS)
def test_mutant_is_caught(ask: Ask, name: str) -> None:
    found = ask(name)
    assert found["outcome"] == "killed", found


def test_names_are_distinct_and_mutants_differ() -> None:
    assert len(ALL) >= 100
    assert not [name for name, count in collections.Counter(row.name for row in ALL).items() if count > 1]
    assert len({(row.path, row.source()) for row in ALL}) == len(ALL)
