"""The warm start: a request finds its compiled plan without reading a profile. Nothing heavy may be imported here."""

from __future__ import annotations

import os
import sys

from sandboxer import __version__
from sandboxer.compile.cache import Entry, PlanCache, cache_path, entry_key
from sandboxer.compile.seal import HOLE, fill_holes, seal
from sandboxer.kernel.stamp import host_key, stamp
from sandboxer.launcher.spawn import Launch, launcher_path, spawn
from sandboxer.run.request import Command, Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

FORMAT = "3"
SEARCHED = (b"XDG_CONFIG_HOME", b"TMPDIR", b"USER", b"LOGNAME", b"XDG_RUNTIME_DIR")
"""Variables that decide where profiles and the user's systemd are looked for, or that a profile can name."""


def request_key(request: Request, environment: dict[bytes, bytes], *, stays: bool = False) -> str:
    """The name of the plan that this request has, here and now. stays: this process is not ours to move into another group."""
    places = [os.fsdecode(environment.get(name, b"")) for name in SEARCHED]
    own = (FORMAT, __version__, stamp(launcher_path()), sys.prefix, host_key(), "stays" if stays else "")
    return entry_key((*own, *places, *request.key_parts()))


def open_cache(environment: dict[bytes, bytes], *, is_wanted: bool = True) -> PlanCache:
    """The caller's cache; one that holds nothing if it is not wanted."""
    return PlanCache(cache_path(environment) if is_wanted else "")


def find_entry(
    request: Request, environment: dict[bytes, bytes], cache: PlanCache, *, stays: bool = False
) -> tuple[str, Entry | None]:
    """The key of the request, and its plan if that is there and still holds. An entry without a plan is a note of `prepare`."""
    key = request_key(request, environment, stays=stays) if cache.path else ""
    return key, cache.find(key, stamp) if key else None


def launch_entry(
    entry: Entry,
    command: Command,
    *,
    stdio: tuple[int, int, int] = (0, 1, 2),
    forwards: Iterable[int] = (),
    watch_fd: int = -1,
    passed: Iterable[int] = (),
) -> Launch:
    """Start a command under a compiled plan. watch_fd: where the listener goes, if its filter is watched.

    passed: descriptors that are open in the box until the command is executed; it does not get them.
    Raises: OSError, SealError; HostError for a descriptor that SELinux would take away from the command.
    """
    words = [word.encode("utf-8", "surrogateescape") for word in command.argv]
    sealed = seal(entry.plan, command.candidates, words, command.environment)
    if not entry.holes:
        if entry.context:
            check_handed(entry, entry.context, stdio)
        return spawn(sealed, stdio=stdio, kept=(*entry.kept, *passed), forwards=forwards, watch_fd=watch_fd)
    from sandboxer.kernel.lsm.pair import take_pair

    pair, held = take_pair()
    try:
        sealed = fill_holes(sealed, entry.holes, pair)
        check_handed(entry, entry.context.replace(HOLE, pair), stdio)
        launch = spawn(sealed, stdio=stdio, kept=(*entry.kept, *passed, held), forwards=forwards, watch_fd=watch_fd)
        launch.pair = pair
        return launch
    finally:
        os.close(held)  # the box has it, until its last process of ours is gone


def check_handed(entry: Entry, context: bytes, stdio: tuple[int, int, int]) -> None:
    """Whether the command keeps what it is handed. Raises: HostError."""
    from sandboxer.kernel.lsm.handed import find_lost

    given = [(number, stdio[number]) for number in entry.handed]
    lost = find_lost(os.fsdecode(context), (*given, *((number, number) for number in entry.kept if number > 2)))
    if lost is not None:
        from sandboxer.run.labels.lost import lost_error

        raise lost_error(lost, os.fsdecode(context))
