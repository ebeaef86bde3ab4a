"""Text and segments into a value. The bytes are hostile: nothing but SerializationError is raised, and they name no code.

Everything that costs memory is bounded ahead of it: the depth and the number of items before the text is parsed, the length of
numbers before they are made. The rest is linear in what came.
"""

from __future__ import annotations

import enum
import json
import math
import re
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sandboxer.calls.wire.caps import Caps, SerializationError
from sandboxer.calls.wire.declared import Classes
from sandboxer.calls.wire.encode import field_names
from sandboxer.calls.wire.kinds import BY_TAG
from sandboxer.calls.wire.measure import measure

DTYPE = re.compile(r"[<>|=][biufcmMSU][0-9]{1,6}(?:\[[0-9]{0,6}[A-Za-zμ]{1,2}\])?")
PLAIN_DIGITS = 20
MAX_DIMENSIONS = 32


def decode(text: bytes, segments: Sequence[Any] = (), classes: Classes | None = None, caps: Caps | None = None) -> Any:
    """The value. segments: bytes-like. classes: those that may be made. Raises: SerializationError."""
    caps = caps or Caps()
    if len(text) > caps.text_bytes:
        raise SerializationError(f"{len(text)} bytes of text came, and {caps.text_bytes} may")
    if len(segments) > caps.segments or sum(memoryview(one).nbytes for one in segments) > caps.segment_bytes:
        raise SerializationError("more segments came than may")
    items, depth = measure(text)
    if items > caps.items:
        raise SerializationError(f"more than {caps.items} items came")
    if depth > caps.text_depth:
        raise SerializationError(f"it goes deeper than {caps.depth} containers")
    back = _Back(caps, segments, classes or {})
    try:
        tree = json.loads(text.decode("utf-8", "surrogatepass"), parse_int=_parse_int, object_pairs_hook=_object)
        return back.value(tree)
    except SerializationError:
        raise
    except Exception as error:
        raise SerializationError(f"what came is no value: {type(error).__name__}") from None


def _parse_int(text: str) -> int:
    if len(text) > PLAIN_DIGITS:
        raise SerializationError("a number is longer than it may be")
    return int(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise SerializationError("a key came twice")
    return found


class _Back:
    """What `Kind.unpack` may ask for."""

    def __init__(self, caps: Caps, segments: Sequence[Any], classes: Classes) -> None:
        self.caps = caps
        self.segments = segments
        self.classes = classes
        self._depth = 0

    def enter(self) -> None:
        """One container more. An error ends the whole, so nobody leaves on that way."""
        self._depth += 1
        if self._depth > self.caps.depth:
            raise SerializationError(f"it goes deeper than {self.caps.depth} containers")

    def leave(self) -> None:
        """It is whole."""
        self._depth -= 1

    def value(self, tree: Any) -> Any:
        """One value out of its JSON."""
        kind = type(tree)
        if kind is list:
            return self.items(tree)
        if kind is not dict:
            return tree
        if "$" not in tree:
            return self.fields(tree)
        parts = tree["$"]
        if len(tree) != 1 or type(parts) is not list or not parts or type(parts[0]) is not str:
            raise SerializationError("a tag came that is none")
        try:
            return self._tagged(parts[0], parts[1:])
        except SerializationError:
            raise
        except Exception as error:
            raise SerializationError(f"no {parts[0][:40]!r} can be made of what came: {type(error).__name__}") from None

    def _tagged(self, tag: str, parts: list[Any]) -> Any:
        if tag in BY_TAG:
            return BY_TAG[tag].unpack(parts, self)
        match tag:
            case "array":
                return self._array(*parts)
            case "enum":
                return self._enum(*parts)
            case "object":
                return self._object(*parts)
        raise SerializationError(f"nobody knows the tag {tag[:40]!r}")

    def items(self, trees: list[Any]) -> list[Any]:
        """Several values."""
        self.enter()
        found: list[Any] = []
        try:
            found.extend(map(self.value, trees))
        except SerializationError as error:
            raise SerializationError(error.what, f"[{len(found)}]{error.path}") from None
        self.leave()
        return found

    def fields(self, trees: dict[str, Any]) -> dict[str, Any]:
        """Values by their names."""
        self.enter()
        found = {}
        for key, tree in trees.items():
            try:
                found[key] = self.value(tree)
            except SerializationError as error:
                raise SerializationError(error.what, f"[{key[:40]!r}]{error.path}") from None
        self.leave()
        return found

    def keys(self, keys: list[Any]) -> list[Any]:
        """What becomes keys or members. A number is its own hash, so a hostile list of them could take a very long time."""
        most = max(Counter(map(hash, keys)).values(), default=0)
        if most > self.caps.same_hash:
            raise SerializationError(f"{most} keys have the same hash")
        return keys

    def segment(self, number: int) -> Any:
        """The bytes beside the text."""
        if not 0 <= number < len(self.segments):
            raise SerializationError("a segment is named that did not come")
        return self.segments[number]

    def _array(self, name: Any, shape: Any, number: Any, is_scalar: Any) -> Any:
        numpy = sys.modules.get("numpy") or _import_numpy()
        if type(name) is not str or not DTYPE.fullmatch(name):
            raise SerializationError("an array of no kind that is known came")
        if type(shape) is not list or len(shape) > MAX_DIMENSIONS or not all(type(n) is int and 0 <= n < 1 << 62 for n in shape):
            raise SerializationError("an array of no shape came")
        dtype = numpy.dtype(name)
        content = memoryview(self.segment(number)).cast("B").toreadonly()
        if math.prod(shape) * dtype.itemsize != content.nbytes or dtype.itemsize == 0:
            raise SerializationError("an array came whose shape does not fit its bytes")
        found = numpy.frombuffer(content, dtype).reshape(shape)
        return found[()] if is_scalar is True and not shape else found

    def _class(self, name: Any) -> type:
        found = self.classes.get(name) if type(name) is str else None
        if found is None or ":" not in name:
            raise SerializationError(f"a {str(name)[:80]!r} came, and the function's annotation does not name that class")
        return found

    def _enum(self, name: Any, member: Any) -> Any:
        found = self._class(name)
        if not issubclass(found, enum.Enum) or type(member) is not str or member not in found.__members__:
            raise SerializationError(f"{name} has no such member")
        return found.__members__[member]

    def _object(self, name: Any, fields: Any) -> Any:
        found = self._class(name)
        names = field_names(found)
        if names is None or type(fields) is not dict or not fields.keys() <= set(names):
            raise SerializationError(f"{name} has no such fields")
        values = self.fields(fields)
        if hasattr(found, "__attrs_attrs__"):  # attrs takes a private field without its underscores
            values = {attribute.alias: values[attribute.name] for attribute in found.__attrs_attrs__ if attribute.name in values}
        try:
            return found(**values)
        except Exception as error:
            raise SerializationError(f"{name} refuses its fields: {type(error).__name__}") from None


def _import_numpy() -> Any:
    from importlib import import_module

    try:
        return import_module("numpy")
    except ImportError:
        raise SerializationError("an array came, and numpy is not installed here") from None
