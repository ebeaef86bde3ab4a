"""The public Python names: run a command under a profile and get its Result; load a profile and look at what it means."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Unpack

from sandboxer.learn.explained import run_explained
from sandboxer.model.policy import Policy
from sandboxer.model.result import Denial, Denials, LandlockDenial, LandlockDenials, Reason, Result, Risk
from sandboxer.run.prepare import resolve_request
from sandboxer.run.start import Options, make_request, run_captured
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
