"""What a translation did not keep word for word, as values: every importer and exporter returns them beside its text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from sandboxer.model.place import Place


class Kind(Enum):
    """How what was written differs from what was read."""

    STRICTER = "stricter"
    """Something is refused that was allowed."""
    DIFFERS = "differs"
    """What is refused answers in another way, or what was left open is decided."""
    NOTE = "note"
    """Nothing differs for the kernel; a reader should know."""


@dataclass(frozen=True, slots=True)
class Note:
    """One thing to know, why it is so, and where it comes from."""

    kind: Kind
    what: str
    why: str = ""
    place: Place | None = None

    def show(self) -> Iterator[str]:
        """The note in lines."""
        where = f" ({self.place.show()})" if self.place is not None else ""
        yield f"{self.kind.value}: {self.what}{where}"
        if self.why:
            yield f"  why: {self.why}"

    def data(self) -> dict[str, object]:
        """The note as plain data."""
        place = self.place
        where = {"file": place.file, "line": place.line, "column": place.column} if place is not None else None
        return {"kind": self.kind.value, "what": self.what, "why": self.why, "where": where}


@dataclass(frozen=True, slots=True)
class Translation:
    """A text in another language, with its closing newline, and what it did not keep word for word."""

    text: str
    notes: tuple[Note, ...] = ()
