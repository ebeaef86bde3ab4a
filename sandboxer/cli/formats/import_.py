"""`sandboxer import`: a policy file out of the language of another program."""

from __future__ import annotations

import re
import sys
from pathlib import PurePath

from sandboxer.cli.formats import write_translation
from sandboxer.cli.options import Given, Option, UsageError, did_you_mean, visible
from sandboxer.cli.policies import JSON
from sandboxer.export import IMPORTERS, load_importer

NAME = "import"
SUMMARY = "Make a policy file out of the file of another program"
USAGE = "[options] FORMAT FILE"
OPTIONS = (
    Option("--output", "FILE", short="-o", help="where the policy goes; without it, to standard output"),
    Option("--name", "NAME", help="what the policy is called; without it, as the output, or the file, is called"),
    JSON,
)
NOTES = f"""
formats:
{chr(10).join(f"  {name:<14}{load_importer(name).SUMMARY}" for name in IMPORTERS)}

FILE may be `-` for standard input. A policy is found by its name when it lies in `.sandboxer/policies/NAME.yaml`, and profiles
take it up with `policies: [NAME]`. What was left out or decided is told on standard error and stands in the policy; what cannot
be said is refused, and nothing is written.
"""
MAX_BYTES = 1024 * 1024
_ILLEGAL = re.compile(r"[^a-z0-9._-]+", re.ASCII)


def run(given: Given) -> int:
    """Read, translate, write, tell."""
    if len(given.words) != 2 or given.command:
        raise UsageError("a format and a file are needed", f"sandboxer import FORMAT FILE; formats: {', '.join(IMPORTERS)}")
    name, path = given.words
    if name not in IMPORTERS:
        near = did_you_mean(name, IMPORTERS) or f"one of {', '.join(IMPORTERS)}"
        raise UsageError(f"there is no format {visible(name)} to import", near)
    shown = "standard input" if path == "-" else path
    data = _read(path, shown)
    done = load_importer(name).read(data, shown, given.one("--name") or name_for(given.one("--output") or path))
    write_translation(given, done.text, done.notes, what="the policy")
    return 0


def _read(path: str, shown: str) -> bytes:
    """The file, and a byte more than may be read, so that a longer one is refused."""
    from sandboxer.errors import HostError, Problem

    try:
        if path == "-":
            return sys.stdin.buffer.read(MAX_BYTES + 1)
        with open(path, "rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise HostError(Problem(f"cannot read {shown}: {error.strerror}")) from error


def name_for(path: str) -> str:
    """The name that a policy has when it lies there: its path below `policies/`, or its last part."""
    parts = PurePath(path).with_suffix("").parts if path not in ("-", "") else ()
    below = parts[len(parts) - parts[::-1].index("policies") :] if "policies" in parts else parts[-1:]
    words = [_ILLEGAL.sub("-", part.lower()).strip("-._") for part in below]
    return "/".join(word for word in words if word) or "imported"
