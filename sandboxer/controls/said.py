"""What a section says, read back with its types: one number, one text, a set of texts, and the place of each field."""

from __future__ import annotations

from typing import TypeVar

from sandboxer.errors import InternalError, Problem
from sandboxer.model.place import Place
from sandboxer.model.section import Section

S = TypeVar("S")


def own(kind: type[S], settings: object) -> S:
    """The settings as the room's own type. Raises: InternalError if they are another room's."""
    if not isinstance(settings, kind):
        raise InternalError(Problem(f"expected {kind.__module__}.{kind.__name__}, found {type(settings).__name__}"))
    return settings


def places_of(section: Section) -> dict[str, Place]:
    """Where each field was said first, by field name; a field that nobody said is not there."""
    return {name: min(item.place for item in items) for name, items in section.said.items() if items}


def texts(section: Section, name: str) -> frozenset[str]:
    """The texts said for a field of texts."""
    return frozenset(str(value) for value in section.values(name))


def numbers(section: Section, name: str) -> tuple[int, ...]:
    """The numbers said for a field of numbers, from small to large."""
    return tuple(sorted(value for value in section.values(name) if isinstance(value, int)))


def number(section: Section, name: str, default: int) -> int:
    """The number said for a field of one number, or the default."""
    said = section.one(name)
    return said.value if said is not None and isinstance(said.value, int) else default


def flag(section: Section, name: str, default: bool) -> bool:
    """The truth said for a field of one boolean, or the default."""
    said = section.one(name)
    return said.value if said is not None and isinstance(said.value, bool) else default


def choice(section: Section, name: str, default: str) -> str:
    """The text said for a field of one text, or the default."""
    said = section.one(name)
    return said.value if said is not None and isinstance(said.value, str) else default


def comma(items: object) -> str:
    """The items as a list for people: sorted, with commas; `nothing` where there are none."""
    if not isinstance(items, set | frozenset | tuple | list) or not items:
        return "nothing"
    return ", ".join(sorted(str(item) for item in items))
