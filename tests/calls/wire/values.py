"""Values that can cross, and classes that an annotation can name."""

from __future__ import annotations

import datetime
import enum
import pathlib
import typing
from dataclasses import dataclass, field
from decimal import Decimal
from zoneinfo import ZoneInfo

import attrs
from hypothesis import strategies as st

ZONES = (datetime.UTC, datetime.timezone(datetime.timedelta(hours=-3, minutes=30)), ZoneInfo("Europe/Rome"))


class Colour(enum.Enum):
    RED = 1
    BLUE = "b"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclass(frozen=True, slots=True)
class Point:
    x: float
    y: float
    tags: tuple[str, ...] = ()


@dataclass
class Node:
    value: int
    below: list[Node] = field(default_factory=list)
    seen: int = field(default=0, init=False)
    kinds: typing.ClassVar[int] = 3


@dataclass
class Positive:
    value: int

    def __post_init__(self) -> None:
        if self.value <= 0:
            raise ValueError("not positive")


class Pair(typing.NamedTuple):
    left: int
    right: Colour


@attrs.define
class Crate:
    _weight: int
    items: list[str] = attrs.field(factory=list)


class Row(typing.TypedDict):
    name: str
    size: typing.NotRequired[int]


NUMBERS = st.one_of(
    st.integers(), st.integers(-(1 << 2000), 1 << 2000), st.floats(allow_nan=False), st.complex_numbers(allow_nan=False)
)
TEXTS = st.one_of(st.text(max_size=50), st.text(alphabet='$\ud800\0"\\é', max_size=9), st.just("long " * 2000))
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    NUMBERS,
    TEXTS,
    st.binary(max_size=100),
    st.binary(max_size=20).map(bytearray),
    st.decimals(allow_nan=False),
    st.dates(),
    st.times(),
    st.datetimes(timezones=st.sampled_from(ZONES)),
    st.datetimes(),
    st.timedeltas(),
    st.sampled_from(ZONES[:2]),
    st.uuids(),
    TEXTS.filter(lambda text: "\0" not in text and len(text) < 4000).map(pathlib.Path),
    st.just(pathlib.PurePosixPath("a/b")),
)
KEYS = st.one_of(TEXTS, st.integers(), st.dates(), st.tuples(st.integers(), st.text(max_size=5)), st.binary(max_size=5))
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.lists(inner, max_size=5).map(tuple),
        st.dictionaries(TEXTS, inner, max_size=5),
        st.dictionaries(KEYS, inner, max_size=5),
        st.sets(KEYS, max_size=5),
        st.frozensets(KEYS, max_size=5),
    ),
    max_leaves=20,
)
"""Decimal("nan") and the like are left out: they are not equal to themselves."""

assert Decimal("1") == 1
