"""The same as `sandboxer.run`, `sandboxer.stream` and `sandboxer.Box` for tasks of asyncio, trio and anyio.

Nothing blocks the event loop, and a task that is cancelled has killed its box and seen it gone before it goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Unpack

from sandboxer.api import begin_feed, begin_job, make_job
from sandboxer.model.result import Result
from sandboxer.run.live.feed import parse_interval
from sandboxer.run.live.tasks import AsyncStream, run_to_end
from sandboxer.run.said.options import Options, Word
from sandboxer.run.scratch.collect import MAX_COLLECT_BYTES
from sandboxer.run.scratch.fill import Source
from sandboxer.run.streams import MAX_OUTPUT_BYTES
from sandboxer.sessions.tasks import AsyncBox as Box

__all__ = ["Box", "run", "stream"]


async def run(
    argv: Sequence[Word],
    profile: Word = "default",
    *,
    stdin: bytes | None = None,
    files: Mapping[str, Source] | None = None,
    collect: Iterable[str] | None = None,
    capture: bool = True,
    explain: bool = False,
    max_output_bytes: int = MAX_OUTPUT_BYTES,
    max_collect_bytes: int = MAX_COLLECT_BYTES,
    **options: Unpack[Options],
) -> Result:
    """Run a command under a profile and wait for its end, as `sandboxer.run` does. Raises: as that."""
    job = make_job(
        argv, profile, options, stdin=stdin, files=files, collect=collect, explain=explain,
        max_output_bytes=max_output_bytes if capture else None, max_collect_bytes=max_collect_bytes,
    )  # fmt: skip
    return await run_to_end(partial(begin_job, job))


def stream(
    argv: Sequence[Word],
    profile: Word = "default",
    *,
    stdin: bytes | None = None,
    files: Mapping[str, Source] | None = None,
    collect: Iterable[str] | None = None,
    explain: bool = False,
    usage_every: str | float | None = None,
    max_collect_bytes: int = MAX_COLLECT_BYTES,
    **options: Unpack[Options],
) -> AsyncStream:
    """The events of a command, as `sandboxer.stream` gives them, for `async with` and `async for`.

    It starts when it is entered, or when the first event is asked for. Raises: ValueError at once; as `sandboxer.run` then.
    """
    job = make_job(
        argv, profile, options, stdin=stdin, files=files, collect=collect, explain=explain, max_output_bytes=0,
        max_collect_bytes=max_collect_bytes,
    )  # fmt: skip
    parse_interval(usage_every)
    return AsyncStream(partial(begin_feed, job, usage_every))
