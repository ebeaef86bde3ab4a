"""Settings in sentences, and what one set of them allows that another does not."""

from __future__ import annotations

from collections.abc import Iterator

from sandboxer.abi.errnos import Errno
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.controls.seccomp.meaning import Settings, Wall
from sandboxer.controls.seccomp.rules import ALWAYS, CALLS, Rule, are_included, overlaps, reduced
from sandboxer.controls.seccomp.words import show_rule, show_when


def _errno_name(number: int) -> str:
    return next((name for name, known in Errno.__members__.items() if known == number), str(number))


def _allowed_parts(wall: Wall, call: str) -> tuple[Rule, ...]:
    denies = wall.denies_of(call)
    return reduced(rule for rule in wall.grants_of(call) if not are_included(rule, denies))


def count_allowed(settings: Settings, arch: str) -> str:
    """How many calls of an architecture pass, in words."""
    whole = sum(settings.passes_whole(call) for call in NUMBERS[arch])
    partial = sum(settings.passes_some(call) for call in NUMBERS[arch]) - whole
    return f"{whole} system calls are allowed" + (f" and {partial} in part" if partial else "")


def explain(settings: Settings) -> tuple[str, ...]:
    """What the section means, in sentences."""
    own = settings.walls[0]
    whole = sorted(call for call in CALLS if own.passes_whole(call))
    partial = sorted(call for call in CALLS if own.passes_some(call) and call not in whole)
    lines = [f"{len(whole)} system calls are allowed in every form: {', '.join(whole)}"]
    for call in partial:
        words = ", or ".join(show_rule(rule) for rule in _allowed_parts(own, call))
        denied = ", ".join(show_rule(rule) for rule in reduced(own.denies_of(call)) if own.grants_of(call))
        lines.append(f"allowed in part: {words}" + (f"; never {denied}" if denied else ""))
    for wall in settings.walls[1:]:
        lines += _explain_layer(wall)
    special: dict[str, list[str]] = {}
    conditional = [(item.call, item.errno, item.when) for item in settings.refusals if item.when != ALWAYS]
    for call, number, when in (*((call, number, ALWAYS) for call, number in settings.answers), *sorted(conditional)):
        if not settings.passes_whole(call):
            special.setdefault(f"{_errno_name(number)} {show_when(when)}".rstrip(), []).append(call)
    lines.append(f"every other system call answers {_errno_name(settings.default_errno)}")
    lines += [f"refused with {name}: {', '.join(calls)}" for name, calls in sorted(special.items())]
    lines.append("calls newer than the table answer ENOSYS; calls of a foreign architecture and of x32 end the process")
    if settings.log:
        lines.append("refused calls are written to the kernel's log")
    return tuple(lines)


def _explain_layer(wall: Wall) -> Iterator[str]:
    if wall.grants is not None:
        yield f"{wall.name} allows only: {', '.join(show_rule(rule) for rule in reduced(item.rule for item in wall.grants))}"
    if wall.denies:
        yield f"{wall.name} denies: {', '.join(show_rule(rule) for rule in reduced(item.rule for item in wall.denies))}"


def _covers(wall: Wall, old: tuple[Wall, ...], call: str) -> bool:
    """Whether some wall of `old` is at least as narrow as `wall` about a call, as far as single rules can tell."""
    return any(
        all(are_included(rule, wall.grants_of(call)) for rule in _allowed_parts(theirs, call))
        and all(
            are_included(mine, theirs.denies_of(call)) or not any(overlaps(mine, rule) for rule in _allowed_parts(theirs, call))
            for mine in wall.denies_of(call)
        )
        for theirs in old
    )


def widens(old: Settings, new: Settings) -> tuple[str, ...]:
    """What `new` allows that `old` does not. Never misses a widening; a narrowing said in other rules may be called one."""
    found = []
    for call in sorted(CALLS):
        if not new.passes_some(call) or all(_covers(wall, new.walls, call) for wall in old.walls):
            continue
        if not old.passes_some(call):
            found.append(f"allows {call}, which was refused")
        else:
            found.append(f"allows more uses of {call}")
    return tuple(found)
