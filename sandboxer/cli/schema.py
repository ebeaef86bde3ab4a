"""`sandboxer schema`: what profiles can say, as a JSON Schema for editors; a section's rows for people."""

from __future__ import annotations

import sys

from sandboxer.cli.options import Given, UsageError, did_you_mean, visible, wrap
from sandboxer.cli.policies import print_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxer.controls.room import Room

NAME = "schema"
SUMMARY = "Print what profiles can say: the JSON Schema for editors, or the rows of sections"
USAGE = "[SECTION...]"
OPTIONS = ()
NOTES = """
For an editor with the YAML language server, in the first line of a profile:
  # yaml-language-server: $schema=PATH

`sandboxer schema limits` prints every limit: what can be said, what holds if nobody says it, and who keeps it.
"""
WIDTH = 100


def run(given: Given) -> int:
    """Print it; it is made from the same rows that read profiles."""
    from sandboxer.compile.schema import json_schema
    from sandboxer.controls import ROOMS

    if given.command:
        raise UsageError("schema runs no command", "sandboxer schema > sandboxer.json")
    if not given.words:
        print_json(json_schema(ROOMS))
        return 0
    rooms = {room.NAME: room for room in ROOMS}
    for name in given.words:
        if name not in rooms:
            attempt = did_you_mean(name, rooms) or f"one of {', '.join(rooms)}"
            raise UsageError(f"there is no section {visible(name)}", attempt)
    pages = ["\n".join(show_room(rooms[name])) for name in given.words]
    sys.stdout.write("\n\n".join(pages) + "\n")
    return 0


def show_room(room: Room) -> Iterator[str]:
    """The rows of a section: for each its name, what can be said and what holds otherwise; what it means; who keeps it."""
    from sandboxer.compile.schema import MERGE_WORDS, show_values

    yield f"{room.NAME}: {room.TITLE}"
    for row in room.FIELDS:
        default = f"; if nobody says: {row.default}" if row.default else ""
        yield f"  {row.name}: {show_values(row)}{default} ({MERGE_WORDS[row.merge]})".replace("`", "")
        for text in (row.help, f"Kept by {row.kept}." if row.kept else ""):
            yield from (f"      {line}" for line in wrap(text, WIDTH - 6) if line)
