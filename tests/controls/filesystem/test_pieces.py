"""Pieces are plain values that compare by what they are."""

from __future__ import annotations

from sandboxer.controls.filesystem.pieces import Bind, Cover, Layout
from sandboxer.model.place import Place

PLACE = Place("f", 1, 1)


def test_pieces_with_the_same_content_are_equal() -> None:
    assert Bind("/a", PLACE, source="/a") == Bind("/a", PLACE, source="/a")
    assert Bind("/a", PLACE, source="/a") != Bind("/a", PLACE, source="/b")


def test_pieces_of_different_kinds_are_not_equal() -> None:
    assert Cover("/a", PLACE) != Bind("/a", PLACE)


def test_layout_without_remarks_has_none() -> None:
    assert Layout((), "/").unused == ()
