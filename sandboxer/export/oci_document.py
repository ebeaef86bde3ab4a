"""An OCI seccomp object as values, and what it means, in two readings.

**By the letter**, a comparison looks at all 64 bits of an argument. **By the kernel**, it looks at the bits that the kernel looks
at: `oci_import` reads so, because the rest of a register is whatever the program left there.

Both agree on the rest: the comparisons of one entry must all hold, entries about one call are alternatives, and of the answers
of those that match the strictest counts. The specification leaves the last point open, and runtimes differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from sandboxer.controls.seccomp import bits
from sandboxer.controls.seccomp.bits import FULL, Ranges
from sandboxer.controls.seccomp.rules import ALWAYS, Argument, Situation, Test, When, rank
from sandboxer.export.alternatives import View, blocks_inside
from sandboxer.model.place import Place

NOWHERE = Place("")
EVERY = ((0, FULL),)


class Unreadable(ValueError):
    """A comparison that means nothing on the bits that the kernel looks at. The text says why."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One item of `args`. value_two counts for MASKED_EQ only: (argument & value) == value_two."""

    index: int
    operator: str
    value: int
    value_two: int = 0
    place: Place = NOWHERE

    @property
    def is_masked(self) -> bool:
        """The comparison is for equality under a mask."""
        return self.operator == "SCMP_CMP_MASKED_EQ"

    def by_letter(self) -> Test:
        """The comparison as a test of all 64 bits. A mask of 0 looks at nothing, so the test may hold for every value."""
        if not self.is_masked:
            return self.index, FULL, bits.normal(_ranges(self.operator, self.value, FULL), FULL)
        if not self.value:
            return self.index, FULL, () if self.value_two else EVERY
        matches = not self.value_two & ~self.value
        return self.index, self.value, ((self.value_two, self.value_two),) if matches else ()

    def by_kernel(self, argument: Argument) -> tuple[int, Ranges]:
        """(mask, ranges) on the bits of an argument that the kernel looks at, as if all others were zero.

        Equality with a negative number of 64 bits is one with the same number in fewer bits: programs may extend the sign.
        Raises: Unreadable for an order that begins or ends at such a number.
        """
        seen = argument.mask
        mask, value = (self.value, self.value_two) if self.is_masked else (FULL, self.value)
        beyond = value & ~seen
        if beyond and argument.bits >= 32 and _is_negative(mask, value, argument.bits):  # modes have no sign
            if self.operator not in ("SCMP_CMP_EQ", "SCMP_CMP_NE", "SCMP_CMP_MASKED_EQ"):
                raise Unreadable(f"{value:#x} is a negative number, and numbers are compared without sign")
            value, beyond = value & seen, 0
        if self.is_masked:
            if beyond:
                return seen, ()
            return (mask & seen, ((value, value),)) if mask & seen else (seen, ((0, seen),))
        if beyond:  # every value that the argument can have is less
            return seen, ((0, seen),) if self.operator in ("SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE") else ()
        return seen, bits.normal(_ranges(self.operator, value, seen), seen)


def _ranges(operator: str, value: int, last: int) -> Sequence[tuple[int, int]]:
    found = {
        "SCMP_CMP_NE": ((0, value - 1), (value + 1, last)),
        "SCMP_CMP_LT": ((0, value - 1),),
        "SCMP_CMP_LE": ((0, value),),
        "SCMP_CMP_EQ": ((value, value),),
        "SCMP_CMP_GE": ((value, last),),
        "SCMP_CMP_GT": ((value + 1, last),),
    }[operator]
    return [(low, high) for low, high in found if low <= high]


def _is_negative(mask: int, value: int, width: int) -> bool:
    """The value, as far as the mask looks, has the bits above the width all set, as its own highest bit is."""
    sign = 1 << (width - 1)
    high = FULL & ~((1 << width) - 1)
    return bool(mask & value & sign) and value & high == mask & high


@dataclass(frozen=True, slots=True)
class Named:
    """A call as an entry names it."""

    call: str
    place: Place


@dataclass(frozen=True, slots=True)
class Entry:
    """One item of `syscalls`. answer: SECCOMP_RET_* with its data. when: None where it can count on none of our machines."""

    calls: tuple[Named, ...]
    answer: int
    comparisons: tuple[Comparison, ...] = ()
    when: When | None = ALWAYS
    comment: str = ""
    place: Place = NOWHERE


@dataclass(frozen=True, slots=True)
class Document:
    """The whole object. architectures, flags: as it names them. listener: where one is named."""

    default: int
    entries: tuple[Entry, ...]
    architectures: tuple[Named, ...] = ()
    flags: tuple[Named, ...] = ()
    listener: Place | None = None
    place: Place = NOWHERE

    def about(self, call: str) -> Iterator[Entry]:
        """The entries about a call that can count on our machines."""
        return (entry for entry in self.entries if entry.when is not None and any(item.call == call for item in entry.calls))


Bits = dict[int, tuple[int, int]]
"""What is known of arguments, by index: (mask, value)."""


def answers_by_letter(document: Document, call: str, here: Situation) -> Iterator[tuple[Bits, int]]:
    """All uses of a call, taken apart into disjoint parts of one answer each, as the document says to its letter.

    They are decided bit by bit; a part is what is known of the bits of the arguments. Raises: TooManyBlocks.
    """
    matching = [entry for entry in document.about(call) if entry.when is not None and entry.when.holds(here)]
    ordered = sorted(matching, key=lambda entry: rank(entry.answer))
    rows = [(wanted, entry.answer) for entry in ordered for wanted in _wanted_bits(entry.comparisons)]
    open_parts: list[tuple[Bits, list[tuple[Bits, int]]]] = [({}, rows)]
    while open_parts:
        known, left = open_parts.pop()
        if not left or not left[0][0]:
            yield known, left[0][1] if left else document.default
            continue
        index, (mask, _) = next(iter(left[0][0].items()))
        bit = 1 << (mask.bit_length() - 1)
        seen, value = known.get(index, (0, 0))
        for chosen in (0, bit):
            following = [(rest, answer) for row, answer in left if (rest := _after(row, index, bit, chosen)) is not None]
            open_parts.append(({**known, index: (seen | bit, value | chosen)}, following))


def _wanted_bits(comparisons: Sequence[Comparison]) -> Iterator[Bits]:
    """The bits that comparisons want, as alternatives of which one holds where all comparisons do."""
    views: dict[int, list[View]] = {}
    for index, mask, ranges in (item.by_letter() for item in comparisons):
        views.setdefault(index, []).append((mask, ranges))
    choices = [[(index, block) for block in blocks_inside(found)] for index, found in views.items()]
    for chosen in product(*choices):
        yield {index: block for index, block in chosen if block[0]}


def _after(row: Bits, index: int, bit: int, chosen: int) -> Bits | None:
    """What a row still wants where a bit has a value; None if it wants another one."""
    mask, value = row.get(index, (0, 0))
    if not mask & bit:
        return row
    if (value & bit) != chosen:
        return None
    rest = {other: wanted for other, wanted in row.items() if other != index}
    return {index: (mask & ~bit, value & ~bit), **rest} if mask != bit else rest
