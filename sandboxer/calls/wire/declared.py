"""Which classes the annotation of a function names, and whether a value is what the annotation says.

An annotation is a promise of the function, and the function is not trusted: what comes is compared with it.
"""

from __future__ import annotations

import collections.abc
import enum
import types
import typing
import weakref
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from sandboxer.calls.wire.caps import SerializationError
from sandboxer.calls.wire.encode import field_names

Classes = Mapping[str, type]
"""By `module:qualified.name`."""

LISTS = (list, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection)
SETS = (set, frozenset, collections.abc.Set)
MAPPINGS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)


ITERATORS = (
    collections.abc.Iterator, collections.abc.Iterable, collections.abc.Generator,
    collections.abc.AsyncIterator, collections.abc.AsyncIterable, collections.abc.AsyncGenerator,
)  # fmt: skip


def parts_of_generator(annotation: Any) -> tuple[Any, Any]:
    """What the annotation of a generator function says of its items, and of what it returns in the end."""
    parts = typing.get_args(annotation) if typing.get_origin(annotation) in ITERATORS else ()
    return (parts[0] if parts else Any), (parts[2] if len(parts) == 3 else Any)


_hints: weakref.WeakKeyDictionary[Any, dict[str, Any]] = weakref.WeakKeyDictionary()


def hints_of(kind: Any) -> dict[str, Any]:
    """The annotations of a class or function, resolved, once for each; those that cannot be are Any."""
    known = None
    with suppress(TypeError):  # by what has no hash, nothing is remembered
        known = _hints.get(kind)
    if known is None:
        try:
            known = typing.get_type_hints(kind, include_extras=True)
        except Exception:  # whatever is written there: a name that is imported for type checkers only is usual
            return dict.fromkeys(getattr(kind, "__annotations__", {}), Any)
        with suppress(TypeError):
            _hints[kind] = known
    return known


def find_classes(annotation: Any) -> dict[str, type]:
    """Classes that a value of this annotation may be made of: enums, dataclasses, NamedTuples, attrs; and their fields'."""
    found: dict[str, type] = {}
    left = [annotation]
    while left:
        one = left.pop()
        left.extend(_below(one))
        if isinstance(one, type) and (issubclass(one, enum.Enum) or field_names(one) is not None):
            name = f"{one.__module__}:{one.__qualname__}"
            if name not in found:
                found[name] = one
                left.extend(hints_of(one).values())
        elif typing.is_typeddict(one) and one.__qualname__ not in found:
            found[one.__qualname__] = dict  # only so that one that names itself ends; nothing on the wire has such a name
            left.extend(hints_of(one).values())
    return found


def _below(annotation: Any) -> Iterator[Any]:
    """The annotations within one."""
    if isinstance(annotation, typing.NewType):
        yield annotation.__supertype__
    elif isinstance(annotation, typing.TypeVar):
        yield from annotation.__constraints__ or ([annotation.__bound__] if annotation.__bound__ else [])
    elif typing.get_origin(annotation) is typing.Annotated:
        yield typing.get_args(annotation)[0]
    elif typing.get_origin(annotation) is not typing.Literal:
        yield from typing.get_args(annotation)


def check(value: Any, annotation: Any, path: str = "") -> None:
    """The value is what the annotation says. Raises: SerializationError with the place in the value.

    What nobody can check of it (protocols, callables, forward references that nothing resolves) is taken to hold.
    """
    wrong = _find_wrong(value, annotation, path)
    if wrong is not None:
        raise wrong


def _find_wrong(value: Any, annotation: Any, path: str) -> SerializationError | None:
    if annotation in (Any, object) or isinstance(annotation, str | typing.TypeVar | typing.ForwardRef):
        return None
    if isinstance(annotation, typing.NewType):
        return _find_wrong(value, annotation.__supertype__, path)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _find_wrong(value, arguments[0], path)
    if origin is typing.Literal:
        is_right = any(type(value) is type(one) and value == one for one in arguments)
        return None if is_right else _is_not(value, annotation, path)
    if origin in (typing.Union, types.UnionType):
        is_right = any(_find_wrong(value, one, path) is None for one in arguments)
        return None if is_right else _is_not(value, annotation, path)
    if typing.is_typeddict(annotation):
        return _in_typed_dict(value, annotation, path)
    if annotation is None or annotation is type(None):
        return None if value is None else _is_not(value, annotation, path)
    if not isinstance(origin or annotation, type):
        return None
    return _in_container(value, annotation, origin or annotation, arguments, path)


def _in_container(value: Any, annotation: Any, kind: type, arguments: tuple[Any, ...], path: str) -> SerializationError | None:
    if getattr(kind, "_is_protocol", False):
        return None
    if kind is float:
        return None if type(value) in (float, int) or _is_instance(value, float) else _is_not(value, annotation, path)
    if kind is int and isinstance(value, bool):
        return _is_not(value, annotation, path)
    if not _is_instance(value, kind):
        return _is_not(value, annotation, path)
    if field_names(kind) is not None:
        hints = hints_of(kind)
        return _first((getattr(value, name, None), hints.get(name, Any), f"{path}.{name}") for name in field_names(kind) or ())
    if not arguments:
        return None
    if kind is tuple and arguments[-1] is not Ellipsis:
        if len(value) != len(arguments):
            return _is_not(value, annotation, path)
        return _first((item, one, f"{path}[{index}]") for index, (item, one) in enumerate(zip(value, arguments, strict=True)))
    if kind is tuple or kind in LISTS or kind in SETS:
        return _first((item, arguments[0], f"{path}[{index}]") for index, item in enumerate(value))
    if kind in MAPPINGS and len(arguments) == 2:
        keys = ((key, arguments[0], f"{path} key {key!r}") for key in value)
        return _first(keys) or _first((item, arguments[1], f"{path}[{key!r}]") for key, item in value.items())
    return None


def _is_instance(value: Any, kind: type) -> bool:
    try:
        return isinstance(value, kind)
    except TypeError:
        return True


def _first(rows: Iterator[tuple[Any, Any, str]]) -> SerializationError | None:
    return next((wrong for value, annotation, path in rows if (wrong := _find_wrong(value, annotation, path))), None)


def _in_typed_dict(value: Any, annotation: Any, path: str) -> SerializationError | None:
    hints = hints_of(annotation)
    if type(value) is not dict or not all(name in value for name, hint in hints.items() if _is_required(annotation, name, hint)):
        return _is_not(value, annotation, path)
    if not value.keys() <= hints.keys():
        return _is_not(value, annotation, path)
    return _first((item, _plain(hints[key]), f"{path}[{key!r}]") for key, item in value.items())


def _is_required(annotation: Any, name: str, hint: Any) -> bool:
    """What the hint says counts: the class itself does not know it where annotations are texts."""
    origin = typing.get_origin(hint)
    return origin is typing.Required or (origin is not typing.NotRequired and name in annotation.__required_keys__)


def _plain(annotation: Any) -> Any:
    """Without Required and NotRequired."""
    return (
        typing.get_args(annotation)[0] if typing.get_origin(annotation) in (typing.Required, typing.NotRequired) else annotation
    )


def _is_not(value: Any, annotation: Any, path: str) -> SerializationError:
    name = getattr(annotation, "__qualname__", None) if isinstance(annotation, type) and not typing.get_args(annotation) else None
    return SerializationError(f"a {type(value).__qualname__} came, and the function says {name or annotation}", path)
