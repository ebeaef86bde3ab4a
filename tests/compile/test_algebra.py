"""The laws of composition, for every row of every real room: the order of files never matters, and layers only narrow."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandboxer.model.algebra import narrow
from sandboxer.model.place import Place
from sandboxer.model.section import Field, Merge, Said, Section, inherited, joined, narrowed
from tests.compile.samples import WORDS, all_rows, samples

Items = tuple[Said, ...]
EVERY_ROW = pytest.mark.parametrize(("control", "name"), all_rows())
LISTS = (Merge.GRANT, Merge.DENY)


def row_of(control: str, name: str) -> Field:
    return WORDS.rows[control][name]


def statements(control: str, name: str) -> st.SearchStrategy[Items]:
    """What one file may say in a row: nothing, one thing, or several where the row holds several."""
    one = st.builds(
        lambda items, line: tuple(replace(item, place=Place("f.yaml", line)) for item in items),
        st.sampled_from(samples(control, name)),
        st.integers(1, 9),
    )
    if row_of(control, name).merge not in LISTS:
        return st.one_of(st.just(()), one)
    several = st.lists(one, max_size=4).map(lambda many: tuple(item for items in many for item in items))
    return several.map(lambda items: joined(row_of(control, name), items, ()))


def drawn(data: st.DataObject, control: str, name: str, count: int) -> list[Items]:
    return [data.draw(statements(control, name)) for _ in range(count)]


def values(items: Items) -> set[object]:
    return {item.value for item in items}


def is_within(row: Field, narrow_items: Items, wide_items: Items) -> bool:
    """What the one allows, the other allows too. No statement is the strict default."""
    match row.merge:
        case Merge.GRANT:
            return all(any(row.meet(one.value, other.value) == one.value for other in wide_items) for one in narrow_items)
        case Merge.DENY:
            return values(narrow_items) >= values(wide_items)
        case Merge.LEAST:
            return _limit(row, narrow_items) <= _limit(row, wide_items)
        case Merge.MOST:
            return _limit(row, narrow_items) >= _limit(row, wide_items)
        case Merge.COMMON:
            return not _mask(narrow_items) & ~_mask(wide_items)
        case Merge.WIDEST | Merge.STRICTEST:
            step = [row.scale.index(items[0].value) if items else 0 for items in (narrow_items, wide_items)]
            return step[0] <= step[1]
        case Merge.CHOICE:
            return values(narrow_items) == values(wide_items)


def _mask(items: Items) -> int:
    """The bits that are allowed; where nobody says any, all of them."""
    value = items[0].value if items else -1
    return value if isinstance(value, int) else 0


def _limit(row: Field, items: Items) -> float:
    """The number that holds; where nobody says one, the room's own, or none at all."""
    value = items[0].value if items else row.absent
    return value if isinstance(value, int) else float("inf")


@EVERY_ROW
def test_row_has_samples(control: str, name: str) -> None:
    assert samples(control, name), "no word of samples.py can be said here; add one"


@EVERY_ROW
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_join_is_commutative_associative_and_idempotent(control: str, name: str, data: st.DataObject) -> None:
    row = row_of(control, name)
    one, two, three = drawn(data, control, name, 3)
    assert joined(row, one, two) == joined(row, two, one)
    assert joined(row, joined(row, one, two), three) == joined(row, one, joined(row, two, three))
    whole = joined(row, one, ())
    assert joined(row, whole, whole) == whole


@EVERY_ROW
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_join_of_grants_takes_nothing_away(control: str, name: str, data: st.DataObject) -> None:
    row = row_of(control, name)
    one, two = drawn(data, control, name, 2)
    both = values(joined(row, one, two))
    if row.merge in LISTS:
        assert both == values(one) | values(two)
    elif row.merge is Merge.COMMON:
        assert _mask(joined(row, one, two)) == _mask(one) & _mask(two)
    elif both and row.merge is not Merge.CHOICE:
        assert both <= values(one) | values(two)


@EVERY_ROW
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_layer_only_narrows(control: str, name: str, data: st.DataObject) -> None:
    row = row_of(control, name)
    base, layer = drawn(data, control, name, 2)
    left = narrowed(row, base, layer)
    assert is_within(row, left, base)
    if layer and row.merge not in (Merge.CHOICE, Merge.STRICTEST):
        assert is_within(row, left, layer)
    again = narrowed(row, left, layer)
    assert is_within(row, again, left)
    assert is_within(row, left, again)
    section = narrow({name: row}, Section({name: base}), Section({name: layer}))
    assert is_within(row, section.said[name], base)


@EVERY_ROW
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_order_of_layers_never_matters(control: str, name: str, data: st.DataObject) -> None:
    row = row_of(control, name)
    base, one, two = drawn(data, control, name, 3)
    assert values(narrowed(row, narrowed(row, base, one), two)) == values(narrowed(row, narrowed(row, base, two), one))


@EVERY_ROW
def test_meet_of_grants_is_a_meet(control: str, name: str) -> None:
    row = row_of(control, name)
    if row.merge is not Merge.GRANT:
        return
    found = [item.value for items in samples(control, name) for item in items][:12]
    for one in found:
        assert row.meet(one, one) == one
        for other in found:
            both = row.meet(one, other)
            assert both == row.meet(other, one)
            if both is not None:
                assert row.meet(both, one) == both
                assert row.meet(both, other) == both


@EVERY_ROW
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_order_of_three_parents_never_matters(control: str, name: str, data: st.DataObject) -> None:
    row = row_of(control, name)
    parents = drawn(data, control, name, 3)
    (own,) = drawn(data, control, name, 1)
    found = []
    for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0), (2, 1, 0)):
        whole: Items = ()
        for number in order:
            whole = joined(row, whole, parents[number])
        found.append(inherited(row, own, whole))
    assert all(one == found[0] for one in found)


@EVERY_ROW
def test_scale_has_every_value_that_can_be_said(control: str, name: str) -> None:
    row = row_of(control, name)
    for items in samples(control, name):
        if row.merge in (Merge.WIDEST, Merge.STRICTEST):
            assert items[0].value in row.scale
        if row.merge in (Merge.LEAST, Merge.MOST, Merge.COMMON):
            assert isinstance(items[0].value, int)
        for item in items:
            assert row.key is None or hash(row.key(item.value)) is not None
