"""What the verbs that look at a profile share: their rows, and the policy and the host that they look at."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable

from sandboxer.cli.options import Given, Option, UsageError, visible
from sandboxer.errors import HostError, Problem
from sandboxer.run.request import Request

PROFILE_OPTIONS = (
    Option("--read", "PATH", repeatable=True, help="as in `sandboxer exec`"),
    Option("--write", "PATH", repeatable=True, help="as in `sandboxer exec`"),
    Option("--env", "NAME[=VALUE]", short="-e", repeatable=True, help="as in `sandboxer exec`"),
    Option("--timeout", "TIME", help="as in `sandboxer exec`"),
    Option("--memory", "SIZE", help="as in `sandboxer exec`"),
    Option("--network", "MODE", help="as in `sandboxer exec`"),
    Option("--set", "KEY=VALUE", repeatable=True, help="as in `sandboxer exec`"),
)
JSON = Option("--json", help="print JSON")


def read_profile_request(given: Given, verb: str) -> Request:
    """The profile that is named, with its options. Raises: UsageError unless exactly one is named."""
    if len(given.words) != 1 or given.command:
        found = f"{len(given.words)} profiles are named" if given.words else "no profile is named"
        raise UsageError(found, f"sandboxer {verb} NAME")
    flags = {row.flag for row in PROFILE_OPTIONS}
    return Request(given.words[0], options=[pair for pair in given.options if pair[0] in flags], is_terminal=given.has("--tty"))


def print_lines(lines: Iterable[str]) -> None:
    """Print text that came from files: whatever a terminal would obey is shown as an escape."""
    sys.stdout.writelines(visible(line) + "\n" for line in lines)


def print_json(data: object) -> None:
    """Print plain data."""
    import json

    print(json.dumps(data, indent=2))


def write_whole(path: str, data: bytes, *, what: str, mode: int = 0o644) -> None:
    """Write a file in one piece: whoever reads it sees the old one or the new one, and nothing stays behind of a failure.

    what: how messages call it. Raises: HostError; also where the path is no file, such as a device, which would be replaced.
    """
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        if not stat.S_ISREG(_mode_of(path)):
            why = "a file is written beside it and takes its place"
            raise HostError(Problem(f"cannot write {what} to {path}: it is no file", why=why, attempt="standard output"))
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
            os.replace(temporary, path)
        except OSError:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise HostError(Problem(f"cannot write {what} to {path}: {error.strerror}")) from error


def _mode_of(path: str) -> int:
    """What stands there, links followed; a file where there is nothing yet."""
    try:
        return os.stat(path).st_mode
    except FileNotFoundError:
        return stat.S_IFREG
