"""The filter benchmark compares like with like: every variant means the same policy, and the times are of what they say."""

from __future__ import annotations

import functools
import subprocess

import pytest

from benchmarks.filters import (
    LIBSECCOMP,
    NO_FILTER,
    VARIANTS,
    Cost,
    Variant,
    allowed_calls,
    find_costs,
    measure,
    none,
    ours,
    read_settings,
    show_table,
)
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.controls.seccomp.meaning import Settings
from sandboxer.controls.seccomp.reference import decide
from sandboxer.verify.boundaries import boundary_calls
from sandboxer.verify.simulate import run_stack
from tests.live.needs import needs
from tests.verify.programs import ALLOW, load, program

PROFILE = {"calls": 302, "in part": 3}
LOADED = tuple(variant for variant in VARIANTS if variant.name != NO_FILTER)


@functools.cache
def settings() -> Settings:
    return read_settings()


def test_policy_has_the_size_of_a_container_engines() -> None:
    some = [name for name in NUMBERS["x86_64"] if settings().passes_some(name)]
    whole = [name for name in some if settings().passes_whole(name)]
    assert {"calls": len(some), "in part": len(some) - len(whole)} == PROFILE


@needs("x86_64")
@pytest.mark.parametrize("variant", LOADED, ids=lambda variant: variant.name)
def test_every_variant_means_the_policy(variant: Variant) -> None:
    stack = variant.compile(settings())
    verdicts = set()
    for name, number in NUMBERS["x86_64"].items():
        for call in boundary_calls((*stack, *ours(settings())), number, limit=10):
            found, meant = run_stack(stack, call), decide(settings(), "x86_64", number, call.arguments)
            # What clone3 answers is ours alone: libseccomp's filters here have one errno.
            assert found.is_allowed == (meant == 0x7FFF0000), f"{name} {call}"
            verdicts.add(found.is_allowed)
    assert verdicts == {True, False}


@needs("x86_64")
def test_allowed_calls_are_allowed_by_every_variant() -> None:
    uses = allowed_calls(settings(), ours(settings()))
    assert len(uses) == PROFILE["calls"]
    for variant in LOADED:
        stack = variant.compile(settings())
        assert all(run_stack(stack, use).is_allowed for use in uses)


@needs("x86_64")
def test_measure_takes_the_times_of_each_round() -> None:
    bare, filtered = measure([none(settings()), ours(settings())], rounds=3, calls=100)
    assert (len(bare), len(filtered)) == (3, 3)
    assert all(load == 0 and min(called) > 0 for load, *called in bare)
    assert all(load > 0 and min(called) > 0 for load, *called in filtered)


@needs("x86_64")
@pytest.mark.parametrize("wrong", [program(ALLOW), program(load(2), ALLOW)], ids=["refuses nothing", "does not load"])
def test_stack_that_answers_otherwise_is_not_timed(wrong: bytes) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        measure([none(settings()), (wrong,)], rounds=1, calls=100)


@needs("x86_64")
def test_costs_count_instructions_and_what_a_call_runs() -> None:
    costs = find_costs(VARIANTS, rounds=1, calls=100)
    assert list(costs) == [variant.name for variant in VARIANTS]
    assert (costs[NO_FILTER].filters, costs[NO_FILTER].instructions, costs[NO_FILTER].executed) == (0, 0, 0)
    for variant in LOADED:
        cost = costs[variant.name]
        assert cost.filters == len(variant.compile(settings()))
        assert 0 < cost.executed < cost.instructions


def test_table_shows_ratios(capsys: pytest.CaptureFixture[str]) -> None:
    bare, filtered = Cost(0, 0, 0, 0, 100, 200, 80), Cost(1, 344, 10.5, 300, 125, 300, 160)
    show_table({NO_FILTER: bare, LIBSECCOMP: filtered}, 41)
    assert capsys.readouterr().out.splitlines()[2].split()[-11:] == [
        "1", "344", "10.5", "300.0", "1.00", "125.0", "1.25", "300.0", "1.50", "160.0", "2.00",
    ]  # fmt: skip
