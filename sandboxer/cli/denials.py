"""How refused system calls look on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sandboxer.cli.options import visible
from sandboxer.model.result import Denial, Denials, Reason, Result

CALLS_SHOWN = 6
REASONS_SHOWN = 40
PATCH_LINES_SHOWN = 80
UNSEEN = " (what mounts, Landlock, modes and limits refuse is not seen)"


def show_denials(result: Result) -> Iterator[str]:
    """Every refused call with its reason, its risk and its patch; what came from inside cannot move the terminal's cursor."""
    denials = result.denials or Denials()
    if not denials.count:
        yield f"sandboxer: no system call was refused{UNSEEN}"
        yield from _note_trap(result)
        return
    yield f"sandboxer: {_count(denials.count, 'system call')} refused{UNSEEN}"
    yield from _note_trap(result)
    reasons = gather_uses(denials.rows)
    for rows in reasons[:REASONS_SHOWN]:
        yield ""
        yield from (visible(line) for line in show_reason(rows))
    left = denials.others + sum(row.count for rows in reasons[REASONS_SHOWN:] for row in rows)
    if left:
        yield ""
        yield f"{_count(left, 'refused call')} of further kinds" + ("; --report has them" if reasons[REASONS_SHOWN:] else "")
    if denials.patch and denials.patch not in {row.patch for row in denials.rows}:
        yield ""
        yield from (visible(line) for line in show_patch(denials))


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
        times = "once" if use.count == 1 else f"{use.count} times"
        yield f"{use.words} = {use.answer}, {times}" + (", with other arguments" if use.is_rest else "")
    yield f"  by:   {row.process or '?'}, pid {row.pid}"
    yield f"  why:  {row.rule}" + (f" ({row.place.show()})" if row.place else "")
    yield f"  risk: {row.risk.value}: {row.risk_why}"
    if row.attempt:
        yield f"  try:  {row.attempt}{':' if row.patch else ''}"
    yield from (f"          {line}" for line in row.patch.splitlines())
    if row.group:
        shown = ", ".join(row.group_calls[:CALLS_SHOWN])
        more = f" and {len(row.group_calls) - CALLS_SHOWN} more" if len(row.group_calls) > CALLS_SHOWN else ""
        yield f"  or:   policies: [syscalls/{row.group}]" + (f", which also allows {shown}{more}" if shown else "")


def _count(number: int, what: str) -> str:
    return f"{number} {what} was" if number == 1 else f"{number} {what}s were"
