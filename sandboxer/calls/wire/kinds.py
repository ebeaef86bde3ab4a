"""The table of kinds that JSON does not have: tag, type, how it is packed into parts, and how parts become it again.

Parts are JSON, values that are encoded in turn, and numbers of segments. Unpacking is given parts of any form and must answer a
value or raise; whatever it raises becomes a SerializationError. A new kind is a new row.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path, PosixPath, PurePosixPath
from typing import Any
from uuid import UUID

Pack = Callable[[Any, Any], list[Any]]
Unpack = Callable[[list[Any], Any], Any]

MAX_DECIMAL = 10_000
MAX_PATH = 4096
ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*", re.ASCII)
HEX = re.compile(r"-?0x[0-9a-f]+", re.ASCII)


class Kind:
    """One row. pack(value, out): the parts; `out.value(v)` encodes one, `out.segment(bytes)` keeps one and answers its number.

    unpack(parts, back): the value; `back.value(part)` decodes one, `back.segment(number)` is the bytes of one.
    """

    __slots__ = ("pack", "tag", "type", "unpack")

    def __init__(self, tag: str, type: type, pack: Pack, unpack: Unpack) -> None:
        self.tag = tag
        self.type = type
        self.pack = pack
        self.unpack = unpack


def _text(part: Any, most: int = 64) -> str:
    if type(part) is not str or len(part) > most:
        raise ValueError("a short text is expected")
    return part


def _number(part: Any) -> int:
    if type(part) is not int:
        raise ValueError("a whole number is expected")
    return part


def _list(part: Any) -> list[Any]:
    if type(part) is not list:
        raise ValueError("a list is expected")
    return part


def _float(part: Any) -> float:
    if type(part) is not float:
        raise ValueError("a number is expected")
    return part


def _pairs(parts: list[Any], back: Any) -> dict[Any, Any]:
    back.enter()
    pairs = list(map(_list, _list(parts[0])))
    keys = back.keys([back.value(key) for key, _ in pairs])
    found = dict(zip(keys, (back.value(value) for _, value in pairs), strict=True))
    if len(found) != len(pairs):
        raise ValueError("a key came twice")
    back.leave()
    return found


def _unpack_int(parts: list[Any], back: Any) -> int:
    text = _text(parts[0], back.caps.digits)
    if not HEX.fullmatch(text):
        raise ValueError("no number in hexadecimal")
    return int(text, 16)  # linear, unlike decimal. Source: Objects/longobject.c, long_from_binary_base


def _offset(parts: list[Any], _: Any) -> datetime.timezone:
    return datetime.timezone(datetime.timedelta(microseconds=_number(parts[0])))


def _zone(value: datetime.tzinfo | None, out: Any) -> Any:
    if value is None:
        return None
    if type(value) is datetime.timezone:
        return value.utcoffset(None) // datetime.timedelta(microseconds=1)
    key = getattr(value, "key", None)
    if type(value).__module__.partition(".")[0] == "zoneinfo" and type(key) is str and ZONE.fullmatch(key):
        return key
    raise out.refuse("a time zone that is neither an offset nor a ZoneInfo with a name")


def _unzone(part: Any) -> datetime.tzinfo | None:
    if part is None:
        return None
    if type(part) is int:
        return datetime.timezone(datetime.timedelta(microseconds=part))
    if not ZONE.fullmatch(_text(part)):
        raise ValueError("no name of a time zone")
    from zoneinfo import ZoneInfo

    return ZoneInfo(part)


def _pack_datetime(value: datetime.datetime, out: Any) -> list[Any]:
    return [value.replace(tzinfo=None).isoformat(), _zone(value.tzinfo, out), value.fold]


def _unpack_datetime(parts: list[Any], _: Any) -> datetime.datetime:
    found = datetime.datetime.fromisoformat(_text(parts[0]))
    return found.replace(tzinfo=_unzone(parts[1]), fold=_number(parts[2]))


def _pack_time(value: datetime.time, out: Any) -> list[Any]:
    return [value.replace(tzinfo=None).isoformat(), _zone(value.tzinfo, out), value.fold]


def _unpack_time(parts: list[Any], _: Any) -> datetime.time:
    return datetime.time.fromisoformat(_text(parts[0])).replace(tzinfo=_unzone(parts[1]), fold=_number(parts[2]))


def _unpack_path(parts: list[Any], _: Any) -> Path:
    text = _text(parts[0], MAX_PATH)
    if "\0" in text:
        raise ValueError("a path has no NUL")
    return Path(text)


KINDS: tuple[Kind, ...] = (
    Kind("tuple", tuple, lambda v, out: [out.items(v)], lambda p, back: tuple(back.items(_list(p[0])))),
    Kind("set", set, lambda v, out: [out.items(v)], lambda p, back: set(back.keys(back.items(_list(p[0]))))),
    Kind("frozenset", frozenset, lambda v, out: [out.items(v)], lambda p, back: frozenset(back.keys(back.items(_list(p[0]))))),
    Kind("dict", dict, lambda v, out: [out.pairs(v)], _pairs),
    Kind("str", str, lambda v, out: [out.segment(v.encode("utf-8", "surrogatepass"))],
         lambda p, back: bytes(back.segment(_number(p[0]))).decode("utf-8", "surrogatepass")),
    Kind("bytes", bytes, lambda v, out: [out.segment(v)], lambda p, back: bytes(back.segment(_number(p[0])))),
    Kind("bytearray", bytearray, lambda v, out: [out.segment(bytes(v))], lambda p, back: bytearray(back.segment(_number(p[0])))),
    Kind("int", int, lambda v, _: [hex(v)], _unpack_int),
    Kind("complex", complex, lambda v, _: [v.real, v.imag], lambda p, _: complex(_float(p[0]), _float(p[1]))),
    Kind("decimal", Decimal, lambda v, _: [str(v)], lambda p, _: Decimal(_text(p[0], MAX_DECIMAL))),
    Kind("datetime", datetime.datetime, _pack_datetime, _unpack_datetime),
    Kind("date", datetime.date, lambda v, _: [v.isoformat()], lambda p, _: datetime.date.fromisoformat(_text(p[0]))),
    Kind("time", datetime.time, _pack_time, _unpack_time),
    Kind("timedelta", datetime.timedelta, lambda v, _: [v.days, v.seconds, v.microseconds],
         lambda p, _: datetime.timedelta(_number(p[0]), _number(p[1]), _number(p[2]))),
    Kind("timezone", datetime.timezone, lambda v, out: [_zone(v, out)], _offset),
    Kind("uuid", UUID, lambda v, _: [v.hex], lambda p, _: UUID(hex=_text(p[0]))),
    Kind("path", PosixPath, lambda v, _: [str(v)], _unpack_path),
    Kind("purepath", PurePosixPath, lambda v, _: [str(v)], lambda p, back: PurePosixPath(_unpack_path(p, back))),
)  # fmt: skip

BY_TYPE: dict[type, Kind] = {kind.type: kind for kind in KINDS}
BY_TAG: dict[str, Kind] = {kind.tag: kind for kind in KINDS}
