"""What a plan says about itself survives the cache."""

from __future__ import annotations

from dataclasses import replace

from sandboxer.model.op import U32, U64, ArmWallClock, SetRlimit
from sandboxer.model.report import Report
from sandboxer.model.stage import Stage
from sandboxer.run.about import RLIMIT_CPU, RLIMIT_FSIZE, UNLIMITED, read_about, tell_about, write_about
from tests.compile.policies import PLACE, least_steps, make_plan, make_policy, step
from tests.run.records import make_about


def rlimit(resource: int, soft: int, hard: int) -> SetRlimit:
    return SetRlimit(U32(resource), U64(soft), U64(hard))


def test_about_comes_back_as_it_was() -> None:
    about = make_about(cpu_soft_s=1, cpu_hard_s=2, file_bytes=3, wall_ms=4)
    assert read_about(write_about(about)) == about


def test_about_with_nothing_in_it_comes_back() -> None:
    about = replace(make_about(), sources=(), options=(), overrides=(), report=Report(), before=(), inside=(), after=())
    assert read_about(write_about(about)) == about


def test_about_text_is_ascii_whatever_is_in_it() -> None:
    about = replace(make_about(), profile="\u202e\udcff")
    assert write_about(about).isascii()
    assert read_about(write_about(about)).profile == "\u202e\udcff"


def test_about_tells_the_limits_that_can_end_a_command() -> None:
    plan = make_plan(
        *least_steps(),
        step(ArmWallClock(U64(500), U64(0), U32(15)), Stage.CLOCK),
        step(rlimit(RLIMIT_CPU, 5, 7), Stage.LIMITS),
        step(rlimit(RLIMIT_FSIZE, 100, 100), Stage.LIMITS),
    )
    about = tell_about(plan, make_policy(), "digest")
    assert (about.cpu_soft_s, about.cpu_hard_s, about.file_bytes, about.wall_ms) == (5, 7, 100, 500)


def test_about_tells_no_limit_where_there_is_none() -> None:
    plan = make_plan(*least_steps(), step(rlimit(RLIMIT_CPU, UNLIMITED, UNLIMITED), Stage.LIMITS))
    about = tell_about(plan, make_policy(), "digest")
    assert (about.cpu_soft_s, about.cpu_hard_s, about.file_bytes, about.wall_ms) == (None, None, None, None)


def test_step_is_found_by_the_numbers_of_the_record() -> None:
    about = tell_about(make_plan(*least_steps()), make_policy(), "digest")
    found = about.step(2, 1)
    assert found is not None
    assert (found.op, found.place) == ("SetCapabilities", PLACE)


def test_step_outside_the_lists_is_none() -> None:
    about = make_about()
    assert [about.step(*numbers) for numbers in ((0, 0), (4, 0), (1, 99))] == [None, None, None]
