"""What a call can come to that is not a value. Each has the Result of the box in `result`."""

from __future__ import annotations

import builtins
import functools
import signal
from typing import Any

from sandboxer.calls.wire.caps import SerializationError
from sandboxer.errors import Problem
from sandboxer.model.outcome.ending import KINDS, ExecutionError, ProcessDied
from sandboxer.model.outcome.escape import MAX_TEXT, escape_text
from sandboxer.model.result import Result

__all__ = ["ExecutionError", "RemoteError", "death", "remote_error"]
MAX_DEPTH = 6


class RemoteError(ExecutionError):
    """The function raised. It is also the builtin exception that was raised there, where it was one: `except ValueError` works.

    Its text and what is noted are of the function's making, and may say anything. class_name: of the exception there.
    """

    class_name = ""

    def __init__(self, what: str, result: Result) -> None:
        """The builtin class has no say in it: some are made of more than a text."""
        self.problems = (Problem(what),)
        self.args = (what,)
        self.result = result

    def __str__(self) -> str:
        return str(self.args[0])


class RemoteSerializationError(RemoteError, SerializationError):
    """What the function returned or asked cannot cross, says the box. `except SerializationError` is for both ends."""

    def __init__(self, what: str, result: Result) -> None:
        RemoteError.__init__(self, what, result)
        self.what, self.path = what, ""


def death(result: Result) -> ExecutionError:
    """The error of a box that ended in another way than by answering."""
    kind = KINDS.get(result.reason, ProcessDied)
    how = result.detail or f"it ended without an answer ({_end_of(result)})"
    return kind(how, result)


def _end_of(result: Result) -> str:
    if result.signal is None:
        return f"{result.reason.value}, status {result.status}"
    try:
        return f"{result.reason.value} by {signal.Signals(result.signal).name}"
    except ValueError:  # those for real time have no name
        return f"{result.reason.value} by signal {result.signal}"


def remote_error(told: Any, result: Result) -> ExecutionError:
    """The exception that `child.describe` told. Whatever is told, this answers an error and makes nothing else of it."""
    told = told if isinstance(told, dict) else {}
    names = [name for name in _list(told.get("classes")) if isinstance(name, str)]
    name = _clean(names[0].partition(":")[2], 200) if names else "unknown"
    kind = next((one for one in map(_builtin, names) if one), RemoteError)
    error = kind(f"{name}: {_clean(told.get('text'))}", result)
    error.class_name = name
    error.add_note("in the box:\n" + "\n".join(_lines(told, 0)))
    return error


def _builtin(name: str) -> type[RemoteError] | None:
    if name == f"{SerializationError.__module__}:{SerializationError.__qualname__}":
        return RemoteSerializationError
    module, _, short = name.partition(":")
    found = getattr(builtins, short, None) if module == "builtins" and short.isidentifier() else None
    if not isinstance(found, type) or not issubclass(found, Exception) or found is Exception:
        return None
    made: type[RemoteError] | None = _class_for(found)  # type: ignore[arg-type]  # a class is as hashable as any object
    return made


@functools.cache
def _class_for(kind: type[Exception]) -> type[RemoteError] | None:
    """One class for each builtin exception; None where its layout does not go together with ours, or is made of others."""
    try:
        made: type[RemoteError] = type(
            f"Remote{kind.__name__}", (RemoteError, kind), {"__module__": __name__, "__doc__": RemoteError.__doc__}
        )
        made.__new__(made)
    except TypeError:
        return None
    return made


def __getattr__(name: str) -> type[RemoteError]:
    """Those classes, by their names: that is how a pickle finds them."""
    found = _builtin(f"builtins:{name.removeprefix('Remote')}") if name.startswith("Remote") else None
    if found is None or found.__name__ != name:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return found


def _lines(told: Any, depth: int) -> list[str]:
    if not isinstance(told, dict):
        return []
    lines = []
    for frame in _list(told.get("frames"))[:100]:
        file, number, function, text = (*_list(frame), "", "", "", "")[:4]
        lines.append(f"  {_clean(file, 300)}:{number if type(number) is int else '?'} in {_clean(function, 100)}")
        lines += [f"    {_clean(text, 200)}"] if text else []
    names = [name for name in _list(told.get("classes")) if isinstance(name, str)]
    lines.append(f"{_clean(names[0].partition(':')[2], 200) if names else 'unknown'}: {_clean(told.get('text'))}")
    lines += [_clean(note) for note in _list(told.get("notes"))[:20]]
    if "cause" in told and depth < MAX_DEPTH:
        lines += ["which came of:", *_lines(told["cause"], depth + 1)]
    return lines


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _clean(value: Any, most: int = MAX_TEXT) -> str:
    """Text from the box, safe for a terminal."""
    return escape_text(value, most) if isinstance(value, str) else ""
