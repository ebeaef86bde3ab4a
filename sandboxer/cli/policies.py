"""What the verbs that look at a profile share: their rows, and the policy and the host that they look at."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from sandboxer.cli.options import Given, Option, UsageError, visible
from sandboxer.run.request import Request

PROFILE_OPTIONS = (
    Option("--read", "PATH", repeatable=True, help="as in `sandboxer exec`"),
    Option("--write", "PATH", repeatable=True, help="as in `sandboxer exec`"),
    Option("--env", "NAME[=VALUE]", short="-e", repeatable=True, help="as in `sandboxer exec`"),
    Option("--timeout", "TIME", help="as in `sandboxer exec`"),
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
