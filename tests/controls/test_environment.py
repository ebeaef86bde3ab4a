"""The environment: cleared, set, passed, denied."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandboxer.controls import environment
from sandboxer.controls.room import Scene
from sandboxer.errors import ProfileError
from sandboxer.model.policy import Trait
from tests.controls.rooms import ALL_NEW, ORDINARY, both, child, lines, lowered, section, under, understood

BUILT_IN = {
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "LOGNAME": "sandbox",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "USER": "sandbox",
}


def test_nothing_said_gives_the_built_in_and_passes_nothing() -> None:
    result = lowered(environment, "", ORDINARY)
    assert dict(result.set) == BUILT_IN
    assert result.passed == ()


def test_user_is_named_as_ids_says() -> None:
    scene = replace(Scene(ORDINARY, ALL_NEW), user_name="worker")
    found = dict(environment.lower(understood(environment), scene).set)
    assert (found["USER"], found["LOGNAME"]) == ("worker", "worker")


def test_terminal_passes_term() -> None:
    assert lowered(environment, "", ORDINARY, ALL_NEW | {Trait.HAS_TERMINAL}).passed == ("TERM",)


def test_denied_term_does_not_pass_with_a_terminal() -> None:
    assert lowered(environment, "deny: [TERM]", ORDINARY, ALL_NEW | {Trait.HAS_TERMINAL}).passed == ()


def test_set_value_replaces_the_built_in_one() -> None:
    assert dict(lowered(environment, "set: {HOME: /work, JOBS: 3}", ORDINARY).set) == BUILT_IN | {"HOME": "/work", "JOBS": "3"}


def test_passed_name_keeps_the_built_in_value_for_callers_that_lack_it() -> None:
    result = lowered(environment, "pass: [LANG, LC_*]", ORDINARY)
    assert "LANG" not in dict(result.set)
    assert result.passed == ("LANG", "LANG=C.UTF-8", "LC_*")


def test_passed_name_that_is_set_too_is_as_set() -> None:
    result = lowered(environment, "pass: [LANG]\nset: {LANG: de_DE.UTF-8}", ORDINARY)
    assert dict(result.set)["LANG"] == "de_DE.UTF-8"
    assert result.passed == ("LANG",)


def test_passed_and_denied_name_has_no_built_in_value_either() -> None:
    result = lowered(environment, "pass: [LANG]\ndeny: [LANG]", ORDINARY)
    assert "LANG" not in dict(result.set)
    assert result.passed == ()


def test_denied_name_is_neither_set_nor_passed() -> None:
    result = lowered(environment, "set: {A: one}\npass: [A, B]\ndeny: [A]", ORDINARY)
    assert "A" not in dict(result.set)
    assert result.passed == ("B",)


def test_denied_name_below_a_passed_prefix_is_held_back() -> None:
    assert lowered(environment, "pass: [CI_*]\ndeny: [CI_TOKEN]", ORDINARY).passed == ("!CI_TOKEN", "CI_*")


def test_prefix_never_passes_what_loads_code() -> None:
    assert "!LD_*" in lowered(environment, 'pass: ["*"]', ORDINARY).passed
    assert lowered(environment, "pass: [PY*]", ORDINARY).passed == ("!PYTHON*", "PY*")


def test_whole_name_passes_even_if_it_loads_code() -> None:
    assert lowered(environment, "pass: [LD_PRELOAD]", ORDINARY).passed == ("LD_PRELOAD",)


def test_two_parents_with_two_values_are_refused_with_both_places() -> None:
    with pytest.raises(ProfileError) as caught:
        understood(environment, both(environment, "set: {A: one}", "set: {A: two}"))
    assert str(caught.value) == (
        "other.yaml:1:7: two values for the variable A\n"
        "  1 | set: {A: two}\n"
        "    |       ^\n"
        "  why: it is 'one' at one.yaml:1:7, and 'two' here\n"
        "  try: set: {A: ...} in the profile that joins the two"
    )


def test_two_parents_with_one_value_agree() -> None:
    found = understood(environment, both(environment, "set: {A: one}", "set: {A: one}"))
    assert isinstance(found, environment.Settings)
    assert found.values == (("A", "one"),)


def test_own_value_replaces_the_inherited_one_and_leaves_others() -> None:
    found = understood(environment, child(environment, "set: {A: two}", "set: {A: one, B: z}"))
    assert isinstance(found, environment.Settings)
    assert found.values == (("A", "two"), ("B", "z"))


def test_layer_leaves_only_what_both_pass() -> None:
    found = understood(environment, under(environment, "pass: [LC_*, HOME]", "pass: [LC_ALL, TERM]"))
    assert isinstance(found, environment.Settings)
    assert found.passed == {"LC_ALL"}


def test_denies_add_up() -> None:
    found = understood(environment, under(environment, "pass: [A]\ndeny: [B]", "deny: [A]"))
    assert isinstance(found, environment.Settings)
    assert found.denied == {"A", "B"}


@pytest.mark.parametrize("said", ["pass: [A=B]", "set: {A-B: x}", 'deny: ["*A"]', "set: {A: true}"])
def test_names_and_values_of_another_form_are_refused(said: str) -> None:
    with pytest.raises(ProfileError):
        section(environment, said)


def test_report_names_what_comes_in() -> None:
    assert lines(lowered(environment, "pass: [TZ]\nset: {A: one}\ndeny: [B]", ORDINARY)) == (
        "cleared; set: A, HOME, LANG, LOGNAME, PATH, USER; passed: TZ\nnever: B"
    )


def test_widens_tells_new_patterns_and_lost_denials() -> None:
    strict = understood(environment, "pass: [LC_*]\ndeny: [A]")
    wide = understood(environment, "pass: [LC_ALL, TZ]")
    assert environment.widens(strict, wide) == ("environment.pass: TZ", "environment.deny: no longer A")
    assert environment.widens(wide, wide) == ()


def test_explain_says_what_comes_in() -> None:
    assert environment.explain(understood(environment, "pass: [TZ]\nset: {A: one}")) == (
        "Of the caller's environment it gets TZ.",
        "It is given A=one.",
    )
