"""`make bench`: what it takes to call a function in a box, against other ways to call one in another process.

Each caller has a few calls, then the next one, round after round. A fresh call has a process that nobody used before; a warm one
may share it. Quote the ratios. Exit status 1 if a budget is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.called import add, last, same
from benchmarks.callers import (
    FLOOR,
    FRESH,
    FRESH_CALLERS,
    NUMPY,
    SHARED,
    WARM,
    WARM_CALLERS,
    Add,
    Caller,
    Stuck,
    hidden_program,
    is_there,
    open_floor,
    project,
)
from benchmarks.timing import Series
from sandboxer import Pool, Stocking, sandboxed

THREADS = (2, 4)


@dataclass(frozen=True, slots=True)
class Budget:
    """A number that must hold: no more than `most`, or no less than `least`."""

    name: str
    most: float | None = None
    least: float | None = None

    def holds(self, found: float | None) -> bool:
        """What was not measured holds nothing."""
        return found is not None and (self.most is None or found <= self.most) and (self.least is None or found >= self.least)

    def show(self) -> str:
        return f"<= {self.most:g}" if self.most is not None else f">= {self.least:g}"


BUDGETS = (
    Budget("fresh, ms", most=5.0),
    Budget("fresh, x floor", most=2.0),
    Budget("same-key, ms", most=0.3),
    Budget("fresh calls per second", least=400.0),
    Budget("numpy adds, ms", most=1.0),
    Budget("array there, ms", most=50.0),
)
ARRAYS = {"there": last, "there and back": same}


def measure(callers: Sequence[Caller], rounds: int, *, tell: Callable[[str], None]) -> dict[str, Series]:
    """The times of each. The first round warms up, and does not count. Who is stuck is left out."""
    found: dict[str, Series] = {}
    with ExitStack() as stack:
        opened = [(caller, caller.open(stack)) for caller in callers if is_there(caller)]
        for number in range(rounds + 1):
            tell(f"round {number} of {rounds}")
            for caller, call in tuple(opened):
                series = found.setdefault(caller.name, Series())
                try:
                    times = [time_call(call, number + extra) for extra in range(caller.burst)]
                except Stuck:
                    opened.remove((caller, call))
                    del found[caller.name]
                else:
                    series.millis += times if number else []
    return found


def time_call(call: Add, number: int) -> float:
    """Milliseconds. Raises: SystemExit where the value is wrong: there is nothing to compare then."""
    begin = time.perf_counter_ns()
    value = call(number, 1)
    millis = (time.perf_counter_ns() - begin) / 1e6
    if value != number + 1:
        raise SystemExit(f"{value!r} came of {number} + 1")
    return millis


def measure_stream(calls: int, callers: Sequence[Add]) -> float:
    """Calls in a second, where each of these calls in a thread of its own, one after the other."""
    for number in range(2 * len(callers)):
        time_call(callers[number % len(callers)], number)

    def work(call: Add) -> None:
        for number in range(calls // len(callers)):
            time_call(call, number)

    threads = [threading.Thread(target=work, args=(call,)) for call in callers]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return calls // len(callers) * len(callers) / (time.perf_counter() - begin)


def measure_streams(calls: int) -> dict[str, dict[int, float]]:
    """Fresh calls in a second by the number of threads: ours, and the floor's."""
    found: dict[str, dict[int, float]] = {FRESH: {}, FLOOR: {}}
    for threads in THREADS:
        with Pool("python") as pool:
            found[FRESH][threads] = measure_stream(calls, [sandboxed(pool=pool)(add)] * threads)
        with ExitStack() as stack:
            found[FLOOR][threads] = measure_stream(calls, [open_floor(stack) for _ in range(threads)])
    return found


def measure_array(megabytes: int, rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds for an array there, and there and back: ours, and ProcessPoolExecutor's. Both have numpy loaded already."""
    import concurrent.futures

    import numpy

    array = numpy.arange(megabytes * 1_000_000 // 8)
    times: dict[tuple[str, str], list[float]] = {}
    stocking = Stocking(preload=("numpy",))
    with concurrent.futures.ProcessPoolExecutor(1) as executor, Pool("python", stocking=stocking) as pool:
        callers = {FRESH: sandboxed(pool=pool), WARM: lambda task: lambda given: executor.submit(task, given).result()}
        ways = {(name, way): made(task) for name, made in callers.items() for way, task in ARRAYS.items()}
        for number in range(rounds + 1):
            for key, call in ways.items():
                begin = time.perf_counter_ns()
                came = call(array)
                times.setdefault(key, []).extend([(time.perf_counter_ns() - begin) / 1e6] if number else [])
                if not numpy.array_equal(came, array if key[1] == "there and back" else array[-1]):
                    raise SystemExit("another array came")
                del came
    return {name: {way: statistics.median(times[name, way]) for way in ARRAYS} for name in callers}


def judge(
    fresh: dict[str, Series], warm: dict[str, Series], streams: dict[str, dict[int, float]], arrays: dict[str, dict[str, float]]
) -> list[tuple[Budget, float | None]]:
    """Each budget with what was found; None: it was not measured."""
    ours = fresh[FRESH].median
    found: dict[str, float | None] = {
        "fresh, ms": ours,
        "fresh, x floor": ours / fresh[FLOOR].median,
        "same-key, ms": warm[SHARED].median,
        "fresh calls per second": max(streams[FRESH].values()),
        "numpy adds, ms": fresh[NUMPY].median - ours if NUMPY in fresh else None,
        "array there, ms": arrays[FRESH]["there"] if arrays else None,
    }
    return [(budget, found[budget.name]) for budget in BUDGETS]


def show_rows(title: str, rows: dict[str, Series], callers: Sequence[Caller], *, against: str) -> None:
    """A table of these callers."""
    print(f"{title:<36}{'ms':>9}{'p10':>9}{'p90':>9}{'x ' + against.partition(':')[0]:>22}")
    for caller in callers:
        if caller.name not in rows:
            print(f"{caller.name:<36}{'-':>9}  {'has not answered' if is_there(caller) else 'not installed'}")
            continue
        row = rows[caller.name]
        ratio = row.median / rows[against].median
        print(f"{caller.name:<36}{row.median:>9.2f}{row.percentile(10):>9.2f}{row.percentile(90):>9.2f}{ratio:>22.2f}")
    print()


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="calls.py", description="Time calls of functions in other processes.")
    parser.add_argument("--rounds", type=int, default=40, help="turns of each caller (default 40)")
    parser.add_argument("--calls", type=int, default=2000, help="fresh calls with several threads (default 2000)")
    parser.add_argument(
        "--array-mb", type=int, default=100, help="an array of this size goes there and back (default 100; 0: none)"
    )
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    return parser.parse_args(arguments)


def main() -> int:
    """Measure, print, judge."""
    given = parse()

    def tell(what: str) -> None:
        print(f"\r{what:<20}", end="", file=sys.stderr, flush=True)

    with hidden_program(), project():
        fresh = measure(FRESH_CALLERS, given.rounds, tell=tell)
        warm = measure(WARM_CALLERS, 10 * given.rounds, tell=tell)
        streams = measure_streams(given.calls)
        arrays = measure_array(given.array_mb, max(given.rounds // 10, 1)) if given.array_mb else {}
    print("\r", end="", file=sys.stderr)
    judged = judge(fresh, warm, streams, arrays)
    if given.json:
        rows = {name: [row.median, row.percentile(10), row.percentile(90)] for name, row in (fresh | warm).items()}
        budgets = {budget.name: {"found": value, "holds": budget.holds(value)} for budget, value in judged}
        lost = [caller.name for caller in (*FRESH_CALLERS, *WARM_CALLERS) if is_there(caller) and caller.name not in rows]
        print(json.dumps({"ms": rows, "stuck": lost, "per second": streams, "array ms": arrays, "budgets": budgets}, indent=2))
    else:
        show_rows("fresh", fresh, FRESH_CALLERS, against=FLOOR)
        show_rows("warm", warm, WARM_CALLERS, against=WARM)
        for name, rates in streams.items():
            for threads, rate in rates.items():
                print(f"{rate:.0f} fresh calls per second with {threads} threads, {name}")
        for name, ways in arrays.items():
            for way, millis in ways.items():
                print(f"{given.array_mb} MB {way}, {name}: {millis:.0f} ms")
        for budget, value in judged:
            verdict = "holds" if budget.holds(value) else "MISSED"
            print(f"budget {budget.name}: {'-' if value is None else format(value, '.2f')} {budget.show()}  {verdict}")
    return 0 if all(budget.holds(value) for budget, value in judged) else 1


if __name__ == "__main__":
    ended = main()
    sys.stdout.flush()
    os._exit(ended)  # an executor that is stuck would keep the interpreter from its end
