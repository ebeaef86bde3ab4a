"""The public Python names: run a command under a profile, at once or event by event; load a profile and look at what it means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Unpack

from sandboxer.learn.explained import begin_explained
from sandboxer.model.policy import Policy
from sandboxer.model.result import (
    Denial,
    Denials,
    LabelDenial,
    LabelDenials,
    LandlockDenial,
    LandlockDenials,
    Reason,
    Result,
    Risk,
)
from sandboxer.run.live.feed import Feed, parse_interval
from sandboxer.run.live.running import Running
from sandboxer.run.live.stream import Stream
from sandboxer.run.prepare import resolve_request
from sandboxer.run.said.options import Options, Word, read_words
from sandboxer.run.scratch.collect import MAX_COLLECT_BYTES
from sandboxer.run.scratch.fill import Source, parse_files
from sandboxer.run.scratch.names import Globs
from sandboxer.run.scratch.scratch import Wanted
from sandboxer.run.start import Job, begin, make_request
from sandboxer.run.streams import MAX_OUTPUT_BYTES

__all__ = [
    "Denial",
    "Denials",
    "LabelDenial",
    "LabelDenials",
    "LandlockDenial",
    "LandlockDenials",
    "Options",
    "Policy",
    "Reason",
    "Result",
    "Risk",
    "load",
    "run",
    "stream",
]


def run(
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
    """Run a command under a profile and wait for its end.

    stdin: what the command reads; None: the caller's own standard input. capture: its outputs are in the Result, also those of a
    command that was ended; False: they go where the caller's go. max_output_bytes: how much of each output is captured; a
    command that writes more is killed, and the Result has the first part and the reason OUTPUT_LIMIT.
    files, collect: with either of them the command starts in a directory of its own in the box, in memory. files go there
    first: relative name -> bytes, a text, or the path of a file to copy. collect: globs such as `out/**` and `*.csv`, of what is
    read back into `Result.files`, whatever the end was, up to max_collect_bytes in all.
    explain: the Result says which system calls were refused, by which rule, and what would allow them, and the same of what
    Landlock refused, where the kernel tells root of that; such a run always compiles its profile, and each refused call takes
    longer.
    Raises: PolicyError, UnsupportedError, before anything ran. A command that cannot be started is a Result with that reason;
    `check` of the Result raises it.
    """
    kept = max_output_bytes if capture else None
    job = make_job(
        argv, profile, options, stdin=stdin, files=files, collect=collect, explain=explain, max_output_bytes=kept,
        max_collect_bytes=max_collect_bytes,
    )  # fmt: skip
    return begin_job(job).end()


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
) -> Stream:
    """Start a command under a profile, and give what happens as it happens: Stdout, Stderr, and Ended with the Result at the end.

    explain: DenialSeen too, when the filter refuses something for the first time. usage_every: UsageTick too, every `1s` or so
    many seconds. The rest is as for `run`, but that no output is kept, so that none is too long.
    Leaving the iterator kills the box: use it in a `with`. A reader who is slow makes the job wait, and holds no more of what it
    writes. Raises: as `run`, when it is called.
    """
    job = make_job(
        argv, profile, options, stdin=stdin, files=files, collect=collect, explain=explain, max_output_bytes=0,
        max_collect_bytes=max_collect_bytes,
    )  # fmt: skip
    return Stream(begin_feed(job, usage_every))


def make_job(
    argv: Sequence[Word],
    profile: Word,
    options: Options,
    *,
    stdin: bytes | None,
    files: Mapping[str, Source] | None,
    collect: Iterable[str] | None,
    explain: bool,
    max_output_bytes: int | None,
    max_collect_bytes: int,
) -> Job:
    """What a caller said, understood. Raises: ValueError; OSError for a file to copy that is not there."""
    words = read_words(argv)
    if max_output_bytes is not None and max_output_bytes < 0:
        raise ValueError("max_output_bytes is negative")
    if max_collect_bytes < 0:
        raise ValueError("max_collect_bytes is negative")
    if isinstance(collect, str):
        raise TypeError("collect is a list of globs, and not one")
    scratch = None
    if files is not None or collect is not None:
        globs = Globs(collect) if collect is not None else None
        scratch = Wanted(parse_files(files or {}), globs, max_collect_bytes)
    request = make_request(profile, options, is_watched=explain, scratch_bytes=scratch.size_bytes if scratch else 0)
    return Job(request, words, stdin, max_output_bytes, scratch, options.get("cache", True))


def begin_job(job: Job) -> Running:
    """Start it; a watched one with somebody who explains. Raises: PolicyError, UnsupportedError."""
    return begin_explained(job) if job.request.is_watched else begin(job)


def begin_feed(job: Job, usage_every: str | float | None) -> Feed:
    """Start it, with its events. Raises: as `begin_job`; ValueError for an interval that is none."""
    feed = Feed(parse_interval(usage_every))
    if job.request.is_watched:
        feed.begin(begin_explained(job, sink=feed.sink, tell=feed.tell))
    else:
        feed.begin(begin(job, sink=feed.sink))
    return feed


def load(profile: Word, **options: Unpack[Options]) -> Policy:
    """What a profile means for this caller, with these options. Nothing is started. Raises: PolicyError."""
    return resolve_request(make_request(profile, options)).policy
