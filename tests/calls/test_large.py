"""Arrays and other large contents: sealed memory where the box can pass it, the wire where it cannot, and a hostile box's."""

from __future__ import annotations

import os
import re
import select
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest

import sandboxer
from sandboxer.calls.boxes.pool import Pool, Stocking, clear_pools
from sandboxer.calls.boxes.worker import Worker

PROFILE = """
kind: profile
name: {name}
description: The profile of functions, with the packages of the interpreter that runs the tests.
extends: [python]
filesystem:
  execute: ["{packages}"]
"""
WITHOUT = """
seccomp:
  deny: [{call}]
"""
Box = Callable[..., Any]


@pytest.fixture(
    params=["", "sendmsg", "memfd_create", "{recvmsg: {}, action: kill_process}"],
    ids=["passed", "without sendmsg", "without memfd_create", "killed by recvmsg"],
)
def boxed(jobs: Any, project: Path, request: pytest.FixtureRequest) -> Box:
    """Makes a function run in a box that shows packages, with and without what it takes to pass memory."""
    name = f"packages-{re.sub('[^a-z]', '', request.param) or 'all'}"
    path = project.parent / f"{name}.yaml"
    path.write_text(
        PROFILE.format(name=name, packages=sys.prefix) + (WITHOUT.format(call=request.param) if request.param else "")
    )
    assert (Pool(path).most_passed_bytes() > 0) == (request.param == "")

    def wrap(function: Any, **options: Any) -> Any:
        return sandboxer.sandboxed(profile=path, **options)(function)

    return wrap


def mappings() -> int:
    return Path("/proc/self/maps").read_text().count("sandboxer-buffer")


def test_array_goes_there_and_back(passing: Any, boxed: Box, request: pytest.FixtureRequest) -> None:
    values = numpy.arange(100_000, dtype="f8").reshape(400, 250)
    clear_pools()
    before, opened = mappings(), len(os.listdir("/proc/self/fd"))
    found = boxed(passing.scaled)(values, 2.0)
    assert numpy.array_equal(found, values * 2)
    clear_pools()
    assert len(os.listdir("/proc/self/fd")) == opened
    is_passed = "passed" in request.node.name
    assert mappings() - before == is_passed
    del found
    assert mappings() == before


def test_array_of_the_caller_is_not_changed_by_the_function(passing: Any, boxed: Box) -> None:
    values = numpy.ones(100_000)
    assert boxed(passing.changed)(values) == (100_006.0, True)
    assert values.sum() == 100_000


def test_array_that_nobody_may_write_is_one_in_the_box(passing: Any, boxed: Box) -> None:
    values = numpy.ones(100_000)
    values.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        boxed(passing.changed)(values)


@pytest.mark.parametrize(
    "values",
    [numpy.arange(100_000)[::3], numpy.asfortranarray(numpy.ones((300, 400))), numpy.ones((0, 5)), numpy.ones(3)],
    ids=["in pieces", "in columns", "nothing", "little"],
)
def test_arrays_of_every_layout_come_as_they_are(passing: Any, boxed: Box, values: Any) -> None:
    assert numpy.array_equal(boxed(passing.scaled)(values, 1), values)


def test_many_arrays_go_by_themselves_and_the_rest_over_the_wire(jobs: Any, boxed: Box) -> None:
    values = [numpy.full(10_000, number) for number in range(100)]
    found = boxed(jobs.whole.local)(values)
    assert all(numpy.array_equal(one, other) for one, other in zip(found, values, strict=True))


def test_items_of_a_generator_are_passed(passing: Any, boxed: Box) -> None:
    sizes = [10, 10_000, 1_000_000, 20_000] * 5
    assert [len(one) for one in boxed(passing.ramps)(sizes)] == sizes


def test_host_function_is_given_what_was_passed(passing: Any, boxed: Box) -> None:
    asks = boxed(passing.pass_on, host={"double": lambda values: values * 2})
    assert numpy.array_equal(asks("double", numpy.ones(50_000)), numpy.full(50_000, 2.0))


def test_box_that_is_shared_passes_in_each_call(passing: Any, boxed: Box) -> None:
    scaled = boxed(passing.scaled, reuse="same-key")
    for size in (100, 100_000, 10, 200_000):
        assert numpy.array_equal(scaled(numpy.ones(size), 2.0), numpy.full(size, 2.0))


def test_long_bytes_and_texts_are_whole(jobs: Any, boxed: Box) -> None:
    values = [os.urandom(1 << 20), "ü" * 500_000, bytearray(b"x" * 100_000)]
    assert boxed(jobs.whole.local)(values) == values


def test_function_that_is_never_begun_keeps_nothing(passing: Any, boxed: Box) -> None:
    clear_pools()
    before = len(os.listdir("/proc/self/fd"))
    found = boxed(passing.ramps)(numpy.ones(100_000))
    del found
    clear_pools()
    assert len(os.listdir("/proc/self/fd")) == before


def test_arguments_that_cannot_cross_keep_nothing(passing: Any, boxed: Box) -> None:
    clear_pools()
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(sandboxer.SerializationError, match="cannot cross"):
        boxed(passing.scaled)(numpy.ones(100_000), lambda: 0)
    clear_pools()
    assert len(os.listdir("/proc/self/fd")) == before


def test_box_passes_a_part_of_its_memory_at_most(jobs: Any) -> None:
    limits = {size: Pool("python", params={"memory": size}).most_passed_bytes() for size in ("64M", "1G")}
    assert limits == {"64M": 16 << 20, "1G": 256 << 20}


def test_what_would_not_fit_twice_goes_over_the_wire(jobs: Any) -> None:
    """It is most of the memory that the box may have."""
    found = sandboxer.sandboxed(params={"memory": "256M"})(jobs.large.local)(160 << 20)
    assert len(found) == 160 << 20


def test_box_that_may_make_no_large_files_answers_over_the_wire(jobs: Any, project: Path) -> None:
    path = project.parent / "short.yaml"
    path.write_text(
        "kind: profile\nname: short\ndescription: Short files.\nextends: [python]\nlimits: {file_size: 1M}\n", encoding="utf-8"
    )
    before = mappings()
    found = sandboxer.sandboxed(profile=path)(jobs.large.local)(2 << 20)
    assert (len(found), mappings()) == (2 << 20, before)


def test_strict_box_passes_memory(jobs: Any) -> None:
    """Its filter denies the internet, and what it answers to these calls is read out of the plan."""
    assert Pool("strict").most_passed_bytes() > 0
    assert len(sandboxer.sandboxed(profile="strict", read=["."])(jobs.large.local)(2 << 20)) == 2 << 20


# ── an attacker's ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_memory_that_is_as_it_should_be_is_taken(passing: Any) -> None:
    assert passing.passes("as it should be") == [b"x" * 100_000] * 2


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("a directory", "it is no memory"),
        ("a device", "it is no memory"),
        ("a socket", "it is no memory"),
        ("unsealed", "it is not sealed"),
        ("can be written", "it is not sealed"),
        ("too short", "99999 bytes, and 100000 were announced"),
        ("too long", "100001 bytes, and 100000 were announced"),
        ("empty", "it is empty"),
        ("holes", "it has holes"),
        ("too many", "more descriptors are announced than may come"),
        ("more than announced", "more came than was asked for"),
        ("unannounced", "more came than was asked for"),
        ("fewer than announced", "a descriptor was announced and did not come"),
        ("too large", "larger than it may be"),
    ],
)
def test_descriptor_that_is_none_of_these_is_refused_and_closed(passing: Any, kind: str, why: str) -> None:
    clear_pools()
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(sandboxer.SerializationError, match=why):
        passing.passes(kind)
    clear_pools()
    assert len(os.listdir("/proc/self/fd")) == before


def test_descriptor_where_none_is_expected_is_refused_and_closed(passing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel refuses it, or we do."""
    monkeypatch.setattr(Pool, "most_passed_bytes", lambda pool: 0)
    clear_pools()
    before = len(os.listdir("/proc/self/fd"))
    found = passing.passes.call("as it should be")
    assert isinstance(found.error, PermissionError | sandboxer.SerializationError)
    clear_pools()
    assert len(os.listdir("/proc/self/fd")) == before


def test_box_that_speaks_between_calls_is_not_used_again(passing: Any) -> None:
    clear_pools()
    before = len(os.listdir("/proc/self/fd"))
    with Pool(stocking=Stocking(reuse="same-key")) as pool:
        speaks = sandboxer.sandboxed(pool=pool)(passing.speaks_later)
        for _ in range(2):
            assert speaks(1) == 1
            wait_until(lambda: bool(select.select([shared_box(pool).socket], [], [], 0)[0]))
        assert speaks(1) == 1
        assert (pool.stats().died, pool.stats().reused) == (2, 0)
    assert len(os.listdir("/proc/self/fd")) == before


def shared_box(pool: Pool) -> Worker:
    return next(iter(pool._stock._shared.values()))[0]


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)
