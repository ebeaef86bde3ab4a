"""model/section.py: the corner cases of the algebra; its laws are in test_algebra.py of tests/compile."""

from __future__ import annotations

from sandboxer.model.place import Place
from sandboxer.model.section import Field, Merge, Said, inherited, joined, narrowed


def row(merge: Merge, **more: object) -> Field:
    return Field("row", merge, {}, lambda node: (), "help", scale=("strict", "mid", "lax"), **more)  # type: ignore[arg-type]


def said(*values: object, line: int = 1) -> tuple[Said, ...]:
    return tuple(Said(value, Place("f.yaml", line)) for value in values)  # type: ignore[arg-type]


def values(items: tuple[Said, ...]) -> list[object]:
    return [item.value for item in items]


def test_joined_keeps_the_smallest_place_of_a_value() -> None:
    (item,) = joined(row(Merge.GRANT), said("a", line=7), said("a", line=3))
    assert item.place.line == 3


def test_joined_limit_is_the_smallest() -> None:
    assert values(joined(row(Merge.LEAST), said(5), said(3))) == [3]


def test_joined_scale_takes_its_end() -> None:
    assert values(joined(row(Merge.WIDEST), said("strict"), said("mid"))) == ["mid"]
    assert values(joined(row(Merge.STRICTEST), said("lax"), said("mid"))) == ["mid"]


def test_narrowed_by_a_silent_layer_changes_nothing() -> None:
    assert values(narrowed(row(Merge.GRANT), said("a", "b"), ())) == ["a", "b"]


def test_narrowed_grants_are_what_both_have() -> None:
    assert values(narrowed(row(Merge.GRANT), said("a", "b"), said("b", "c"))) == ["b"]


def test_narrowed_never_makes_a_grant_that_nobody_gave() -> None:
    assert narrowed(row(Merge.GRANT), (), said("a")) == ()
    assert narrowed(row(Merge.WIDEST), (), said("lax")) == ()


def test_narrowed_demand_stays_strict_where_nobody_spoke() -> None:
    assert narrowed(row(Merge.STRICTEST), (), said("lax")) == ()
    assert values(narrowed(row(Merge.STRICTEST), (), said("strict"))) == ["strict"]
    assert values(narrowed(row(Merge.STRICTEST), said("lax"), said("mid"))) == ["mid"]


def test_inherited_choice_of_the_file_replaces() -> None:
    assert values(inherited(row(Merge.CHOICE), said("own"), said("parent"))) == ["own"]
    assert values(inherited(row(Merge.CHOICE), (), said("parent"))) == ["parent"]


def test_inherited_named_value_replaces_its_name_only() -> None:
    keyed = row(Merge.GRANT, key=lambda value: value[0])
    assert values(inherited(keyed, said(("A", "own")), said(("A", "old"), ("B", "old")))) == [("A", "own"), ("B", "old")]


def test_joined_demand_is_the_largest() -> None:
    assert values(joined(row(Merge.MOST), said(5), said(3))) == [5]


def test_joined_sets_are_what_all_name() -> None:
    assert values(joined(row(Merge.COMMON), said(0b1110), said(0b0111))) == [0b0110]
    (nothing,) = joined(row(Merge.COMMON), said(0b1000, line=7), said(0b0111, line=3))
    assert (nothing.value, nothing.place.line) == (0, 3)


def test_narrowed_demand_is_not_laxer_than_what_holds_where_nobody_spoke() -> None:
    assert narrowed(row(Merge.MOST, absent=2), (), said(1)) == ()
    assert values(narrowed(row(Merge.MOST, absent=2), (), said(3))) == [3]
    assert values(narrowed(row(Merge.MOST, absent=2), said(3), said(1))) == [3]


def test_narrowed_set_is_what_both_name() -> None:
    assert values(narrowed(row(Merge.COMMON), (), said(0b01))) == [0b01]
    assert values(narrowed(row(Merge.COMMON), said(0b11), said(0b01))) == [0b01]
