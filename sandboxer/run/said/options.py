"""The keywords of `run`, `Pool`, `Box` and the rest become the options of `sandboxer exec`; and what is no command, or no option.

What is of the wrong kind is a TypeError that names it: a limit that is misspelt, or that is no number, must not be one that does
not hold. What is of the right kind and wrong is told by the compiler, as for an option of the command line.
"""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NoReturn, TypedDict, cast

Word = str | os.PathLike[str]
Pairs = Iterable[tuple[str, str]]


class Options(TypedDict, total=False):
    """What may be said beside the profile; the same as the options of `sandboxer exec`. None is the same as not said.

    env: NAME -> value, or None to pass the caller's own. timeout: `10s`, or seconds. memory: `128M`, or bytes; less
    than the profile allows. workdir: a directory of the box.
    params: parameters of the profile. cache: False compiles the profile anew and keeps nothing.
    """

    read: Iterable[Word] | None
    write: Iterable[Word] | None
    env: Mapping[str, str | None] | None
    timeout: str | float | None
    memory: str | int | None
    network: str | None
    params: Mapping[str, object] | None
    workdir: Word | None
    fds: Iterable[int] | None
    cache: bool


def check_names(options: Mapping[str, object], known: Collection[str] = Options.__annotations__.keys()) -> None:
    """Raises: TypeError for a name that is no option, as for a function without a `**`."""
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise TypeError(f"unexpected keyword argument {name!r}" + (f": did you mean {near[0]}?" if near else ""))


def settle_options(options: Mapping[str, object], known: Collection[str] = Options.__annotations__.keys()) -> Options:
    """A copy that can be read more than once, and was. Raises: as `check_names` and `read_options`."""
    check_names(options, known)
    settled = cast(Options, {name: _settle(value) for name, value in options.items()})
    read_options(settled)
    return settled


def read_options(options: Options) -> list[tuple[str, str]]:
    """The same as (flag, value), in the order of `Options`. Raises: TypeError, ValueError; OverflowError of no time at all."""
    check_names(options)
    said: Mapping[str, Any] = {name: value for name, value in options.items() if value is not None}
    return [pair for name, read in _READERS.items() if name in said for pair in read(name, said[name])]


def read_words(argv: Sequence[Word]) -> tuple[str, ...]:
    """A command. Raises: TypeError, ValueError."""
    if isinstance(argv, (str, bytes, os.PathLike)):
        raise TypeError(f"a command is a list of words, and not one: [{argv!r}]")
    words = tuple(os.fsdecode(word) for word in argv)
    if not words:
        raise ValueError("there is no command")
    for word in words:
        _check_text(f"the command's word {word!r}", word)
    return words


def _read_paths(name: str, value: Any) -> Pairs:
    if isinstance(value, (str, bytes, os.PathLike)):
        raise TypeError(f"{name} is a list of paths, and not one: [{value!r}]")
    return ((f"--{name}", os.fsdecode(path)) for path in value)


def _read_environment(name: str, value: Any) -> Pairs:
    for variable, text in _mapping(name, value).items():
        if not isinstance(variable, str) or not isinstance(text, str | None):
            _refuse(f"{name}[{variable!r}]", text, "a text, or None for the caller's own")
        if "=" in variable:
            raise ValueError(f"{variable!r} names no variable: it has a =")
        _check_text(f"the variable {variable}", text or "")
        yield f"--{name}", variable if text is None else f"{variable}={text}"


def _read_timeout(name: str, value: Any) -> Pairs:
    if isinstance(value, str):
        return [(f"--{name}", value)]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        _refuse(name, value, "a text such as `10s`, or seconds")
    if not math.isfinite(value):
        raise ValueError(f"{name} is {value}; None leaves the one that the profile says")
    return [(f"--{name}", f"{round(value * 1000)}ms")]


def _read_memory(name: str, value: Any) -> Pairs:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        _refuse(name, value, "a text such as `128M`, or a whole number of bytes")
    return [(f"--{name}", value if isinstance(value, str) else f"{value}B")]


def _read_network(name: str, value: Any) -> Pairs:
    if not isinstance(value, str):
        _refuse(name, value, "a text such as `none`")
    return [(f"--{name}", value)]


def _read_params(name: str, value: Any) -> Pairs:
    return (
        ("--set", f"{param}={str(text).lower() if isinstance(text, bool) else text}")
        for param, text in _mapping(name, value).items()
    )


def _read_fds(_: str, value: Any) -> Pairs:
    return (("--fd", str(number)) for number in value)


_READERS: dict[str, Callable[[str, Any], Pairs]] = {
    "read": _read_paths,
    "write": _read_paths,
    "env": _read_environment,
    "timeout": _read_timeout,
    "memory": _read_memory,
    "network": _read_network,
    "params": _read_params,
    "fds": _read_fds,
}


def _settle(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, (str, bytes)) else value


def _mapping(name: str, value: Any) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        _refuse(name, value, "a mapping")
    return value


def _check_text(what: str, text: str) -> None:
    if "\0" in text:
        raise ValueError(f"{what} has a NUL byte, where the kernel ends a text")


def _refuse(what: str, value: object, wants: str) -> NoReturn:
    raise TypeError(f"{what} is {value!r:.60}, and may be {wants}")
