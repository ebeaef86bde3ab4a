"""How refused system calls, and what Landlock and labels refused, look on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from sandboxer.cli.options import visible
from sandboxer.model.result import (
    Denial,
    Denials,
    LabelDenial,
    LabelDenials,
    LandlockDenial,
    LandlockDenials,
    Reason,
    Result,
    WallDenial,
)

CALLS_SHOWN = 6
REASONS_SHOWN = 40
PATCH_LINES_SHOWN = 80

Row = TypeVar("Row", LandlockDenial, LabelDenial)


def show_denials(result: Result) -> Iterator[str]:
    """All that was refused, with its reason, its risk and its patch; what came from inside cannot move the terminal's cursor."""
    denials = result.denials or Denials()
    yield f"sandboxer: {_count(denials.count, 'system call') if denials.count else 'no system call was'} refused{unseen(denials)}"
    yield from _note_trap(result)
    reasons = gather_uses(denials.rows)
    for rows in reasons[:REASONS_SHOWN]:
        yield ""
        yield from (visible(line) for line in show_reason(rows))
    left = denials.others + sum(row.count for rows in reasons[REASONS_SHOWN:] for row in rows)
    if left:
        yield ""
        yield f"{_count(left, 'refused call')} of further kinds" + ("; --report has them" if reasons[REASONS_SHOWN:] else "")
    if denials.landlock:
        yield from show_landlock(denials.landlock)
    if denials.apparmor:
        yield from show_label("AppArmor", denials.apparmor)
    if denials.selinux:
        yield from show_label("SELinux", denials.selinux)
    if denials.patch and denials.patch not in {row.patch for row in _all_rows(denials)}:
        yield ""
        yield from (visible(line) for line in show_patch(denials))
    for wall, why in _unheard(denials):
        yield ""
        yield f"sandboxer: what {wall} refused is not seen: {visible(why)}"


def unseen(denials: Denials) -> str:
    """What nobody heard of."""
    walls = "".join(f"{wall}, " for wall, _ in _unheard(denials))
    return f" (what mounts, {walls}modes and limits refuse is not seen)"


def _unheard(denials: Denials) -> Iterator[tuple[str, str]]:
    """The walls that nobody could hear of, each with the reason."""
    for wall, found in (("Landlock", denials.landlock), ("AppArmor", denials.apparmor), ("SELinux", denials.selinux)):
        if found and found.unheard:
            yield wall, found.unheard


def show_landlock(found: LandlockDenials) -> Iterator[str]:
    """What Landlock refused, for which reasons."""
    if found.unheard or not (found.count or found.losses):
        return
    yield ""
    yield f"sandboxer: Landlock refused {_times(found.count) if found.count else 'nothing'}"
    yield from (f"  {visible(loss)}" for loss in found.losses)
    yield from _show_rows(found.rows, found.others, lambda row: row.rights)


def show_label(module: str, found: LabelDenials) -> Iterator[str]:
    """What a label refused, or would refuse, for which reasons."""
    if found.unheard or not (found.count or found.losses):
        return
    let_pass = sum(row.count for row in found.rows if not row.is_refused)
    refused = found.count - let_pass
    yield ""
    told = f"refused {_times(refused)}" if refused else "refused nothing"
    told += f", and recorded {_times(let_pass)} what it would refuse" if let_pass else ""
    yield f"sandboxer: {module}'s {visible(found.label)} {told}"
    yield from (f"  {visible(loss)}" for loss in found.losses)
    yield from _show_rows(found.rows, found.others, lambda row: (row.operation, row.wanted, row.is_refused))


def _show_rows(found: Sequence[Row], others: int, kind: Callable[[Row], object]) -> Iterator[str]:
    """Things that were refused for one reason together. kind: what is the same of all that a last row stands for."""
    reasons: dict[tuple[object, ...], list[Row]] = {}
    for row in found:
        key = (row.rule, row.place, row.patch, row.attempt, row.risk_why)
        same = (known for known, rows in reasons.items() if row.is_rest and kind(row) in map(kind, rows))
        reasons.setdefault(next(same, key), []).append(row)
    kept = list(reasons.values())
    for rows in kept[:REASONS_SHOWN]:
        yield ""
        for row in rows:
            happened = ", and it happened" if isinstance(row, LabelDenial) and not row.is_refused else ""
            yield visible(f"{row.words}, {_times(row.count)}{', for other things' if row.is_rest else ''}{happened}")
        yield from (visible(line) for line in _show_why(rows[0]))
    left = others + sum(row.count for rows in kept[REASONS_SHOWN:] for row in rows)
    if left:
        yield ""
        yield f"{_count(left, 'further refusal')} counted" + ("; --report has some of them" if kept[REASONS_SHOWN:] else "")


def _all_rows(denials: Denials) -> tuple[Denial | WallDenial, ...]:
    walls = (denials.landlock, denials.apparmor, denials.selinux)
    return (*denials.rows, *(row for found in walls if found for row in found.rows))


def _note_trap(result: Result) -> Iterator[str]:
    """Say what ended the command, where no refused call did."""
    rows = result.denials.rows if result.denials else ()
    if result.reason is Reason.SECCOMP_KILL and not any(row.answer == "killed" for row in rows):
        yield "sandboxer: none of them ended the command: a rule with `action: trap` sends SIGSYS too, and is not heard"


def show_patch(denials: Denials) -> Iterator[str]:
    """All patches in one, where it is of a length that somebody reads."""
    lines = denials.patch.splitlines()
    if len(lines) > PATCH_LINES_SHOWN:
        yield f"one patch for all of it has {len(lines)} lines; --report has it"
        return
    yield f"all of it at once: take out what the job can do without, and {denials.attempt}:"
    yield from (f"  {line}" for line in lines)


def gather_uses(rows: Sequence[Denial]) -> list[list[Denial]]:
    """Uses of a call that were refused for one reason, and that one patch would allow, together; in the order of the first."""
    found: dict[tuple[object, ...], list[Denial]] = {}
    for row in rows:
        key = (row.call, row.answer, row.rule, row.place)
        # What stands for the further uses of a call has no patch of its own.
        same = next((known for known in found if row.is_rest and known[:4] == key), (*key, row.patch, row.risk))
        found.setdefault(same, []).append(row)
    return list(found.values())


def show_reason(rows: Sequence[Denial]) -> Iterator[str]:
    """Some uses of a call, and what is the same for all of them."""
    row = rows[0]
    for use in rows:
        yield f"{use.words} = {use.answer}, {_times(use.count)}" + (", with other arguments" if use.is_rest else "")
    yield from _show_why(row)
    if row.group:
        shown = ", ".join(row.group_calls[:CALLS_SHOWN])
        more = f" and {len(row.group_calls) - CALLS_SHOWN} more" if len(row.group_calls) > CALLS_SHOWN else ""
        yield f"  or:   policies: [syscalls/{row.group}]" + (f", which also allows {shown}{more}" if shown else "")


def _show_why(row: Denial | WallDenial) -> Iterator[str]:
    yield f"  by:   {row.process or '?'}" + (f", pid {row.pid}" if row.pid else "")
    yield f"  why:  {row.rule}" + (f" ({row.place.show()})" if row.place else "")
    yield f"  risk: {row.risk.value}: {row.risk_why}"
    if row.attempt:
        yield f"  try:  {row.attempt}{':' if row.patch else ''}"
    yield from (f"          {line}" for line in row.patch.splitlines())


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _count(number: int, what: str) -> str:
    return f"{number} {what} was" if number == 1 else f"{number} {what}s were"
