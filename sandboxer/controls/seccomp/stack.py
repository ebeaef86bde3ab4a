"""The stack of filters that settings become, in the order of loading.

One filter for each wall, the profile's own last. The kernel runs them all and takes the strictest answer, which is what a stack
of walls means. All but the last let seccomp(2) pass, because it loads the next one; the last has the verdict of every wall on it.
Every stack is proven equal to the rules before anybody sees it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sandboxer.abi import bpf
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.controls.seccomp.compiler import proof
from sandboxer.controls.seccomp.compiler.diagram import (
    LATE_CALLS,
    Diagram,
    Forge,
    TooManyNodes,
    replaced,
    single_calls,
    whole_diagram,
)
from sandboxer.controls.seccomp.compiler.emit import Weigh, emit
from sandboxer.controls.seccomp.compiler.program import Program, decode, encode, stacked_length
from sandboxer.controls.seccomp.meaning import Settings, Statement, Wall
from sandboxer.controls.seccomp.reference import TooManyParts, strictest
from sandboxer.errors import Problem, ProfileError
from sandboxer.model.place import Place


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter: what it is for, in words, and its array of struct sock_filter."""

    purpose: str
    program: bytes
    place: Place
    is_watched: bool = False

    @property
    def instructions(self) -> int:
        """How long it is."""
        return len(self.program) // bpf.INSTRUCTION_BYTES


_UNSEEN = 1e-5
HANDED_OVER = ("sendmmsg",)
"""How the job's process gives its listener away, behind the filter that it listens to."""


def compile_stack(settings: Settings, arch: str, *, is_watched: bool = False) -> tuple[Filter, ...]:
    """The filters in the order of loading, proven.

    settings: of one situation (`Settings.at`). is_watched: refused calls ask a listener instead of answering: one filter of all
    walls that does so, and a small one after it that answers for the calls by which the listener is set up.
    Raises: ProfileError if the rules do not fit; HostError as the libseccomp backend does; InternalError if the proof fails.
    """
    _check_masks(settings)
    if is_watched:
        filters = tuple(_watched(settings, arch))
        _check_total(filters)
        _prove(settings, arch, filters, _asked_of)
        return filters
    if settings.backend == "libseccomp":
        from sandboxer.controls.seccomp.libseccomp.backend import compile_walls

        made = compile_walls(settings, arch)
        filters = tuple(Filter(purpose, program, wall.place) for purpose, program, wall in made)
    else:
        filters = tuple(_own(settings, arch))
    _check_total(filters)
    _prove(settings, arch, filters)
    return filters


def _check_total(filters: Sequence[Filter]) -> None:
    """Refuse a stack that the kernel would refuse in the middle of its being loaded."""
    programs = [decode(item.program) for item in filters]
    total = stacked_length(programs)
    if total <= bpf.MAX_STACKED_INSTRUCTIONS:
        return
    longest = max(filters, key=lambda item: item.instructions)
    why = (
        f"it counts {total} instructions for these {len(filters)}, in its own form of them, and takes "
        f"{bpf.MAX_STACKED_INSTRUCTIONS}; filters around the caller count too, and are not known here"
    )
    attempt = "fewer `restrict:` layers, or fewer values in their rules; most has what is said here"
    raise ProfileError(Problem("the kernel would not take all filters together", where=longest.place, why=why, attempt=attempt))


def _prove(settings: Settings, arch: str, filters: Sequence[Filter], change: proof.Change = proof.as_said) -> None:
    try:
        proof.check_proof(settings, arch, [decode(item.program) for item in filters], change)
    except TooManyParts as error:
        (call,) = error.args
        why = "a filter is proven before it is used, and of these too many combinations would have to be looked at"
        attempt = "fewer cases that look at several arguments or masks, or lists of values under one mask only"
        places = (item.place for item in _statements(settings.walls) if item.rule.call == call)
        place = min(places, default=settings.walls[0].place)
        raise ProfileError(
            Problem(f"the rules about {call or 'system calls'} are too many to be proven", where=place, why=why, attempt=attempt)
        ) from error


def _own(settings: Settings, arch: str) -> Iterator[Filter]:
    """The filters of our own emitter: a wall each, the profile's own last."""
    own, *layers = settings.walls
    weigh = weigher(settings, arch)
    for wall in reversed(layers):
        for program in _fitting(settings, [wall], arch, weigh, passed=LATE_CALLS):
            yield Filter(f"what {wall.name} says", encode(program), wall.place)
    for program in _fitting(settings, [own], arch, weigh, also=layers):
        yield Filter(f"what {own.name} says", encode(program), own.place)


def weigher(settings: Settings, arch: str) -> Weigh:
    """How often numbers are asked for: as the profile says, else every call as often as another.

    A number that nobody counted weighs a little all the same, so that no part of the tree grows without bound.
    """
    counts = {NUMBERS[arch][item.call]: item.count for item in settings.frequency if item.call in NUMBERS[arch]}
    total = sum(counts.values())
    known = sorted(NUMBERS[arch].values())

    def weigh(low: int, high: int) -> float:
        first, last = bisect_left(known, low), bisect_right(known, high)
        counted = sum(counts.get(number, 0) for number in known[first:last]) / total if total else 0.0
        return counted + _UNSEEN * (1 + last - first)

    return weigh


def _fitting(
    settings: Settings,
    walls: Sequence[Wall],
    arch: str,
    weigh: Weigh,
    *,
    passed: Sequence[str] = (),
    also: Sequence[Wall] = (),
) -> Iterator[Program]:
    """The filter of these walls, or as many as it takes, each of which lets pass what another one decides."""
    program = _emitted(lambda: whole_diagram(Forge(), settings, walls, arch, passed, also), weigh)
    if program is not None and len(program) <= bpf.MAX_INSTRUCTIONS:
        yield program
        return
    tested = _calls_by_weight(walls, passed)
    half = _half(tested)
    rest = [call for call in tested if call not in half]
    if not half or not rest:
        raise _too_long(program, walls, tuple(tested))
    # The last one of a stack is the one that speaks for the calls that load it.
    yield from _fitting(settings, walls, arch, weigh, passed=(*passed, *rest, *LATE_CALLS))
    yield from _fitting(settings, walls, arch, weigh, passed=(*passed, *half), also=also)


def _emitted(make: Callable[[], Diagram], weigh: Weigh) -> Program | None:
    """The program of a diagram, or None where that grows beyond all that a program could be."""
    try:
        return emit(make(), weigh)
    except TooManyNodes:
        return None


def _statements(walls: Sequence[Wall]) -> Iterator[Statement]:
    for wall in walls:
        yield from (*(wall.grants or ()), *wall.denies)


def _calls_by_weight(walls: Sequence[Wall], passed: Sequence[str]) -> dict[str, int]:
    """Calls that rules look into, but for those that are let pass, and how many ranges the rules have; the most first."""
    found: dict[str, int] = {}
    for item in _statements(walls):
        if not item.rule.is_whole and item.rule.call not in passed:
            ranges = sum(len(condition.ranges) for case in item.rule.cases for condition in case)
            found[item.rule.call] = found.get(item.rule.call, 0) + ranges
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _half(weights: dict[str, int]) -> tuple[str, ...]:
    """The first of these calls, and as many more as make about half of the weight. Never one that loads filters."""
    total, taken = sum(weights.values()), 0
    half: list[str] = []
    for call, weight in weights.items():
        if call not in LATE_CALLS and (not half or taken + weight <= (total + 1) // 2):
            half.append(call)
            taken += weight
    return tuple(half)


def _too_long(program: Program | None, walls: Sequence[Wall], calls: Sequence[str]) -> ProfileError:
    """The refusal of a filter. program: None if it was never written. calls: those that rules look into."""
    places = [item.place for item in _statements(walls) if not item.rule.is_whole and item.rule.call in calls]
    count = f"{len(program)} instructions" if program else "more instructions than anybody could count"
    return ProfileError(
        Problem(
            f"the rules about {calls[0] if len(calls) == 1 else 'system calls'} are too many for a filter",
            where=min(places, default=walls[0].place),
            why=f"it would have {count}, and the kernel takes {bpf.MAX_INSTRUCTIONS}",
            attempt="fewer values in the rules, and fewer that look at several arguments or masks",
        )
    )


_MAX_MASKS = 64


def _check_masks(settings: Settings) -> None:
    """Refuse a call of which rules look at more masks than a filter can ask for one after the other."""
    looks: dict[str, set[tuple[str, int]]] = {}
    for item in _statements(settings.walls):
        found = looks.setdefault(item.rule.call, set())
        found |= {(condition.argument, condition.mask) for case in item.rule.cases for condition in case}
        if len(found) > _MAX_MASKS:
            why = f"a filter may look at {_MAX_MASKS} of them, one after the other"
            raise ProfileError(
                Problem(f"the rules about {item.rule.call} look at too many different masks", where=item.place, why=why)
            )


# ── a watched stack ───────────────────────────────────────────────────────────────────────────────────────────────────


def asked(answer: int) -> int:
    """What a watched filter answers in place of this: a refused call asks the listener.

    A trap stays one: it is a signal to the job, with the call in it, and no listener can send that.
    """
    return answer if answer & bpf.RET_ACTION in (bpf.RET_ALLOW, bpf.RET_LOG, bpf.RET_TRAP) else bpf.RET_USER_NOTIF


def _asked_of(call: str, answer: int) -> int:
    return answer if call in (*LATE_CALLS, *HANDED_OVER) else asked(answer)


def _watched(settings: Settings, arch: str) -> Iterator[Filter]:
    """One filter that asks about every refused call, for a process has one listener; and one for the calls that it lets pass."""
    own = settings.walls[0]
    late = (*LATE_CALLS, *HANDED_OVER)

    def merged() -> Diagram:
        forge = Forge()
        found, *others = [whole_diagram(forge, settings, [wall], arch, late) for wall in settings.walls]
        for other in others:
            found = forge.joined(found, other, lambda a, b: strictest((a, b)))
        return replaced(forge, found, asked)

    asking = _emitted(merged, weigher(settings, arch))
    if asking is None or len(asking) > bpf.MAX_INSTRUCTIONS:
        raise _too_long(asking, settings.walls, tuple(_calls_by_weight(settings.walls, late)))
    answering = emit(single_calls(Forge(), settings, arch, late))
    yield Filter("ask about what is refused", encode(asking), own.place, is_watched=True)
    yield Filter(f"answer for {', '.join(late)}", encode(answering), own.place)
