"""Where rules count, as sets: what two conditions have in common, what one has that another has not, and cells of both.

A `When` is a set of situations: architectures, kernels, capabilities that are held or not. This module knows nothing of calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from sandboxer.controls.seccomp.rules import ALWAYS, ARCHITECTURES, Situation, When

NO_BOUND = (0, 0)
MAX_CELLS = 128


class TooManyCells(ValueError):
    """Conditions overlap in more ways than anybody would have written."""


def on(arches: Iterable[str], when: When = ALWAYS) -> When | None:
    """The part of a condition on some of our architectures; None if there is none."""
    kept = tuple(arch for arch in ARCHITECTURES if arch in set(arches) and arch in (when.arches or ARCHITECTURES))
    if not kept:
        return None
    return replace(when, arches=() if len(kept) == len(ARCHITECTURES) else tuple(sorted(kept)))


def both(one: When, other: When) -> When | None:
    """The situations in both; None if there are none."""
    narrowed = on(other.arches or ARCHITECTURES, one)
    since = max(one.kernel[0], other.kernel[0])
    below = min((bound for bound in (one.kernel[1], other.kernel[1]) if bound != NO_BOUND), default=NO_BOUND)
    held, unheld = one.held | other.held, one.unheld | other.unheld
    if narrowed is None or held & unheld or (below != NO_BOUND and since >= below):
        return None
    return When(narrowed.arches, (since, below), held, unheld)


def without(one: When, other: When) -> Iterator[When]:
    """The situations of `one` that are not in `other`, as disjoint conditions."""
    if both(one, other) is None:
        yield one
        return
    outside = on(set(ARCHITECTURES) - set(other.arches or ARCHITECTURES), one)
    if outside is not None:
        yield outside
    rest = both(one, When(other.arches))
    (since, below) = other.kernel
    if rest is not None and since != NO_BOUND and (older := both(rest, When(kernel=(NO_BOUND, since)))):
        yield older
    if rest is not None and below != NO_BOUND and (newer := both(rest, When(kernel=(below, NO_BOUND)))):
        yield newer
    rest = both(rest, When(kernel=other.kernel)) if rest is not None else None
    for bit in _bits(other.held):
        if rest is not None and (lacking := both(rest, When(unheld=bit))):
            yield lacking
        rest = both(rest, When(held=bit)) if rest is not None else None
    for bit in _bits(other.unheld):
        if rest is not None and (holding := both(rest, When(held=bit))):
            yield holding
        rest = both(rest, When(unheld=bit)) if rest is not None else None


def _bits(mask: int) -> Iterator[int]:
    while mask:
        yield mask & -mask
        mask &= mask - 1


def cells(conditions: Sequence[When]) -> tuple[tuple[When, frozenset[int]], ...]:
    """All situations, taken apart into conditions in each of which the same of `conditions` hold: their numbers.

    Raises: TooManyCells.
    """
    found: list[tuple[When, frozenset[int]]] = [(ALWAYS, frozenset())]
    for condition in dict.fromkeys(conditions):
        numbers = frozenset(number for number, other in enumerate(conditions) if other == condition)
        following: list[tuple[When, frozenset[int]]] = []
        for cell, holding in found:
            inside = both(cell, condition)
            if inside is not None:
                following.append((inside, holding | numbers))
            following += ((outside, holding) for outside in without(cell, condition))
        found = following
        if len(found) > MAX_CELLS:
            raise TooManyCells(f"the conditions overlap in more than {MAX_CELLS} ways")
    return tuple(found)


def example(when: When) -> Situation:
    """A situation in which a condition holds."""
    since, below = when.kernel
    kernel = since if since != NO_BOUND else (below[0] - 1, 999) if below != NO_BOUND and below[1] == 0 else NO_BOUND
    return Situation((when.arches or ARCHITECTURES)[0], kernel, when.held)
