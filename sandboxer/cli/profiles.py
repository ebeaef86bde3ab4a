"""`sandboxer profiles`: every profile that a name can find, with one line each."""

from __future__ import annotations

import sys

from sandboxer.cli.options import Given, UsageError, visible
from sandboxer.cli.policies import JSON, print_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandboxer.compile.schema import Vocabulary

NAME = "profiles"
SUMMARY = "List the profiles that there are, with one line each"
USAGE = "[--json]"
OPTIONS = (JSON,)
NOTES = """
They are looked for in `.sandboxer/profiles` of this directory and those above it, in ~/.config/sandboxer/profiles, in
/etc/sandboxer/profiles, and among those that come with sandboxer. A nearer one hides a farther one of the same name.
"""


def run(given: Given) -> int:
    """List them; one that cannot be read is listed with what is wrong."""
    if given.words or given.command:
        raise UsageError("profiles takes no words", "sandboxer show NAME prints one")
    from sandboxer.compile.schema import vocabulary
    from sandboxer.compile.search import caller_of_process, list_profiles
    from sandboxer.controls import ROOMS

    words = vocabulary(ROOMS)
    found = []
    for listed in list_profiles(caller_of_process()):
        text, is_broken = describe(listed.path, listed.shown, words)
        found.append({
            "name": listed.name, "description": text, "path": listed.path, "origin": listed.origin.value,
            "is_shadowed": listed.shadowed, "is_broken": is_broken,
        })  # fmt: skip
    if given.has(JSON.flag):
        print_json(found)
        return 0
    width = max((len(str(item["name"])) for item in found), default=0)
    for item in found:
        notes = [f"from {item['path']}"] if item["origin"] != "shipped" else []
        notes += ["hidden by a nearer one"] if item["is_shadowed"] else []
        end = f"  ({', '.join(notes)})" if notes else ""
        sys.stdout.write(visible(f"{item['name']!s:<{width}}  {item['description']}{end}") + "\n")
    return 0


def describe(path: str, shown: str, words: Vocabulary) -> tuple[str, bool]:
    """The description of a file, or what is wrong with it; and whether something is."""
    from sandboxer.compile.load import load
    from sandboxer.errors import SandboxerError
    from sandboxer.model.node import MAX_FILE_BYTES

    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        return load(data, file=shown, words=words).description, False
    except OSError as error:
        return f"cannot be read: {error.strerror}", True
    except SandboxerError as error:
        return f"is wrong: {error.problems[0].what}", True
