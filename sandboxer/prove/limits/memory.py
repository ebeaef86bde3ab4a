"""How limits of the box's memory are tried: by the end of a box that takes more, and by what its group has counted.

Memory that is taken is shared, so that it counts for the box and not for `data`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sandboxer.abi.errnos import Errno
from sandboxer.controls.limits.table import MIB
from sandboxer.kernel.groups import find_spare_huge_pages, find_spare_swap_bytes
from sandboxer.model.op import MakeGroup, WriteGroup
from sandboxer.model.result import Reason
from sandboxer.prove.judge import judge_all, judge_calm, judge_child, judge_end, lacking
from sandboxer.prove.limits.each_process import Limit, owner
from sandboxer.prove.limits.whole_box import is_kept_by_group, make_probe, only_read
from sandboxer.prove.probe import Finding, GroupFile, Probe, Seen, Trial, error_name
from sandboxer.prove.script import Script
from sandboxer.prove.subject import Subject

SHARED, PRIVATE = 0x21, 0x22  # MAP_SHARED, MAP_PRIVATE | MAP_ANONYMOUS
HUGE = 0x40000  # MAP_HUGETLB; the size's logarithm stands above it. Source: include/uapi/asm-generic/hugetlb_encode.h
HUGE_SHIFT = 26
SIGBUS = 7
LEAST = 8 * MIB
"""What a box needs that does nothing, several times over."""


def memory(subject: Subject, limit: Limit) -> Probe:
    """Twice as much as there is; and a quarter."""
    tried = min(limit.value, 64 * MIB)
    is_group = is_kept_by_group(subject, limit)
    kind = SHARED if is_group else PRIVATE

    def judge(seen: Seen) -> Finding:
        if is_group or seen.first(0) is None:
            return judge_end(Reason.OOM, seen)
        name = error_name(seen.first(0))
        return Finding(name == "ENOMEM", f"{name} for one process")

    lowered = {limit.row.word: tried}
    beyond = Trial((f"touch {2 * tried} {kind}",), judge, lowered)
    below = Trial((f"touch {tried // 4} {kind}",), partial(judge_calm, "a quarter is given"), lowered)
    return make_probe(subject, limit, tried, (beyond, below))


def memory_high(subject: Subject, limit: Limit) -> Probe:
    """The group counts that the box went beyond it; where it stays at a quarter, it counts nothing."""
    owns = owner(limit.row, subject.host)
    write = next((step.op for step in subject.plan.before if isinstance(step.op, WriteGroup) and owns(step)), None)
    tried = min(limit.value, limit.values["memory"] // 2, 64 * MIB)
    if write is None or tried < LEAST:
        return only_read(subject, limit, "`memory` is so low that it is reached first")
    make = next(op for step in subject.plan.before if isinstance(op := step.op, MakeGroup) and op.group == write.group)
    files = tuple(GroupFile(make.mount, make.controller, make.levels, name) for name in ("memory.events", "memory.current"))
    lowered = {limit.row.word: tried}
    beyond = Trial(
        (f"touch {tried + tried // 8} {SHARED}", "rest 10000"),
        partial(judge_slowed, True),
        lowered,
        files,
        until=lambda found: count_high(found[0]) > 0,
    )
    below = Trial(
        (f"touch {tried // 4} {SHARED}", "rest 10000"),
        partial(judge_slowed, False),
        lowered,
        files,
        until=lambda found: int(found[1] or 0) >= tried // 4,
    )
    return make_probe(subject, limit, tried, (beyond, below))


def count_high(events: str | None) -> int:
    """How often the group was beyond its `memory.high`. Source: Documentation/admin-guide/cgroup-v2.rst, memory.events."""
    lines = (line.split() for line in (events or "").splitlines())
    return next((int(count) for name, count in lines if name == "high"), 0)


def judge_slowed(is_wanted: bool, seen: Seen) -> Finding:
    """The kernel made the box give back memory, or did not."""
    events, current = seen.files
    count = count_high(events)
    is_right = bool(events) and bool(count) is is_wanted
    return Finding(is_right, f"slowed {count} times at {int(current or 0) // MIB}M" if is_wanted else f"a quarter: {count} times")


def swap(subject: Subject, limit: Limit) -> Probe:
    """With `memory` full, so much can be swapped and no more. It takes a host that has swap space."""
    size = min(limit.value, 16 * MIB)
    full = min(limit.values["memory"], 32 * MIB)
    if not is_kept_by_group(subject, limit) or find_spare_swap_bytes() < 4 * (size + full):
        return only_read(subject, limit, "this host has no swap space to spare")
    lowered = {limit.row.word: size, "memory": full}
    beyond = Trial((f"touch {full + size + LEAST} {SHARED}",), partial(judge_end, Reason.OOM), lowered)
    twin = full + size // 2 if size >= LEAST else full // 4
    what = f"{twin // MIB}M with {full // MIB}M of memory are given"
    below = Trial((f"touch {twin} {SHARED}",), partial(judge_calm, what), lowered)
    return make_probe(subject, limit, size, (beyond, below))


def huge_pages(subject: Subject, limit: Limit) -> Probe:
    """One huge page more than there may be, in a child. It takes a host that has set some aside."""
    for size, spare in sorted(find_spare_huge_pages().items()):
        most = limit.value // size
        if spare <= most or not is_kept_by_group(subject, limit):
            continue
        script = Script(subject)
        flags = PRIVATE | HUGE | (size.bit_length() - 1) << HUGE_SHIFT
        beyond = script.say(f"child touch {(most + 1) * size} {flags}")
        judges = [partial(judge_refused_page, beyond)]
        if most:
            judges.append(partial(judge_child, script.say(f"child touch {most * size} {flags}"), 0, "the whole of it"))
        trial = Trial(script.statements, partial(judge_all, tuple(judges)))
        return limit.probe(subject, (trial,), why_not=lacking(script))
    return only_read(subject, limit, "this host has fewer huge pages to spare than that")


def judge_refused_page(index: int, seen: Seen) -> Finding:
    """A page that is charged when it is touched ends in SIGBUS, one that is charged when it is mapped in ENOMEM."""
    status = seen.first(index)
    is_right = status in (SIGBUS, Errno.ENOMEM << 8)
    words = "no answer" if status is None else f"signal {status & 0x7F}" if status & 0x7F else f"exit {status >> 8}"
    return Finding(is_right, f"one page more: {words}")


PROBES: dict[str, Callable[[Subject, Limit], Probe]] = {
    "memory": memory,
    "memory_high": memory_high,
    "swap": swap,
    "huge_pages": huge_pages,
}
