"""The verbs that speak the languages of other programs, and how they put out what they made."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from sandboxer.cli.options import Given, visible
from sandboxer.cli.policies import JSON, print_json, write_whole
from sandboxer.export.notes import Note


def write_translation(given: Given, text: str, notes: Iterable[Note], *, what: str) -> None:
    """Write a text to `--output` or to standard output, and its notes to standard error; with `--json` both as JSON."""
    path = given.one("--output")
    if path:
        write_whole(path, os.fsencode(text), what=what)
    if given.has(JSON.flag):
        print_json({"output": path or None, "text": None if path else text, "notes": [note.data() for note in notes]})
        return
    if not path:
        sys.stdout.flush()
        sys.stdout.buffer.write(os.fsencode(text))  # paths need not be UTF-8
    for note in notes:
        sys.stderr.writelines(visible(f"sandboxer: {line}" if line[:1] != " " else line) + "\n" for line in note.show())
