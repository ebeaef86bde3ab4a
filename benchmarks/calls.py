"""`make bench`: what it takes to call a function in a box, against other ways to call one in another process.

Each caller has a few calls, then the next one, round after round. A fresh call has a process that nobody used before; a warm one
may share it. Quote the ratios. Exit status 1 if a budget is missed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.called import add, same
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
    hidden_program,
    is_there,
    project,
)
from benchmarks.timing import Series
from sandboxer import Pool, sandboxed

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
)


def measure(callers: Sequence[Caller], rounds: int, *, tell: Callable[[str], None]) -> dict[str, Series]:
    """The times of each. The first round warms up, and does not count."""
    found: dict[str, Series] = {}
    with ExitStack() as stack:
        opened = [(caller, caller.open(stack)) for caller in callers if is_there(caller)]
        for number in range(rounds + 1):
            tell(f"round {number} of {rounds}")
            for caller, call in opened:
                series = found.setdefault(caller.name, Series())
                times = [time_call(call, number + extra) for extra in range(caller.burst)]
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


def measure_stream(calls: int, threads: int) -> float:
    """Fresh calls in a second, with so many threads that call one after the other."""
    with Pool("python") as pool:
        call = sandboxed(pool=pool)(add)
        for number in range(2 * threads):
            time_call(call, number)

        def work() -> None:
            for number in range(calls // threads):
                time_call(call, number)

        workers = [threading.Thread(target=work) for _ in range(threads)]
        begin = time.perf_counter()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return calls // threads * threads / (time.perf_counter() - begin)


def measure_array(megabytes: int, rounds: int) -> dict[str, float]:
    """Milliseconds for an array there and back: ours, and ProcessPoolExecutor's."""
    import concurrent.futures

    import numpy

    array = numpy.arange(megabytes * 1_000_000 // 8)
    times: dict[str, list[float]] = {FRESH: [], WARM: []}
    with concurrent.futures.ProcessPoolExecutor(1) as executor, Pool("python") as pool:
        ways = {FRESH: sandboxed(pool=pool)(same), WARM: lambda given: executor.submit(same, given).result()}
        for number in range(rounds + 1):
            for name, way in ways.items():
                begin = time.perf_counter_ns()
                came = way(array)
                times[name] += [(time.perf_counter_ns() - begin) / 1e6] if number else []
                if not numpy.array_equal(came, array):
                    raise SystemExit("another array came back")
    return {name: statistics.median(values) for name, values in times.items()}


def judge(fresh: dict[str, Series], warm: dict[str, Series], streams: dict[int, float]) -> list[tuple[Budget, float | None]]:
    """Each budget with what was found; None: it was not measured."""
    ours = fresh[FRESH].median
    found: dict[str, float | None] = {
        "fresh, ms": ours,
        "fresh, x floor": ours / fresh[FLOOR].median,
        "same-key, ms": warm[SHARED].median,
        "fresh calls per second": max(streams.values()),
        "numpy adds, ms": fresh[NUMPY].median - ours if NUMPY in fresh else None,
    }
    return [(budget, found[budget.name]) for budget in BUDGETS]


def show_rows(title: str, rows: dict[str, Series], callers: Sequence[Caller], *, against: str) -> None:
    """A table of these callers."""
    print(f"{title:<36}{'ms':>9}{'p10':>9}{'p90':>9}{'x ' + against.partition(':')[0]:>22}")
    for caller in callers:
        if caller.name not in rows:
            print(f"{caller.name:<36}{'-':>9}  not installed")
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
        streams = {threads: measure_stream(given.calls, threads) for threads in THREADS}
        arrays = measure_array(given.array_mb, max(given.rounds // 10, 1)) if given.array_mb else {}
    print("\r", end="", file=sys.stderr)
    judged = judge(fresh, warm, streams)
    if given.json:
        rows = {name: [row.median, row.percentile(10), row.percentile(90)] for name, row in (fresh | warm).items()}
        budgets = {budget.name: {"found": value, "holds": budget.holds(value)} for budget, value in judged}
        print(json.dumps({"ms": rows, "per second": streams, "array ms": arrays, "budgets": budgets}, indent=2))
    else:
        show_rows("fresh", fresh, FRESH_CALLERS, against=FLOOR)
        show_rows("warm", warm, WARM_CALLERS, against=WARM)
        print(*(f"{rate:.0f} fresh calls per second with {threads} threads" for threads, rate in streams.items()), sep="\n")
        print(*(f"{given.array_mb} MB there and back, {name}: {millis:.0f} ms" for name, millis in arrays.items()), sep="\n")
        for budget, value in judged:
            verdict = "holds" if budget.holds(value) else "MISSED"
            print(f"budget {budget.name}: {'-' if value is None else format(value, '.2f')} {budget.show()}  {verdict}")
    return 0 if all(budget.holds(value) for budget, value in judged) else 1


if __name__ == "__main__":
    sys.exit(main())
