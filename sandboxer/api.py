"""The public Python names: run a command under a profile and get its Result; load a profile and look at what it means."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TypedDict, Unpack

from sandboxer.learn.explained import run_explained
from sandboxer.model.policy import Policy
from sandboxer.model.result import Denial, Denials, LandlockDenial, LandlockDenials, Reason, Result, Risk
from sandboxer.run.prepare import resolve_request
from sandboxer.run.request import Request
from sandboxer.run.start import run_captured
from sandboxer.run.streams import MAX_OUTPUT_BYTES

__all__ = [
    "Denial",
    "Denials",
    "LandlockDenial",
    "LandlockDenials",
    "Options",
    "Policy",
    "Reason",
    "Result",
    "Risk",
    "load",
    "run",
]


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


def run(
    argv: Sequence[str | os.PathLike[str]],
    profile: str | os.PathLike[str] = "default",
    *,
    input: bytes | None = None,
    capture: bool = True,
    explain: bool = False,
    max_output_bytes: int = MAX_OUTPUT_BYTES,
    **options: Unpack[Options],
) -> Result:
    """Run a command under a profile and wait for its end.

    input: what the command reads; None: the caller's own standard input. capture: its outputs are in the Result, also those of a
    command that was ended; False: they go where the caller's go. max_output_bytes: how much of each output is captured; a
    command that writes more is killed, and the Result has the first part and the reason OUTPUT_LIMIT. explain: the Result says
    which system calls were refused, by which rule, and what would allow them, and the same of what Landlock refused, where the
    kernel tells root of that; such a run always compiles its profile, and each refused call takes longer.
    Raises: ProfileError, HostError, before anything ran. A command that cannot be started is a Result with that reason.
    """
    request = make_request(profile, options, is_watched=explain)
    words = [os.fspath(word) for word in argv]
    if not words:
        raise ValueError("there is no command")
    if max_output_bytes < 0:
        raise ValueError("max_output_bytes is negative")
    kept = max_output_bytes if capture else None
    if explain:
        return run_explained(request, words, stdin=input, max_output_bytes=kept)
    return run_captured(request, words, stdin=input, max_output_bytes=kept, is_cached=options.get("cache", True))


def load(profile: str | os.PathLike[str], **options: Unpack[Options]) -> Policy:
    """What a profile means for this caller, with these options. Nothing is started. Raises: ProfileError."""
    return resolve_request(make_request(profile, options)).policy


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
