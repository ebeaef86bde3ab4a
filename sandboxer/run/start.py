"""Start a request, for callers in Python: warm if it can be, cold if it must, with the outputs as bytes."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

from sandboxer.compile.cache import Entry
from sandboxer.compile.seal import SealError
from sandboxer.errors import HostError, Problem, ProfileError
from sandboxer.kernel.explain import explain
from sandboxer.kernel.listener.notices import make_watch
from sandboxer.kernel.stamp import stamp
from sandboxer.launcher.spawn import Launch
from sandboxer.launcher.unforked import unforked
from sandboxer.model.result import Result
from sandboxer.run.live.running import Running
from sandboxer.run.prepare import prepare
from sandboxer.run.request import Command, Request, RequestError, make_command
from sandboxer.run.said.options import Options, read_options
from sandboxer.run.scratch.kept import Kept
from sandboxer.run.scratch.scratch import Scratch, Wanted
from sandboxer.run.streams import MAX_OUTPUT_BYTES, Sink, Streams, open_streams
from sandboxer.run.warm import find_entry, launch_entry, open_cache
from sandboxer.run.watch import Watch


def make_request(
    profile: str | os.PathLike[str],
    options: Options,
    *,
    is_watched: bool = False,
    scratch_bytes: int = 0,
    kept: Kept | None = None,
) -> Request:
    """The request that these options are. Raises: TypeError, ValueError for what is none."""
    return Request(
        os.fspath(profile),
        options=read_options(options),
        directory=os.fspath(options.get("workdir") or ""),
        is_watched=is_watched,
        scratch_bytes=scratch_bytes,
        kept=kept,
    )


@dataclass(frozen=True, slots=True)
class Job:
    """What a caller wants to run. argv: the command. stdin: what it reads; None: the caller's own standard input.

    max_output_bytes: how much of each output is kept; None: the outputs go where the caller's go. scratch: the run's own
    directory; None: it has none. is_fed: standard input is a pipe, whose other end is `input_fd` of what runs.
    """

    request: Request
    argv: tuple[str, ...]
    stdin: bytes | None = None
    max_output_bytes: int | None = MAX_OUTPUT_BYTES
    scratch: Wanted | None = None
    is_cached: bool = True
    is_fed: bool = False


def run_job(job: Job) -> Result:
    """Run and wait. Raises: PolicyError, UnsupportedError; InternalError if the launcher was lost."""
    return begin(job).end()


def find_or_prepare(request: Request, *, is_cached: bool = True) -> Entry:
    """The plan of a request: warm if it can be, cold if it must. Raises: PolicyError, UnsupportedError.

    Of threads that would compile at the same time one does, and the others find what it kept.
    """
    environment = dict(os.environb)
    cache = open_cache(environment, is_wanted=is_cached)
    key, found = find_entry(request, environment, cache, stays=True)
    if found:
        return found
    with _compiling:
        found = cache.find(key, stamp) if key else None
        return found or prepare(request, key, cache)


_compiling = threading.RLock()


def _forget_compiling() -> None:
    """In the child of a fork: whoever had the lock is not there."""
    global _compiling
    _compiling = threading.RLock()


os.register_at_fork(after_in_child=_forget_compiling)


def begin(job: Job, *, entry: Entry | None = None, watch: Watch | None = None, sink: Sink | None = None) -> Running:
    """Start a job, with its files in place. It runs when this returns, and is the caller's to end.

    entry: its plan, where the caller has it. watch: who hears of refused calls. sink: takes the outputs as they come, and none is
    kept. Raises: as `run_job`.
    """
    entry = entry or find_or_prepare(job.request, is_cached=job.is_cached)
    with ExitStack() as opened, ExitStack() as doomed:
        with unforked():
            streams = opened.enter_context(open_streams(job.stdin, job.max_output_bytes, sink))
            input_fd = streams.open_input() if job.is_fed else -1
            if job.is_fed:
                doomed.callback(os.close, input_fd)
            scratch = opened.enter_context(closing(Scratch(job.scratch))) if job.scratch else None
            line = (watch.ours, watch.theirs) if watch else make_watch() if scratch else None
            if line and not watch:
                for end in line:
                    opened.enter_context(end)
            launch, command = _launch(job.request, entry, job.argv, streams, watch_fd=line[1].fileno() if line else -1)
            running = Running(launch, streams, entry, command, companion=watch, scratch=scratch)
            streams.close_theirs()
            if line:
                line[1].close()
        try:
            if line and scratch:
                scratch.meet(line[0], launch)
            running.opened.push(opened.pop_all())
            running.input_fd = input_fd
            doomed.pop_all()
        except BaseException:
            running.abandon()
            raise
        return running


def _launch(
    request: Request, entry: Entry, argv: Sequence[str], streams: Streams, *, watch_fd: int = -1
) -> tuple[Launch, Command]:
    try:
        command = make_command(argv, entry, dict(os.environb), request.values)
        return launch_entry(entry, command, stdio=streams.theirs, watch_fd=watch_fd), command
    except (RequestError, SealError) as error:
        raise ProfileError(Problem(str(error), attempt=getattr(error, "attempt", ""))) from error
    except OSError as error:
        raise HostError(explain("launch", error.errno or 0).problem()) from error
