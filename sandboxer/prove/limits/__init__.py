"""Probes of the section `limits`: one function for each row of its table, in the modules beside this one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sandboxer.controls import limits
from sandboxer.controls.limits import table
from sandboxer.controls.limits.groups import is_wanted
from sandboxer.controls.limits.row import Row
from sandboxer.model.report import Status
from sandboxer.prove.limits import disks, each_process, memory, sharing, whole_box
from sandboxer.prove.limits.each_process import Limit
from sandboxer.prove.probe import Probe
from sandboxer.prove.subject import Subject
from sandboxer.units import UNLIMITED

BY_WORD: dict[str, Callable[[Subject, Limit], Probe]] = {
    **whole_box.PROBES,
    **memory.PROBES,
    **disks.PROBES,
    **each_process.PROBES,
    **sharing.PROBES,
}
"""How each limit is tried, by the word of its row."""
ROWS = tuple(f"limits.{row.word}" for row in table.ROWS)


def find_probes(subject: Subject) -> Iterator[Probe]:
    """A probe for every limit that holds, said or by default."""
    values = limits.settings(subject.policy).values
    for row in table.ROWS:
        value = values[row.word]
        if is_declared(row, dict(values)) and (row.word != "swap" or subject.host.has_swap):
            limit = Limit(row, value, dict(values), find_lost(subject, row))
            yield BY_WORD[row.word](subject, limit)


def is_declared(row: Row, values: dict[str, int]) -> bool:
    """There is something to try: a bound, and for those that need another limit, that one too."""
    if row.word == "grace":
        return values["wall"] != UNLIMITED
    if row.word == "stop_signal" and (values["wall"] == UNLIMITED or not values["grace"]):
        return False
    return is_wanted(row, values)


def find_lost(subject: Subject, row: Row) -> str:
    """What the report of the plan says is lost of the row; empty: nothing is."""
    word = "memory" if row.word == "swap" else row.word  # the lack of one says that of the other
    for line in subject.plan.report.lines:
        is_about = line.what.startswith((f"{word} ", "a process limit") if word == "processes" else f"{word} ")
        if line.control == limits.NAME and line.status is Status.WEAKENED and is_about:
            return line.lost
    return ""
