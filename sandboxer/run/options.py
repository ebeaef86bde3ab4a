"""What a caller in Python may say beside the profile, and the request that it makes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TypedDict

from sandboxer.run.request import Request


class Options(TypedDict, total=False):
    """What may be said beside the profile; the same as the options of `sandboxer exec`.

    env: NAME -> value, or None to pass the caller's own. timeout: `10s`, or seconds. workdir: a directory of the box.
    params: parameters of the profile. cache: False compiles the profile anew and keeps nothing.
    """

    read: Iterable[str | os.PathLike[str]]
    write: Iterable[str | os.PathLike[str]]
    env: Mapping[str, str | None]
    timeout: str | float
    network: str
    params: Mapping[str, object]
    workdir: str
    fds: Iterable[int]
    cache: bool


def make_request(profile: str | os.PathLike[str], options: Options, *, is_watched: bool = False) -> Request:
    """The request that these options are."""
    pairs: list[tuple[str, str]] = []
    pairs += (("--read", os.fspath(path)) for path in options.get("read", ()))
    pairs += (("--write", os.fspath(path)) for path in options.get("write", ()))
    pairs += (("--env", name if value is None else f"{name}={value}") for name, value in options.get("env", {}).items())
    if "timeout" in options:
        pairs.append(("--timeout", _duration_text(options["timeout"])))
    if "network" in options:
        pairs.append(("--network", options["network"]))
    pairs += (("--set", f"{name}={_param_text(value)}") for name, value in options.get("params", {}).items())
    pairs += (("--fd", str(number)) for number in options.get("fds", ()))
    return Request(os.fspath(profile), options=pairs, directory=options.get("workdir", ""), is_watched=is_watched)


def _duration_text(timeout: str | float) -> str:
    return timeout if isinstance(timeout, str) else f"{round(timeout * 1000)}ms"


def _param_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
