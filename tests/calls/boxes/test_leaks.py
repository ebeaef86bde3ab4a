"""Between calls: what one leaves behind the next does not find, and what runs beside another does not see it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import ModuleType

import pytest

import sandboxer
from sandboxer import Pool, Stocking

LEFT = {"flock", "message", "segment", "/tmp", "/var/tmp", "/dev/shm", "/home/sandbox"}
PROFILES = ("python", "strict")


def pool_of(profile: str, project: Path) -> Pool:
    """Boxes are made ahead, so that the next call's was there while this one ran."""
    return Pool(profile, stocking=Stocking(spares=2), read=[project])


@pytest.mark.parametrize("profile", PROFILES)
def test_next_call_finds_nothing_of_what_the_last_one_left(profile: str, plain: ModuleType, in_project: Path) -> None:
    with pool_of(profile, in_project) as pool:
        leaves, finds = (sandboxer.sandboxed(pool=pool)(one) for one in (plain.leaves, plain.finds))
        before = finds()
        assert before == (["directory"] if profile == "strict" else []), "strict begins in the root directory"
        for _ in range(4):
            left = set(leaves())
            assert {"/tmp", "/dev/shm", "flock"} <= left <= LEFT, "what cannot be left is not tried"
            assert finds() == before
        assert pool.stats().from_exec == 0


def test_call_that_shares_its_box_does_find_that(plain: ModuleType) -> None:
    """The twin: `finds` finds what is there."""
    with Pool(stocking=Stocking(reuse="same-key")) as pool:
        leaves, finds = (sandboxer.sandboxed(pool=pool)(one).keyed("k") for one in (plain.leaves, plain.finds))
        leaves()
        assert {"/tmp", "environment", "umask", "directory", "module", "builtin", "patch", "signal", "process"} <= set(finds())


@pytest.mark.parametrize("profile", PROFILES)
def test_call_sees_neither_the_memory_nor_the_files_of_one_that_runs_beside_it(
    profile: str, plain: ModuleType, in_project: Path
) -> None:
    with pool_of(profile, in_project) as pool:
        keeps, looks = (sandboxer.sandboxed(pool=pool)(one) for one in (plain.keeps_a_secret, plain.looks_around))
        assert looks("x") == []
        running = keeps.submit(3, "a secret that only one call knows")
        time.sleep(0.3)
        for _ in range(3):
            assert looks("a secret that only one call knows") == []
        assert running.cancel()
        assert running.wait_until_gone(20)


def test_arguments_of_a_call_are_in_no_image(plain: ModuleType) -> None:
    """What a box of before was told is not in the memory that the next one starts with."""
    with Pool(stocking=Stocking(spares=2)) as pool:
        whole, searches = (sandboxer.sandboxed(pool=pool)(one) for one in (plain.says, plain.searches_itself))
        for number in range(3):
            whole(f"an argument of one call {number}")
        # It is made of pieces there, and finds the whole that it has made itself.
        itself = searches(["what nobody", " ever said to it"])
        assert searches(["an argument", " of one call"]) == itself
        assert searches(["searches", "_itself"]) > itself


def test_box_has_its_streams_and_the_wire_and_nothing_of_the_image(plain: ModuleType) -> None:
    with Pool() as pool:
        descriptors = sandboxer.sandboxed(pool=pool)(plain.descriptors)
        for _ in range(2):
            assert descriptors() == ["/dev/null", "pipe", "pipe", "socket"]
        assert pool.stats().from_exec == 0


def test_caller_is_not_shown_to_the_box(plain: ModuleType) -> None:
    os.environ["SANDBOXER_TEST_SECRET"] = "of the caller"
    try:
        with Pool() as pool:
            environment = sandboxer.sandboxed(pool=pool)(plain.environment)()
            assert "SANDBOXER_TEST_SECRET" not in environment
            assert pool.stats().from_exec == 0
    finally:
        del os.environ["SANDBOXER_TEST_SECRET"]
