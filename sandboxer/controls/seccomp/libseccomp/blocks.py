"""Ranges as comparisons for equality under a mask: each range falls into blocks whose values begin with the same bits."""

from __future__ import annotations

from dataclasses import dataclass

from sandboxer.controls.seccomp import bits
from sandboxer.controls.seccomp.rules import Test


@dataclass(frozen=True, slots=True)
class Comparison:
    """(argument number `index` & mask) == value."""

    index: int
    mask: int
    value: int


def comparisons(test: Test) -> tuple[Comparison, ...]:
    """The comparisons of which exactly one holds where the test passes, and none elsewhere."""
    index, mask, ranges = test
    found: list[Comparison] = []

    def cut(seen: int, prefix: int) -> None:
        """The values that begin with `prefix` in the bits of `seen`, which are the highest of the mask."""
        rest = mask & ~seen
        inside = bits.intersection(ranges, bits.normal(((prefix, prefix | rest),), mask))
        if not inside:
            return
        if inside == ((prefix, prefix | rest),):
            found.append(Comparison(index, seen, prefix))
            return
        top = 1 << (rest.bit_length() - 1)
        cut(seen | top, prefix)
        cut(seen | top, prefix | top)

    cut(0, 0)
    return tuple(found)
