"""How any callable goes into a box: by its name where it has one there too, and by value where it has none."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import MethodType
from typing import Any

from sandboxer.calls.call import Call, Terms, run_call
from sandboxer.calls.request import Packed, Pickled, pack_call, pickle_function
from sandboxer.calls.wire.declared import hints_of


@dataclass(frozen=True, slots=True)
class Task:
    """A function with all its arguments. annotation: of what it returns."""

    function: Callable[..., Any] | Pickled
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    annotation: Any

    def run(self, terms: Terms, *, stop_fd: int = -1) -> Call[Any]:
        """Call it in a box and wait. stop_fd: as in `Wire`. Raises: as `make_call`."""
        return run_call(self.pack(terms), self.annotation, terms=terms, stop_fd=stop_fd)

    def pack(self, terms: Terms) -> Packed:
        """For the wire. Raises: SerializationError."""
        most = terms.pool.most_passed_bytes()
        return pack_call(self.function, self.arguments, self.keywords, host=terms.names, most_passed_bytes=most)


def find_task(function: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Task:
    """Take apart what a callable is made of. Raises: SerializationError for what has no name and cannot go by value."""
    while isinstance(function, functools.partial) and not _has_gaps(function):
        function, arguments, keywords = (
            function.func,
            (*function.args, *arguments),
            {**function.keywords, **keywords},
        )
    if isinstance(function, MethodType) and not has_name(function) and has_name(function.__func__):
        function, arguments = function.__func__, (function.__self__, *arguments)
    annotation = annotation_of(function)
    return Task(function if has_name(function) else pickle_function(function), arguments, keywords, annotation)


def has_name(function: Callable[..., Any]) -> bool:
    """Whether it is what its module has by its name. A name may be that of another: of what a decorator has replaced."""
    found: Any = sys.modules.get(getattr(function, "__module__", None) or "")
    for name in getattr(function, "__qualname__", "<none>").split("."):
        found = getattr(found, name, None)
    return found == function or (found is not None and getattr(found, "local", None) is function)


def annotation_of(function: Callable[..., Any]) -> Any:
    """Of what it returns; a class returns what it says."""
    if isinstance(function, type):
        return function
    if isinstance(function, functools.partial):
        return annotation_of(function.func)
    called = function if inspect.isroutine(function) else type(function).__call__
    return hints_of(called).get("return", Any)


def _has_gaps(function: functools.partial[Any]) -> bool:
    """Whether arguments are still to come between those that are there, from Python 3.14 on."""
    gap = getattr(functools, "Placeholder", None)
    return gap is not None and any(argument is gap for argument in function.args)
