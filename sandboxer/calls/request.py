"""What the caller sends: how the box finds a function, with which arguments, and what its interpreter needs before that.

All of it is bytes, made ahead of any box: what cannot cross is refused before anything starts.
"""

from __future__ import annotations

import functools
import os
import pickle
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MethodType, ModuleType
from typing import Any

from sandboxer.calls.bundle import bundle
from sandboxer.calls.wire.block import CALL, READY, pack_block
from sandboxer.calls.wire.caps import SerializationError
from sandboxer.calls.wire.frame import LARGE_BYTES, MAX_PASSED
from sandboxer.kernel.buffers.giving import close_sealed
from sandboxer.kernel.buffers.sealed import make_sealed

VALUE_MODULE = ("cloudpickle.cloudpickle", "")


class Packed:
    """A call as bytes, and the descriptors of the buffers that go with it: whoever has it closes it.

    modules: where its function is, as in `pack_ready`. by_value: the function itself is in it. passes: the box may answer with
    descriptors.
    """

    __slots__ = ("by_value", "data", "descriptors", "modules", "passes")

    def __init__(
        self, data: bytes, descriptors: Iterable[int], *, modules: tuple[tuple[str, str], ...], by_value: bool, passes: bool
    ) -> None:
        self.data = data
        self.descriptors = tuple(descriptors)
        self.modules = modules
        self.by_value = by_value
        self.passes = passes

    def __enter__(self) -> Packed:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()  # a generator that nobody began

    def close(self) -> None:
        """Let go of the buffers."""
        descriptors, self.descriptors = self.descriptors, ()
        close_sealed(descriptors)


@dataclass(frozen=True, slots=True)
class Pickled:
    """A function by value, as bytes that only a box makes a function of."""

    data: bytes


def pack_ready(*, by_value: bool = False, modules: Iterable[tuple[str, str]] = (), image: bytes = b"") -> bytes:
    """What an interpreter gets first, once: the modules that serve, and where to import from.

    modules: those to import ahead of any call (name, file of a main program or empty). by_value: as in `bundle`.
    image: the image module, for one that is to be frozen when it is ready.
    """
    ready = {"path": sys.path, "modules": list(modules), "image": image}
    return bundle(by_value=by_value) + pack_block(READY, pickle.dumps(ready))


def pack_call(
    function: Callable[..., Any] | Pickled,
    arguments: tuple[Any, ...],
    keywords: dict[str, Any],
    *,
    host: Mapping[str, int] | None = None,
    window: tuple[int, int] | None = None,
    most_passed_bytes: int = 0,
) -> Packed:
    """One call for an interpreter that is ready.

    host: the names of host functions, and how many bytes a question may have. window: of a generator, how many items and bytes it
    may be ahead. most_passed_bytes: how many bytes of an answer may come by descriptors; 0: none, and nothing goes by them.
    Raises: SerializationError for what cannot cross.
    """
    call = refer(function) | {"host": dict(host or {}), "window": window, "most_passed_bytes": most_passed_bytes}
    descriptors: list[int] = []
    keep = functools.partial(_keep_inline, descriptors) if most_passed_bytes else None
    try:
        call["arguments"] = pickle.dumps((arguments, keywords), protocol=5, buffer_callback=keep)
    except Exception as error:
        close_sealed(descriptors)
        raise SerializationError(f"the arguments cannot cross: {error}", None) from error
    data = pack_block(CALL, pickle.dumps(call), len(descriptors))
    by_value = bool(call["by_value"])
    modules = (VALUE_MODULE,) if by_value else ((call["module"], call["file"]),)
    return Packed(data, descriptors, modules=modules, by_value=by_value, passes=most_passed_bytes > 0)


def _keep_inline(descriptors: list[int], buffer: pickle.PickleBuffer) -> bool:
    """Whether a buffer goes with the pickle; else it is sealed memory of its own from here on."""
    if len(descriptors) >= MAX_PASSED:
        return True
    try:
        content = buffer.raw()
        if content.nbytes < LARGE_BYTES:
            return True
        descriptors.append(make_sealed(content))
    except (BufferError, OSError):  # in pieces; or there is no memory or no number left for it
        return True
    return False


def refer(function: Callable[..., Any] | Pickled) -> dict[str, Any]:
    """How the box finds a function: by its module and its name there, or the file where that is the main program; or by value.

    By value goes what has no such name, with cloudpickle. Raises: SerializationError where that is not installed.
    """
    if isinstance(function, Pickled):
        return {"by_value": function.data}
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not module or not name:  # a method of a builtin object, an object that can be called
        return {"by_value": pickle_function(function).data}
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None) if isinstance(main, ModuleType) and module == "__main__" else None
    if "<" in name or (module == "__main__" and not file):
        return {"by_value": pickle_function(function).data}
    path = os.path.abspath(file) if file else ""
    return {"by_value": b"", "module": module, "name": name, "file": path, "is_bound": isinstance(function, MethodType)}


def pickle_function(function: Callable[..., Any]) -> Pickled:
    """Any callable by value. Raises: SerializationError for what cannot be, or without cloudpickle."""
    name = getattr(function, "__qualname__", None) or repr(function)
    try:
        from cloudpickle import dumps  # type: ignore[import-untyped]
    except ImportError:
        what = f"{name} has no name in a module that the box could find it by"
        raise SerializationError(f"{what}: define the function at the top of one, or install cloudpickle", None) from None
    try:
        data: bytes = dumps(function)
    except Exception as error:
        raise SerializationError(f"{name} cannot cross: {error}", None) from error
    return Pickled(data)
