"""`sandboxer top`: the boxes that live on this machine, and what they use, again and again until Ctrl-C."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict

from sandboxer.cli.options import Given, Option, UsageError, visible
from sandboxer.kernel.boxes.living import Box, find_boxes
from sandboxer.units import UnitError, parse_duration_ms

NAME = "top"
SUMMARY = "Show the boxes that live, and what they use"
USAGE = "[--once] [--json] [--interval TIME]"
OPTIONS = (
    Option("--once", help="look once, and end"),
    Option("--json", help="print each look as JSON, on one line"),
    Option("--interval", "TIME", help="how long to wait between two looks (default: 2s)"),
)
NOTES = """
A box is shown to whoever may see its processes: yours, and to root everybody's. CPU is the share of one processor since the
last look, at the first look since the box began. Memory is that of its control group, with its files in memory; in brackets,
where it has none, what its processes hold. Ctrl-C ends it.

exit status:
  0    it was ended, or looked once
"""
HEADER = ("PID", "UID", "AGE", "CPU", "MEMORY", "PROCESSES", "COMMAND")
CLEAR = "\x1b[H\x1b[J"


def run(given: Given) -> int:
    """Look, print, wait; until the end."""
    if given.words or given.command:
        raise UsageError("top takes no words", "sandboxer top --once prints one look")
    interval_s = read_interval(given.one("--interval", "2s"))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the other verbs die of it
    is_screen = sys.stdout.isatty() and not given.has("--json") and not given.has("--once")
    before: dict[int, tuple[float, float]] = {}
    try:
        while True:
            boxes, now = find_boxes(), time.monotonic()
            shares = {box.monitor: share(box, before.get(box.monitor), now) for box in boxes}
            before = {box.monitor: (box.cpu_s, now) for box in boxes}
            if given.has("--json"):
                print(json.dumps([{**asdict(box), "cpu": round(shares[box.monitor], 3)} for box in boxes]), flush=True)
            else:
                print((CLEAR if is_screen else "") + "\n".join(show(boxes, shares)), flush=True)
            if given.has("--once"):
                return 0
            time.sleep(interval_s)
    except KeyboardInterrupt:
        return 0


def read_interval(text: str) -> float:
    """Seconds. Raises: UsageError."""
    try:
        interval_ms = parse_duration_ms(text)
    except UnitError as error:
        raise UsageError(f"--interval {text}: {error.why}", error.attempt) from error
    if interval_ms < 100:
        raise UsageError(f"--interval {text} is too short", "100ms or more")
    return interval_ms / 1000


def share(box: Box, before: tuple[float, float] | None, now: float) -> float:
    """How many processors it kept busy since the last look, or since it began."""
    cpu_s, span_s = (box.cpu_s, box.age_s) if before is None else (box.cpu_s - before[0], now - before[1])
    return max(0.0, cpu_s / span_s) if span_s > 0 else 0.0


def show(boxes: tuple[Box, ...], shares: Mapping[int, float]) -> Iterator[str]:
    """A table, cut to the width of the screen."""
    rows = [HEADER, *(_row(box, shares[box.monitor]) for box in boxes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER) - 1)]
    room = shutil.get_terminal_size((200, 24)).columns
    for row in rows:
        cells = [text.rjust(width) for text, width in zip(row[:-1], widths, strict=True)]
        yield "  ".join([*cells, row[-1]])[:room]
    if not boxes:
        yield "no box lives that you may see"


def _row(box: Box, busy: float) -> tuple[str, ...]:
    age = time.strftime("%H:%M:%S", time.gmtime(box.age_s)) if box.age_s < 86_400 else f"{box.age_s / 86_400:.1f}d"
    memory = f"({box.rss_bytes >> 20} MiB)" if box.memory_bytes is None else f"{box.memory_bytes >> 20} MiB"
    command = visible(" ".join(box.command)) or "(starting)"
    return str(box.monitor), str(box.uid), age, f"{busy:.0%}", memory, str(box.processes), command
