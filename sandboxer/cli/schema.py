"""`sandboxer schema`: the JSON Schema of profiles and policies, for editors."""

from __future__ import annotations

from sandboxer.cli.options import Given, UsageError
from sandboxer.cli.policies import print_json

NAME = "schema"
SUMMARY = "Print the JSON Schema of profiles, for editors"
USAGE = ""
OPTIONS = ()
NOTES = """
For an editor with the YAML language server, in the first line of a profile:
  # yaml-language-server: $schema=PATH
"""


def run(given: Given) -> int:
    """Print it; it is made from the same rows that read profiles."""
    if given.words or given.command:
        raise UsageError("schema takes no words", "sandboxer schema > sandboxer.json")
    from sandboxer.compile.schema import json_schema
    from sandboxer.controls import ROOMS

    print_json(json_schema(ROOMS))
    return 0
