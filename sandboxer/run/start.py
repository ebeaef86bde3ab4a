"""Run a request to its end, for callers in Python: warm if it can be, cold if it must, with the outputs as bytes."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, TypedDict

from sandboxer.compile.cache import Entry
from sandboxer.compile.seal import SealError
from sandboxer.errors import HostError, Problem, ProfileError
from sandboxer.kernel.explain import explain
from sandboxer.launcher.record import RecordError, read_record
from sandboxer.launcher.spawn import Launch
from sandboxer.model.result import Reason, Result
from sandboxer.run.about import read_about
from sandboxer.run.failure import launcher_lost
from sandboxer.run.prepare import prepare
from sandboxer.run.request import Command, Request, RequestError, make_command
from sandboxer.run.result import build_result
from sandboxer.run.streams import MAX_OUTPUT_BYTES, Streams, open_streams
from sandboxer.run.turns import Turns
from sandboxer.run.warm import find_entry, launch_entry, open_cache
from sandboxer.run.watch import Watch


class Options(TypedDict, total=False):
    """What may be said beside the profile; the same as the options of `sandboxer exec`.

    env: NAME -> value, or None to pass the caller's own. timeout: `10s`, or seconds. memory: `128M`, or bytes; less
    than the profile allows. workdir: a directory of the box.
    params: parameters of the profile. cache: False compiles the profile anew and keeps nothing.
    """

    read: Iterable[str | os.PathLike[str]]
    write: Iterable[str | os.PathLike[str]]
    env: Mapping[str, str | None]
    timeout: str | float
    memory: str | int
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
    if "memory" in options:
        pairs.append(("--memory", _size_text(options["memory"])))
    if "network" in options:
        pairs.append(("--network", options["network"]))
    pairs += (("--set", f"{name}={_param_text(value)}") for name, value in options.get("params", {}).items())
    pairs += (("--fd", str(number)) for number in options.get("fds", ()))
    return Request(os.fspath(profile), options=pairs, directory=options.get("workdir", ""), is_watched=is_watched)


def _duration_text(timeout: str | float) -> str:
    return timeout if isinstance(timeout, str) else f"{round(timeout * 1000)}ms"


def _size_text(memory: str | int) -> str:
    return memory if isinstance(memory, str) else f"{memory}B"


def _param_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def run_captured(
    request: Request,
    argv: Sequence[str],
    *,
    stdin: bytes | None = None,
    max_output_bytes: int | None = MAX_OUTPUT_BYTES,
    is_cached: bool = True,
) -> Result:
    """Run and wait.

    max_output_bytes: how much of each output is kept; None: the outputs go where the caller's go.
    Raises: ProfileError, HostError; InternalError if the launcher was lost.
    """
    environment = dict(os.environb)
    cache = open_cache(environment, is_wanted=is_cached)
    key, found = find_entry(request, environment, cache, stays=True)
    entry = found or prepare(request, key, cache)
    return run_entry(request, entry, argv, stdin=stdin, max_output_bytes=max_output_bytes)


def run_wired(
    request: Request, argv: Sequence[str], companion: Companion, theirs: socket.socket, *, max_output_bytes: int
) -> Result:
    """Run and wait, with a socket of the companion's as standard input; our copy of it is closed. Raises: as `run_captured`."""
    environment = dict(os.environb)
    cache = open_cache(environment)
    key, found = find_entry(request, environment, cache, stays=True)
    entry = found or prepare(request, key, cache)
    with open_streams(None, max_output_bytes) as streams:
        streams.theirs = (theirs.fileno(), *streams.theirs[1:])
        launch, command = _launch(request, entry, argv, streams)
        theirs.close()
        return finish(launch, streams, entry, command, watch=companion)


def run_entry(
    request: Request,
    entry: Entry,
    argv: Sequence[str],
    *,
    stdin: bytes | None = None,
    max_output_bytes: int | None = MAX_OUTPUT_BYTES,
    watch: Watch | None = None,
) -> Result:
    """Run a plan and wait. watch: who hears of refused calls; None: nobody. Raises: as `run_captured`."""
    with open_streams(stdin, max_output_bytes) as streams:
        launch, command = _launch(request, entry, argv, streams, watch_fd=watch.launcher_fd if watch else -1)
        return finish(launch, streams, entry, command, watch=watch)


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


class Companion(Protocol):
    """Somebody who has to do with a box while it runs."""

    def enter(self, turns: Turns, launch: Launch) -> None:
        """Take turns with the streams."""

    def correct(self, record: dict[str, int]) -> dict[str, int]:
        """The record, with what only this one knows."""


def finish(launch: Launch, streams: Streams, entry: Entry, command: Command, *, watch: Companion | None = None) -> Result:
    """Feed and drain the streams, wait, and build the result. An interrupt of the caller kills the box before it goes on."""
    streams.close_theirs()
    try:
        turns = Turns()
        streams.enter(turns, launch.cancel)
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
    if streams.excess:
        result = _cut_short(result, streams)
    return replace(result, stdout=outputs[0], stderr=outputs[1])


def _cut_short(result: Result, streams: Streams) -> Result:
    """The result of a box that was killed for its output. What is not whole must not look whole, so that is the reason also where
    the command ended in the moment before; how it did stands in the detail."""
    detail = f"it wrote more than {streams.max_output_bytes} bytes to {streams.excess}"
    if result.reason is not Reason.CANCELLED:
        detail += f", and ended ahead of the kill: {result.reason.value}"
        detail += f" {result.exit_code}" if result.exit_code is not None else ""
    return replace(result, reason=Reason.OUTPUT_LIMIT, exit_code=None, detail=detail)
