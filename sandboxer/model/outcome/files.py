"""Files that were read back out of a box: each of them whole, and a word for every one that is not here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that was asked for and is not here. name: escaped, for people."""

    name: str
    why: str


class Collected(Mapping[str, bytes]):
    """Relative name -> content. Names are printable and lead nowhere else: no `..`, no `/` at the beginning.

    left_out: what was asked for and is not here, and why. truncated: a sentence where not even that is all there was to say;
    empty: what is neither here nor there was not asked for.
    """

    __slots__ = ("_content", "left_out", "truncated")

    def __init__(self, content: Mapping[str, bytes], left_out: tuple[LeftOut, ...] = (), truncated: str = "") -> None:
        self._content = dict(content)
        self.left_out = left_out
        self.truncated = truncated

    @property
    def is_whole(self) -> bool:
        """Whether everything that was asked for is here."""
        return not self.left_out and not self.truncated

    def __getitem__(self, name: str) -> bytes:
        return self._content[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)

    def __repr__(self) -> str:
        names = ", ".join(f"{name!r}: {len(data)} bytes" for name, data in list(self._content.items())[:8])
        more = f", and {len(self) - 8} more" if len(self) > 8 else ""
        return f"Collected({{{names}{more}}}, left_out={len(self.left_out)}, truncated={self.truncated!r})"
