"""The command section of a plan, and what it is made of."""

from __future__ import annotations

import pytest

from sandboxer.compile.encode import decode_command, encode_plan
from sandboxer.compile.seal import HOLE, MAX_PLAN_BYTES, SealError, fill_holes, find_candidates, make_environment, seal
from sandboxer.model.op import PAIR
from sandboxer.model.plan import Plan, Recipe
from sandboxer.model.report import Report

EMPTY = encode_plan(Plan("test", (), (), (), Recipe(), Report()))


def test_seal_total_length_is_patched() -> None:
    sealed = seal(EMPTY, [b"/a"], [b"a"], [])
    assert int.from_bytes(sealed[8:12], "little") == len(sealed)


def test_seal_a_second_time_is_refused() -> None:
    with pytest.raises(SealError, match="a command already"):
        seal(seal(EMPTY, [b"/a"], [b"a"], []), [b"/a"], [b"a"], [])


def test_seal_of_other_bytes_is_refused() -> None:
    with pytest.raises(SealError, match="not a plan"):
        seal(b"\x7fELF" + bytes(200), [b"/a"], [b"a"], [])


def test_seal_argument_with_nul_is_refused() -> None:
    with pytest.raises(SealError, match="NUL"):
        seal(EMPTY, [b"/a"], [b"a\0b"], [])


def test_seal_command_over_the_limit_is_refused() -> None:
    with pytest.raises(SealError, match="at most"):
        seal(EMPTY, [b"/a"], [b"x" * MAX_PLAN_BYTES], [])


def test_seal_bytes_that_are_not_text_survive() -> None:
    assert decode_command(seal(EMPTY, [b"/\xff"], [b"\xfe"], []))[1] == ("\udcfe",)


def test_candidates_of_a_path_are_the_path() -> None:
    assert find_candidates(b"./run", b"/bin") == [b"./run"]


def test_candidates_of_a_name_follow_path() -> None:
    assert find_candidates(b"ls", b"/usr/bin:/bin/") == [b"/usr/bin/ls", b"/bin/ls"]


def test_candidates_never_come_from_relative_path_entries() -> None:
    assert find_candidates(b"ls", b":.:bin:/bin") == [b"/bin/ls"]


def test_environment_of_the_caller_does_not_pass_by_itself() -> None:
    assert make_environment({b"SECRET": b"1"}, [], []) == []


def test_environment_passes_names_and_prefixes() -> None:
    caller = {b"LANG": b"C", b"LC_ALL": b"C", b"SECRET": b"1"}
    assert make_environment(caller, [b"LANG", b"LC_*", b"TERM"], []) == [b"LANG=C", b"LC_ALL=C"]


def test_environment_prefix_does_not_let_held_names_pass() -> None:
    caller = {b"LD_PRELOAD": b"x", b"LD_TIME": b"1", b"MY_SECRET_KEY": b"2", b"A": b"3"}
    assert make_environment(caller, [b"*", b"!LD_PRELOAD", b"!MY_SECRET*"], []) == [b"LD_TIME=1", b"A=3"]


def test_environment_name_passes_although_a_prefix_holds_it() -> None:
    assert make_environment({b"LD_PRELOAD": b"x"}, [b"*", b"LD_PRELOAD", b"!LD_PRELOAD"], []) == [b"LD_PRELOAD=x"]


def test_environment_fixed_value_wins_over_the_callers() -> None:
    assert make_environment({b"HOME": b"/root"}, [b"HOME"], [(b"HOME", b"/home")]) == [b"HOME=/home"]


def test_environment_name_that_the_caller_lacks_has_its_fallback() -> None:
    assert make_environment({}, [b"LANG", b"LANG=C.UTF-8"], []) == [b"LANG=C.UTF-8"]


def test_environment_name_that_the_caller_has_needs_no_fallback() -> None:
    assert make_environment({b"LANG": b"de"}, [b"LANG", b"LANG=C.UTF-8"], []) == [b"LANG=de"]


def test_holes_are_filled_and_nothing_else_is_changed() -> None:
    assert fill_holes(b"a" + HOLE + b"b" + HOLE + HOLE, (1, 11), b"c123,c456") == b"ac123,c456bc123,c456" + HOLE
    assert PAIR.encode() == HOLE


@pytest.mark.parametrize(("at", "text"), [(0, b"c123,c456"), (2, b"c123,c456"), (1, b"c1,c2"), (100, b"c123,c456")])
def test_hole_that_is_none_or_of_another_size_is_refused(at: int, text: bytes) -> None:
    with pytest.raises(SealError, match="no hole"):
        fill_holes(b"a" + HOLE, (at,), text)
