"""What profiles say, before it is understood: fields, the things said in them, and the algebra that joins them.

A control declares its section as rows of `Field`. Each field has one `Merge` rule, and every rule is a join of a
semilattice: commutative, associative, idempotent. That is why the order of files never matters. `narrowed` is the meet
that a `restrict:` layer applies; its result is never wider than what it was given. This module knows no control.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Any

from sandboxer.model.place import Place

if TYPE_CHECKING:
    from sandboxer.model.node import Node


@dataclass(frozen=True, slots=True)
class Said:
    """One value, said at one place."""

    value: Hashable
    place: Place


class Merge(Enum):
    """How two statements about one field become one."""

    GRANT = "union of grants"
    DENY = "union of denies"
    LEAST = "the smallest number wins (a limit)"
    MOST = "the largest number wins (a demand)"
    COMMON = "what all of them name holds (a limit); a number is the set of its bits"
    WIDEST = "the widest step of a scale wins (a grant)"
    STRICTEST = "the strictest step of a scale wins (a demand)"
    CHOICE = "neutral: must agree; what a file says itself replaces what it inherits"


def _by_value(one: Hashable, other: Hashable) -> Hashable | None:
    return one if one == other else None


@dataclass(frozen=True, slots=True)
class Field:
    """One row of a section.

    shape: the cerberus rule for the plain value (validated first, and the source of the JSON Schema).
    parse: node -> the things said; raises ProfileError with the place.
    scale: for WIDEST and STRICTEST, the values from narrow/strict to wide/lax.
    meet: for GRANT fields, what two grants have in common (None: nothing); used by `restrict:`.
    key: for GRANT fields whose values have names (the variables of an environment), the name of a value: what a file says under
        a name replaces what it inherits under it, and two parents that differ under one name are a conflict.
    absent: for LEAST and MOST fields, what holds where nobody says one; no `restrict:` layer can be laxer.
    default: what holds where nobody says anything, for people (`sandboxer schema`, docs); always the strict value.
    say: one value as a person would write it, where its own text is not that.
    words: what can be said, for people, where `shape` is too coarse. kept: who keeps it, in the kernel's own names.
    """

    name: str
    merge: Merge
    shape: Mapping[str, object]
    parse: Callable[[Node], tuple[Said, ...]]
    help: str
    default: str = ""
    scale: tuple[Hashable, ...] = ()
    meet: Callable[[Hashable, Hashable], Hashable | None] = _by_value
    key: Callable[[Hashable], Hashable] | None = None
    absent: int | None = None
    say: Callable[[Any], str] | None = None
    words: str = ""
    kept: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """Everything said about one control, by field name. An absent field was not said."""

    said: Mapping[str, tuple[Said, ...]] = field(default_factory=dict)

    def values(self, name: str) -> tuple[Hashable, ...]:
        """The values said for a field, in a fixed order; empty where nobody said anything."""
        return tuple(item.value for item in self.said.get(name, ()))

    def one(self, name: str) -> Said | None:
        """The single thing said for a field that holds one value, or None."""
        items = self.said.get(name, ())
        return items[0] if items else None


def _union(items: Iterable[Said]) -> tuple[Said, ...]:
    """Each value once, at its smallest place, in an order that does not depend on who came first."""
    places: dict[Hashable, Place] = {}
    for item in items:
        known = places.get(item.value)
        places[item.value] = item.place if known is None else min(known, item.place)
    return tuple(Said(value, places[value]) for value in sorted(places, key=lambda v: (type(v).__name__, repr(v))))


def _extreme(items: tuple[Said, ...], rank: Callable[[Hashable], float]) -> tuple[Said, ...]:
    """The one item of the smallest rank; of equals, the smallest place."""
    return (min(items, key=lambda item: (rank(item.value), item.place)),) if items else ()


def _common(items: tuple[Said, ...]) -> tuple[Said, ...]:
    """The bits that every item has, at the smallest place; none of them may be left."""
    return (Said(reduce(and_, (_as_number(item.value) for item in items)), min(item.place for item in items)),) if items else ()


def _as_number(value: Hashable) -> int:
    if not isinstance(value, int):
        raise TypeError(f"a limit is a number, not {value!r}")
    return value


def _down(value: Hashable) -> int:
    return -_as_number(value)


def joined(row: Field, one: tuple[Said, ...], other: tuple[Said, ...]) -> tuple[Said, ...]:
    """The join of what two files say about one field. Commutative, associative and idempotent."""
    items = one + other
    match row.merge:
        case Merge.GRANT | Merge.DENY | Merge.CHOICE:
            return _union(items)
        case Merge.LEAST:
            return _extreme(items, _as_number)
        case Merge.MOST:
            return _extreme(items, _down)
        case Merge.COMMON:
            return _common(items)
        case Merge.WIDEST:
            return _extreme(items, lambda value: -row.scale.index(value))
        case Merge.STRICTEST:
            return _extreme(items, row.scale.index)


def narrowed(row: Field, base: tuple[Said, ...], layer: tuple[Said, ...]) -> tuple[Said, ...]:
    """What is left of `base` under a `restrict:` layer. Never wider than `base`.

    A layer that does not say a field leaves it alone. A base that does not say a grant has none to keep.
    CHOICE fields carry no width; a layer must not say them (resolve refuses that before it calls this).
    """
    if not layer:
        return base
    match row.merge:
        case Merge.DENY:
            return _union(base + layer)
        case Merge.LEAST if not base and row.absent is not None:
            # What nobody says is limited all the same, so a layer must not be the first to speak for more.
            return tuple(item for item in layer if _as_number(item.value) < row.absent)
        case Merge.LEAST:
            return _extreme(base + layer, _as_number)
        case Merge.MOST if not base and row.absent is not None:
            return tuple(item for item in layer if _as_number(item.value) > row.absent)
        case Merge.MOST:
            return _extreme(base + layer, _down)
        case Merge.COMMON:
            return _common(base + layer)
        case Merge.STRICTEST if not base:
            # What nobody says is strict, so a lax layer must not be the first to speak.
            return _extreme(tuple(item for item in layer if item.value == row.scale[0]), row.scale.index)
        case Merge.STRICTEST:
            return _extreme(base + layer, row.scale.index)
        case Merge.WIDEST:
            return _extreme(base + layer, row.scale.index) if base else ()
        case Merge.GRANT:
            common = [(b, row.meet(b.value, k.value)) for b in base for k in layer]
            return _union(Said(value, b.place) for b, value in common if value is not None)
        case Merge.CHOICE:
            return base


def inherited(row: Field, own: tuple[Said, ...], parents: tuple[Said, ...]) -> tuple[Said, ...]:
    """What a file says after it inherits: its own choices and named values replace, everything else joins."""
    if row.merge is Merge.CHOICE and own:
        return own
    if row.key is not None:
        names = {row.key(item.value) for item in own}
        parents = tuple(item for item in parents if row.key(item.value) not in names)
    return joined(row, own, parents)
