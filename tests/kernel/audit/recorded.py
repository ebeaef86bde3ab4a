"""Records that kernels have written, kept as they came."""

from __future__ import annotations

from pathlib import Path

from sandboxer.kernel.audit.records import Record, parse_record

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("linux-*.txt"))


def lines_of(path: Path) -> list[tuple[int, bytes]]:
    """(kind, text) of each message."""
    words = (line.split(b" ", 1) for line in path.read_bytes().splitlines() if not line.startswith(b"#"))
    return [(int(kind), text) for kind, text in words]


def records_of(path: Path) -> list[Record]:
    """What of them is known."""
    parsed = (parse_record(kind, text) for kind, text in lines_of(path))
    return [record for record in parsed if record]
