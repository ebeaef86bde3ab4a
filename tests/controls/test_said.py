"""Sections read back with their types."""

from __future__ import annotations

import pytest

from sandboxer.controls.said import choice, comma, flag, number, numbers, own, places_of, texts
from sandboxer.errors import InternalError
from sandboxer.model.place import Place
from sandboxer.model.section import Said, Section

FIRST, SECOND = Place("a.yaml", 1, 2), Place("a.yaml", 3, 4)
SECTION = Section({"list": (Said(9, SECOND), Said(3, FIRST)), "word": (Said("x", FIRST),), "flag": (Said(False, FIRST),)})


def test_values_come_back_with_their_types() -> None:
    assert (choice(SECTION, "word", "-"), flag(SECTION, "flag", True), numbers(SECTION, "list")) == ("x", False, (3, 9))
    assert texts(SECTION, "word") == {"x"}


def test_values_that_nobody_said_are_the_default() -> None:
    assert (choice(SECTION, "none", "-"), flag(SECTION, "none", True), number(SECTION, "none", 7)) == ("-", True, 7)


def test_place_of_a_field_is_its_first() -> None:
    assert places_of(SECTION)["list"] == FIRST


def test_settings_of_the_room_pass() -> None:
    assert own(int, 3) == 3


def test_settings_of_another_room_are_our_bug() -> None:
    with pytest.raises(InternalError, match="found str"):
        own(int, "3")


def test_comma_sorts_and_names_nothing() -> None:
    assert (comma({"b", "a"}), comma(())) == ("a, b", "nothing")
