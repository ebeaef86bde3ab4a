"""The judgement of the benchmark: what it reads from inside, and when it fails."""

from __future__ import annotations

import os

from benchmarks.peers import PROFILE
from benchmarks.start import BUDGETS, Isolation, judge, read_isolation
from benchmarks.timing import Command, Series, time_interleaved, time_once

STATUS = "CapBnd:\t0000000000000005\nNoNewPrivs:\t1\nSeccomp:\t2\n"


def test_isolation_of_host_namespaces_counts_none() -> None:
    links = "\n".join(os.readlink(f"/proc/self/ns/{name}") for name in os.listdir("/proc/self/ns"))
    assert read_isolation(f"{links}\n{STATUS}") == Isolation(0, 2, True, True)


def test_isolation_of_other_namespaces_counts_each() -> None:
    links = [os.readlink(f"/proc/self/ns/{name}") for name in ("ipc", "uts", "user", "cgroup", "time")]
    text = "\n".join(["mnt:[1]", "pid:[2]", "net:[3]", *links])
    assert read_isolation(f"{text}\nSeccomp:\t0\n") == Isolation(3, 0, False, False)


def test_judge_computes_the_ratio_of_medians() -> None:
    series = {budget.name: Series([1.0, 2.0, 9.0]) for budget in BUDGETS} | {budget.peer: Series([4.0]) for budget in BUDGETS}
    assert [ratio for _, ratio in judge(series)] == [0.5] * len(BUDGETS)


def test_judge_without_a_peer_measures_nothing() -> None:
    assert [ratio for _, ratio in judge({budget.name: Series([1.0]) for budget in BUDGETS})] == [None] * len(BUDGETS)


def test_series_percentiles_are_of_the_sorted_times() -> None:
    series = Series([5.0, 1.0, 4.0, 2.0, 3.0])
    assert (series.median, series.percentile(10), series.percentile(90)) == (3.0, 1.0, 5.0)


def test_time_once_reports_the_exit_status() -> None:
    millis, status = time_once(Command(("/bin/sh", "-c", "exit 3")))
    assert status == 3
    assert millis > 0


def test_time_once_gives_each_run_its_files_from_the_start() -> None:
    command = Command(("/bin/sh", "-c", "read line <&9 && test \"$line\" = 'kind: profile'"), ((9, str(PROFILE)),))
    assert [time_once(command)[1] for _ in range(2)] == [0, 0]


def test_time_interleaved_drops_the_first_round_and_counts_failures() -> None:
    told: list[int] = []
    good, bad = time_interleaved(
        [Command(("/bin/true",)), Command(("/bin/false",))], 2, tell=lambda number, rounds: told.append(number)
    )
    assert (len(good.millis), good.failures, len(bad.millis), bad.failures) == (2, 0, 2, 2)
    assert told == [0, 1, 2]
