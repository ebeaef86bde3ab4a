"""Run a request to its end, for callers in Python: warm if it can be, cold if it must, with the outputs as bytes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from sandboxer.compile.cache import Entry
from sandboxer.compile.seal import SealError
from sandboxer.errors import HostError, Problem, ProfileError
from sandboxer.kernel.explain import explain
from sandboxer.launcher.record import RecordError, read_record
from sandboxer.launcher.spawn import Launch
from sandboxer.model.result import Result
from sandboxer.run.about import read_about
from sandboxer.run.failure import launcher_lost
from sandboxer.run.prepare import prepare
from sandboxer.run.request import Command, Request, RequestError, make_command
from sandboxer.run.result import build_result
from sandboxer.run.streams import Streams, open_streams
from sandboxer.run.turns import Turns
from sandboxer.run.warm import find_entry, launch_entry, open_cache
from sandboxer.run.watch import Watch


def run_captured(
    request: Request, argv: Sequence[str], *, stdin: bytes | None = None, is_captured: bool = True, is_cached: bool = True
) -> Result:
    """Run and wait. Raises: ProfileError, HostError; InternalError if the launcher was lost."""
    environment = dict(os.environb)
    cache = open_cache(environment, is_wanted=is_cached)
    key, found = find_entry(request, environment, cache)
    entry = found or prepare(request, key, cache)
    return run_entry(request, entry, argv, stdin=stdin, is_captured=is_captured)


def run_entry(
    request: Request,
    entry: Entry,
    argv: Sequence[str],
    *,
    stdin: bytes | None = None,
    is_captured: bool = True,
    watch: Watch | None = None,
) -> Result:
    """Run a plan and wait. watch: who hears of refused calls; None: nobody. Raises: as `run_captured`."""
    environment = dict(os.environb)
    with open_streams(stdin, is_captured=is_captured) as streams:
        try:
            command = make_command(argv, entry, environment, request.values)
            watch_fd = watch.launcher_fd if watch else -1
            launch = launch_entry(entry, command, stdio=streams.theirs, watch_fd=watch_fd)
        except (RequestError, SealError) as error:
            raise ProfileError(Problem(str(error), attempt=getattr(error, "attempt", ""))) from error
        except OSError as error:
            raise HostError(explain("launch", error.errno or 0).problem()) from error
        return finish(launch, streams, entry, command, is_captured=is_captured, watch=watch)


def finish(
    launch: Launch, streams: Streams, entry: Entry, command: Command, *, is_captured: bool, watch: Watch | None = None
) -> Result:
    """Feed and drain the streams, wait, and build the result. An interrupt of the caller kills the box before it goes on."""
    streams.close_theirs()
    try:
        turns = Turns()
        streams.enter(turns)
        if watch:
            watch.enter(turns, launch)
        turns.run()
        data, status = launch.wait()
    except BaseException:
        launch.cancel()
        launch.wait()
        raise
    try:
        record = read_record(data)
    except RecordError as error:
        raise launcher_lost(str(error), status, read_about(entry.about)) from error
    candidates = [os.fsdecode(path) for path in command.candidates]
    record = watch.correct(record) if watch else record
    outputs = streams.outputs
    result, _ = build_result(record, read_about(entry.about), argv=command.argv, candidates=candidates)
    return replace(result, stdout=outputs[0], stderr=outputs[1]) if is_captured else result
