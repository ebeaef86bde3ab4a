"""A value into JSON text and segments. It runs in the box, so it imports the standard library and its neighbours only.

Types count exactly: what is a subclass of a list or of a text is more than that, and would come out as less.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from json.encoder import encode_basestring
from typing import Any

from sandboxer.calls.wire.caps import Caps, SerializationError
from sandboxer.calls.wire.kinds import BY_TYPE

LONG_TEXT = 4096
PLAIN_INT = 1 << 63
ARRAY_KINDS = "biufcmMSU"
"""What numpy calls the kinds of arrays that hold no objects. Source: numpy, dtype.kind."""


_CAPS = Caps()
_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False)


class Encoded:
    """text: the JSON. segments: bytes, or objects with the buffer protocol whose memory is contiguous."""

    __slots__ = ("segments", "text")

    def __init__(self, text: bytes, segments: list[Any]) -> None:
        self.text = text
        self.segments = segments


def encode(value: Any, caps: Caps | None = None) -> Encoded:
    """Raises: SerializationError, with the path of what cannot cross."""
    if caps is None and (plain := _plain(value)):
        return Encoded(plain.encode("utf-8", "surrogatepass"), [])
    out = _Out(caps or _CAPS)
    tree = out.value(value)
    text = _JSON.encode(tree).encode("utf-8", "surrogatepass")
    if len(text) > out.caps.text_bytes:
        raise SerializationError(f"it is {len(text)} bytes of text, and {out.caps.text_bytes} can cross")
    return Encoded(text, out.segments)


def _plain(value: Any) -> str:
    """What most calls return costs least: the JSON of a value that is in nothing and that JSON has; empty: of no such one."""
    kind = type(value)
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if kind is int and -PLAIN_INT <= value < PLAIN_INT:
        return repr(value)
    if kind is str and len(value) <= LONG_TEXT:
        return encode_basestring(value)
    return ""


class _Out:
    """What `Kind.pack` may ask for, and the counts."""

    def __init__(self, caps: Caps) -> None:
        self.caps = caps
        self.segments: list[Any] = []
        self._items = 0
        self._depth = 0
        self._bytes = 0

    def refuse(self, what: str) -> SerializationError:
        return SerializationError(what)

    def value(self, value: Any) -> Any:
        """One value as JSON."""
        self._items += 1
        if self._items > self.caps.items:
            raise SerializationError(f"it has more than {self.caps.items} items")
        kind = type(value)
        if value is None or kind is bool or kind is float:
            return value
        if kind is int:
            return value if -PLAIN_INT <= value < PLAIN_INT else self._tagged("int", value)
        if kind is str:
            return value if len(value) <= LONG_TEXT else self._tagged("str", value)
        if kind is list:
            return self.items(value)
        if kind is dict and "$" not in value and all(type(key) is str for key in value):
            return self._fields(value)
        if kind in BY_TYPE:
            return self._tagged(BY_TYPE[kind].tag, value)
        return {"$": self._other(value)}

    def _tagged(self, tag: str, value: Any) -> Any:
        return {"$": [tag, *BY_TYPE[type(value)].pack(value, self)]}

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > self.caps.depth:
            raise SerializationError(f"it goes deeper than {self.caps.depth} containers")

    def items(self, values: Iterable[Any]) -> list[Any]:
        """Several values."""
        self._enter()
        found: list[Any] = []
        try:
            found.extend(map(self.value, values))
        except SerializationError as error:
            raise SerializationError(error.what, f"[{len(found)}]{error.path}") from None
        self._depth -= 1
        return found

    def pairs(self, values: Mapping[Any, Any]) -> list[list[Any]]:
        """Keys and values of a mapping."""
        self._enter()
        found = []
        for key, value in values.items():
            try:
                found.append([self.value(key), self.value(value)])
            except SerializationError as error:
                raise SerializationError(error.what, f"[{_short(key)}]{error.path}") from None
        self._depth -= 1
        return found

    def _fields(self, values: Mapping[str, Any]) -> dict[str, Any]:
        self._enter()
        found = {}
        for key, value in values.items():
            try:
                found[key] = self.value(value)
            except SerializationError as error:
                raise SerializationError(error.what, f"[{_short(key)}]{error.path}") from None
        self._depth -= 1
        return found

    def segment(self, content: Any) -> int:
        """Keep bytes beside the text; their number."""
        self._bytes += len(content) if isinstance(content, bytes) else content.nbytes
        if len(self.segments) >= self.caps.segments or self._bytes > self.caps.segment_bytes:
            raise SerializationError(f"it has more than {self.caps.segment_bytes} bytes in {self.caps.segments} pieces")
        self.segments.append(content)
        return len(self.segments) - 1

    def _other(self, value: Any) -> list[Any]:
        """Arrays, and instances of classes that the caller's annotation may name."""
        kind = type(value)
        numpy = sys.modules.get("numpy")
        if numpy is not None and isinstance(value, numpy.ndarray | numpy.generic):
            return self._array(numpy.asarray(value), is_scalar=isinstance(value, numpy.generic))
        name = f"{kind.__module__}:{kind.__qualname__}"
        enum = sys.modules.get("enum")
        if enum is not None and isinstance(value, enum.Enum):
            return ["enum", name, value.name]
        names = field_names(kind)
        if names is None:
            raise SerializationError(f"a {kind.__qualname__} cannot cross: it is no kind of value that the wire knows")
        fields = {field: getattr(value, field) for field in names if hasattr(value, field)}
        return ["object", name, self._fields(fields)]

    def _array(self, value: Any, *, is_scalar: bool) -> list[Any]:
        if value.dtype.kind not in ARRAY_KINDS or value.dtype.hasobject:
            raise SerializationError(f"an array of {value.dtype} cannot cross: it holds objects")
        if value.dtype.names is not None:
            raise SerializationError("an array of records cannot cross: send its columns")
        whole = value if value.flags.c_contiguous else value.copy(order="C")
        content = memoryview(whole.reshape(-1).view("u1")) if whole.size else b""
        return ["array", value.dtype.str, list(value.shape), self.segment(content), is_scalar]


def field_names(kind: type) -> tuple[str, ...] | None:
    """The fields of a dataclass, a NamedTuple or an attrs class, in order; None: it is none of these."""
    fields = getattr(kind, "__dataclass_fields__", None)
    if fields is not None:
        return tuple(name for name, field in fields.items() if field._field_type.name == "_FIELD" and field.init)
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return tuple(kind._fields)
    if hasattr(kind, "__attrs_attrs__"):
        return tuple(attribute.name for attribute in kind.__attrs_attrs__ if attribute.init)
    return None


def _short(key: Any) -> str:
    text = repr(key)
    return text if len(text) <= 40 else f"{text[:37]}..."
