"""The benchmark of calls: what it judges, that its floor is what it says, and a small run of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import callers
from benchmarks.callers import FLOOR, FRESH, FRESH_CALLERS, NUMPY, SHARED, WARM_CALLERS, Caller, hidden_program, is_there
from benchmarks.calls import BUDGETS, Budget, judge, measure, show_rows, time_call
from benchmarks.timing import Series

TREE = Path(__file__).resolve().parents[2]
LOOK = """
import json, os
from benchmarks import floor
def spaces():
    return {name: os.readlink(f"/proc/self/ns/{name}") for name in os.listdir("/proc/self/ns")}
before = spaces()
floor.enter_namespaces()
heard, told = os.pipe()
if not os.fork():
    shared = [name for name, space in spaces().items() if space == before[name]]
    ids = [os.getpid(), os.getuid()]
    floor.change_root()
    floor.load_filter()
    status = floor.LIBC.ptrace(0, 0, None, None)
    os.write(told, json.dumps([shared, ids, os.listdir("/"), status, floor.ctypes.get_errno()]).encode())
    os._exit(0)
os.wait()
print(os.read(heard, 65536).decode())
"""


def series(*millis: float) -> Series:
    return Series(list(millis))


def test_floor_isolates() -> None:
    command = [sys.executable, "-c", LOOK]
    done = subprocess.run(command, cwd=TREE, stdout=subprocess.PIPE, check=True, text=True)
    assert json.loads(done.stdout) == [[], [1, 0], [], -1, 1]


def test_floor_answers_each_line() -> None:
    command = [sys.executable, "-I", "-S", str(TREE / "benchmarks" / "floor.py")]
    done = subprocess.run(command, input='[1, 2]\n["a", 3]\n[4, 5]\n', capture_output=True, check=True, text=True)
    assert done.stdout == '{"value": 3}\n\n{"value": 9}\n'


def test_budget_holds_what_was_measured() -> None:
    assert [Budget("a", most=2.0).holds(value) for value in (1.0, 2.0, 2.1, None)] == [True, True, False, False]
    assert [Budget("a", least=2.0).holds(value) for value in (1.9, 2.0, None)] == [False, True, False]
    assert [budget.show() for budget in BUDGETS] == ["<= 5", "<= 2", "<= 0.3", ">= 400", "<= 1", "<= 50"]


def test_medians_are_judged() -> None:
    fresh = {FLOOR: series(2.0), FRESH: series(3.0, 4.0, 50.0), NUMPY: series(4.5)}
    streams = {FRESH: {2: 300.0, 4: 500.0}, FLOOR: {2: 900.0}}
    found = judge(fresh, {SHARED: series(0.2)}, streams, {FRESH: {"there": 40.0, "there and back": 80.0}})
    assert [value for _, value in found] == [4.0, 2.0, 0.2, 500.0, 0.5, 40.0]
    assert all(budget.holds(value) for budget, value in found)
    del fresh[NUMPY]
    assert [value for _, value in judge(fresh, {SHARED: series(0.2)}, streams, {})[-2:]] == [None, None]


def test_first_round_does_not_count_and_values_are_looked_at() -> None:
    called: list[int] = []

    def call(first: int, second: int) -> int:
        called.append(first)
        return first + second

    found = measure([Caller("one", lambda _: call, burst=2)], 3, tell=lambda _: None)
    assert (len(called), len(found["one"].millis)) == (8, 6)
    with pytest.raises(SystemExit, match="0 came of 3"):
        time_call(lambda first, second: 0, 3)


def test_caller_that_is_not_installed_has_no_times(capsys: pytest.CaptureFixture[str]) -> None:
    absent = Caller("absent", lambda _: pytest.fail("it was opened"), program="no-such-program-anywhere")
    assert not is_there(absent)
    assert measure([absent], 1, tell=lambda _: None) == {}
    show_rows("fresh", {FLOOR: series(2.0)}, [FRESH_CALLERS[0], absent], against=FLOOR)
    assert "absent                                      -  not installed" in capsys.readouterr().out


def test_caller_that_is_stuck_is_left_out(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "PATIENCE_S", 0)
    stuck = Caller("stuck", callers.open_executor(1))
    found = measure([stuck, Caller("one", lambda _: sum_of)], 2, tell=lambda _: None)
    assert [(name, len(row.millis)) for name, row in found.items()] == [("one", 10)]
    show_rows("fresh", {FLOOR: series(2.0)}, [FRESH_CALLERS[0], stuck], against=FLOOR)
    assert "stuck                                       -  has not answered" in capsys.readouterr().out


def sum_of(first: int, second: int) -> int:
    return first + second


def test_program_is_hidden_for_a_while() -> None:
    main = sys.modules["__main__"]
    before = dict(main.__dict__)
    with hidden_program():
        assert (main.__spec__, hasattr(main, "__file__")) == (None, False)
    assert {name: main.__dict__.get(name) for name in ("__spec__", "__file__")} == {
        name: before.get(name) for name in ("__spec__", "__file__")
    }


def test_small_run_has_a_row_for_each() -> None:
    command = [sys.executable, "-m", "benchmarks.calls", "--rounds", "1", "--calls", "8", "--array-mb", "1", "--json"]
    done = subprocess.run(command, cwd=TREE, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode in (0, 1), done.stderr
    found = json.loads(done.stdout)
    installed = [caller.name for caller in (*FRESH_CALLERS, *WARM_CALLERS) if is_there(caller)]
    assert sorted([*found["ms"], *found["stuck"]]) == sorted(installed)
    assert set(found["stuck"]) <= {"ProcessPoolExecutor, one call each"}
    assert all(millis > 0 for row in found["ms"].values() for millis in row)
    assert {name: len(row) for name, row in found["per second"].items()} == {FRESH: 2, FLOOR: 2}
    assert [list(row) for row in found["array ms"].values()] == [["there", "there and back"]] * 2
    assert done.returncode == (not all(budget["holds"] for budget in found["budgets"].values()))
