"""Sets of values of one argument, as alternatives of equality under a mask and back: what OCI can say, and what people write.

A block is a mask and a value: all values that are equal to it under the mask. This module knows no calls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from sandboxer.controls.seccomp import bits
from sandboxer.controls.seccomp.bits import Ranges

Block = tuple[int, int]
View = tuple[int, Ranges]
"""A mask, and the values under it."""

MAX_BLOCKS = 4096
MAX_JOINED = 1024
"""Blocks of which a conjunction is looked for: somebody's list of values has fewer."""


class TooManyBlocks(ValueError):
    """A set of values falls into more blocks than anybody could use."""


def _bits_of(mask: int) -> Iterator[int]:
    """The bits of a mask, the highest first."""
    while mask:
        top = 1 << (mask.bit_length() - 1)
        yield top
        mask &= ~top


def blocks_inside(views: Sequence[View]) -> list[Block]:
    """Disjoint blocks of the values that are in all views. Raises: TooManyBlocks.

    The bits of the smaller masks are looked at first, so that what is known under one mask is not repeated for every other.
    """
    order: list[int] = []
    for mask, _ in sorted(views, key=lambda view: (view[0].bit_count(), -view[0])):
        order += (bit for bit in _bits_of(mask) if bit not in order)
    found: list[Block] = []
    open_blocks: list[tuple[int, int, int]] = [(0, 0, 0)]
    while open_blocks:
        at, seen, value = open_blocks.pop()
        passed = [_passes(view, seen, value) for view in views]
        if False in passed:
            continue
        if None not in passed:
            found.append((seen, value))
            if len(found) > MAX_BLOCKS:
                raise TooManyBlocks
            continue
        bit = order[at]
        open_blocks += ((at + 1, seen | bit, value | bit), (at + 1, seen | bit, value))
    return found


def _passes(view: View, seen: int, value: int) -> bool | None:
    """Whether the values of a block are in a view; None if some are and some are not."""
    mask, ranges = view
    least = value & mask
    most = least | mask & ~seen
    if any(low <= least and most <= high for low, high in ranges):
        return True
    if not any(low <= most and least <= high for low, high in ranges):
        return False
    if _is_upper_part(mask & seen, mask):
        return None  # the block is all values between the two ends

    def some(wanted: Ranges) -> bool:
        return bool(wanted) and bits.find_value({seen: ((value, value),), mask: wanted}) is not None

    return None if some(ranges) and some(bits.complement(ranges, mask)) else some(ranges)


def blocks_outside(blocks: Iterable[Block]) -> list[Block]:
    """Disjoint blocks of the values that are in none of these. Raises: TooManyBlocks."""
    listed = list(blocks)
    counts = Counter(bit for mask, _ in listed for bit in _bits_of(mask))
    order = sorted(counts, key=lambda bit: (-counts[bit], -bit))
    found: list[Block] = []
    steps = 0
    open_blocks: list[tuple[int, int, int, list[Block]]] = [(0, 0, 0, listed)]
    while open_blocks:
        at, seen, value, left = open_blocks.pop()
        steps += 1
        if steps > 8 * MAX_BLOCKS:
            raise TooManyBlocks
        if not left:
            found.append((seen, value))
        elif all(mask & ~seen for mask, _ in left):
            while not any(mask & order[at] for mask, _ in left):
                at += 1
            bit = order[at]
            for chosen in (bit, 0):
                following = [block for block in left if not block[0] & bit or block[1] & bit == chosen]
                open_blocks.append((at + 1, seen | bit, value | chosen, following))
    return found


def joined(views: Iterable[View]) -> list[View]:
    """The same alternatives in fewer views: those under one mask, and under masks that are the upper part of one, are one."""
    left: dict[int, list[tuple[int, int]]] = {}
    for mask, ranges in views:
        left.setdefault(mask, []).extend(ranges)
    found: dict[int, list[tuple[int, int]]] = {}
    for mask in sorted(left, key=lambda mask: (-mask.bit_count(), mask)):
        widest = next((other for other in found if _is_upper_part(mask, other)), mask)
        found.setdefault(widest, []).extend((low, high | widest & ~mask) for low, high in left[mask])
    return [(mask, bits.normal(ranges, mask)) for mask, ranges in found.items()]


def _is_upper_part(mask: int, widest: int) -> bool:
    """Every bit of `widest` that is not in the mask is below all that are."""
    return mask & ~widest == 0 and (not mask or widest & ~mask < mask & -mask)


def as_conjunction(views: Sequence[View], width: int) -> list[View] | None:
    """Views that all hold where one of these does; None where that is too much. width: all bits of the argument."""
    try:
        blocks = [block for view in views for block in blocks_inside([view])]
        outside = blocks_outside(blocks) if len(blocks) <= MAX_JOINED else []
    except TooManyBlocks:
        return None
    found = joined((mask, ((value, value),)) for mask, value in outside)
    if not found or any(not mask or mask & ~width for mask, _ in found):
        return None
    return [(mask, bits.complement(ranges, mask)) for mask, ranges in found]
