"""The benchmark of `exec --explain` times what it says: a refused call, in every way that is installed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.explain import EXPLAINED, PLAIN, WAYS, Cost, Way, WrongAnswer, as_json, build, find_costs, show_table, time_calls
from tests.live.needs import needs

HERE = tuple(way for way in WAYS if not way.ahead)
BY_NAME = {way.name: way for way in WAYS}


@needs("x86_64")
def test_each_way_without_a_tracer_is_timed() -> None:
    costs = find_costs(HERE, rounds=1, calls=100)
    assert list(costs) == [way.name for way in HERE]
    assert all(min(cost.allowed_ns, cost.refused_ns, cost.run_ms) > 0 for cost in costs.values())


@needs("x86_64")
def test_call_that_answers_otherwise_is_not_timed(tmp_path: Path) -> None:
    program = build(tmp_path)
    boxed = replace(BY_NAME["no box"], name="no box, taken for one")
    assert min(time_calls(boxed, program, 100)) > 0
    with pytest.raises(WrongAnswer, match="taken for one"):
        time_calls(Way("taken for one", is_boxed=True, ahead=("env", "true")), program, 100)


def test_tracer_stands_around_the_whole_box(tmp_path: Path) -> None:
    words = [word.rpartition("/")[2] for word in BY_NAME["strace -f"].make(tmp_path / "program", ("true",)).argv]
    assert words[:6] == ["strace", "-f", "-o", "null", "sandboxer", "exec"]
    assert not Way("absent", ahead=("no-such-tracer",)).is_installed


def test_table_shows_ratios_and_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    costs = {PLAIN: Cost(200, 100, 40), EXPLAINED: Cost(200, 10000, 400)}
    missing = [BY_NAME["strace -f"]]
    show_table(costs, missing, 11)
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["exec", "--explain", "200.0", "1.00", "10000.0", "100.00", "400.0", "10.00"]
    assert lines[3].split()[:2] == ["strace", "-f"]
    assert lines[3].endswith("strace is not installed")
    told = json.loads(json.dumps(as_json(costs, missing)))
    assert told[EXPLAINED]["x_exec"] == {"allowed_ns": 1.0, "refused_ns": 100.0, "run_ms": 10.0}
    assert "missing" in told["strace -f"]
