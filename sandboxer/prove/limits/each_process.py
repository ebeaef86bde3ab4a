"""How each rlimit is tried. What it says is read back in the box as well, so that a value too large to be reached is seen too."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from sandboxer.abi.landlock import Kind, mask_of
from sandboxer.abi.rlimits import Rlimit
from sandboxer.controls.limits import show
from sandboxer.controls.limits.groups import NO_SWAP
from sandboxer.controls.limits.row import Row
from sandboxer.controls.limits.table import BY_WORD, GIB, KIB, MIB
from sandboxer.model.host import Host
from sandboxer.model.op import ArmCpuClock, ArmWallClock, LandlockCreate, LimitOutput, MakeGroup, SetRlimit, WriteGroup
from sandboxer.model.plan import Plan, Step
from sandboxer.prove.judge import judge_all, judge_answer, judge_child, judge_count, lacking, unless_refused
from sandboxer.prove.probe import Finding, GroupFile, Probe, Seen, Trial, error_name, steps_of
from sandboxer.prove.script import Script, answer, data, scratch
from sandboxer.prove.subject import Subject

PAGE = 4096
MAP_LAZY = 0x4022  # MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE. Source: include/uapi/asm-generic/mman*.h
READ_WRITE = 3
SIGSEGV, SIGXFSZ, DUMPED = 11, 25, 0x80
MAKE_FILE = mask_of({"make_reg"}, Kind.FILESYSTEM)
SIGNAL = 40
"""A real-time signal, of which each one that waits is kept."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit as a policy has it. values: those of all rows. lost: what the report says of it."""

    row: Row
    value: int
    values: Mapping[str, int]
    lost: str = ""

    def probe(
        self, subject: Subject, trials: tuple[Trial, ...], *, tried: int | None = None, why_not: str = "", why_read: str = ""
    ) -> Probe:
        """The row. tried: the lower value that the trials use. why_read: why there are none."""
        text = show(self.row, self.value)
        lowered = "" if tried is None or tried == self.value else show(self.row, tried)
        found = (*read_back(subject, self.row), *read_group_back(subject, self.row), *trials)
        owns = owner(self.row, subject.host)
        return Probe(f"limits.{self.row.word}", text, owns, found, lowered, why_not, self.lost, why_read)


def owner(row: Row, host: Host) -> Callable[[Step], bool]:
    """The steps that enforce a row: its rlimit, the files of its group, its clock. Rows of one file differ in a word."""
    files = {(file, _word(file, text)) for knob in (row.v2, row.v1) if knob for file, text in knob.files(1, host)}
    if row.word == "swap":
        files |= {(file, "") for file, _ in NO_SWAP}

    def owns(step: Step) -> bool:
        match step.op:
            case SetRlimit():
                return row.rlimit is not None and int(step.op.resource) == row.rlimit
            case WriteGroup():
                return (step.op.file, _word(step.op.file, step.op.text)) in files
            case ArmCpuClock():
                return row.is_clock
            case LimitOutput():
                return row.word == "output"
            case ArmWallClock():
                return row.word in ("wall", "grace", "stop_signal")
            case _:
                return False

    return owns


def _word(file: str, text: str) -> str:
    """What stands ahead of the number in a file of several limits: `8:0 rbps=`."""
    return text.rstrip("0123456789") if file == "io.max" else ""


# ── what the kernel says ──────────────────────────────────────────────────────────────────────────────────────────────


def read_back(subject: Subject, row: Row) -> tuple[Trial, ...]:
    """The rlimit as the command sees it, under the plan as it is."""
    set_here = find_rlimit(subject.plan, row.rlimit)
    script = Script(subject)
    script.call("prlimit64", 0, int(row.rlimit or 0), 0, scratch(16))
    script.say("dump 16")
    if set_here is None or script.refused:
        return ()
    return (Trial(script.statements, partial(judge_rlimit, (set_here.soft, set_here.hard)), is_read_back=True),)


def find_rlimit(plan: Plan, resource: Rlimit | None) -> SetRlimit | None:
    """The op of a plan that sets this rlimit."""
    ops = (step.op for step in steps_of(plan) if isinstance(step.op, SetRlimit))
    return next((op for op in ops if resource is not None and int(op.resource) == resource), None)


def judge_rlimit(wanted: tuple[int, int], seen: Seen) -> Finding:
    """The kernel has these values."""
    found = struct.unpack("<QQ", seen.dumps[1]) if len(seen.dumps.get(1, b"")) == 16 else None
    return Finding(found == wanted, "" if found == wanted else f"the kernel has {found}, and the plan says {wanted}")


def read_group_back(subject: Subject, row: Row) -> tuple[Trial, ...]:
    """What the control groups of the box have while it runs under the plan as it is, seen from outside."""
    owns = owner(row, subject.host)
    makes = {step.op.group: step.op for step in subject.plan.before if isinstance(step.op, MakeGroup)}
    writes = [step.op for step in subject.plan.before if isinstance(step.op, WriteGroup) and owns(step)]
    if not writes:
        return ()
    made = [(makes[op.group], op) for op in writes]
    files = tuple(GroupFile(make.mount, make.controller, make.levels, op.file) for make, op in made)
    return (Trial(("rest 10000",), partial(judge_files, tuple(writes)), files=files, is_read_back=True),)


def judge_files(wanted: tuple[WriteGroup, ...], seen: Seen) -> Finding:
    """The files hold what the plan writes to them."""
    wrong = []
    for op, found in zip(wanted, seen.files, strict=True):
        has_same = found is not None and holds_text(op.file, op.text, found)
        wrong += [] if has_same else [f"{op.file} has {found}, and the plan writes {op.text}"]
    says = ", ".join(f"{op.file} = {found}" for op, found in zip(wanted, seen.files, strict=True))
    return Finding(not wrong, ", ".join(wrong) or says)


def holds_text(file: str, text: str, found: str) -> bool:
    """A line of the file is this text, or has its words where it is about a disk; memory and huge pages are in whole pages."""
    words = text.split()
    for line in found.splitlines():
        there = line.removeprefix("default ").split()
        if there == words or (":" in words[0] and set(words) <= set(there)):
            return True
    page = GIB if file.startswith("hugetlb.") else PAGE
    return text.isdigit() and found.isdigit() and 0 <= int(text) - int(found) < page


# ── the rows ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def open_files(subject: Subject, limit: Limit) -> Probe:
    """Descriptors until there are no more. The standard streams count, and what the box is handed."""
    tried = min(limit.value, 1 << 16)
    script = Script(subject)
    script.say(f"repeat {tried + 8} 1")
    script.call("dup", 0)
    judge = partial(judge_count, 0, range(max(1, tried - 64), tried - 2), "EMFILE")
    trial = Trial(script.statements, judge, {limit.row.word: tried})
    return limit.probe(subject, (trial,), tried=tried, why_not=lacking(script))


def file_size(subject: Subject, limit: Limit) -> Probe:
    """A file in memory, as large as allowed and one byte larger. It is never filled."""
    script = Script(subject)
    made = script.call("memfd_create", data(b"probe"), 0)
    below = script.call("ftruncate", answer(made), limit.value)
    beyond = script.call("ftruncate", answer(made), limit.value + 1, ahead="child")
    judges = (
        partial(judge_child, beyond, SIGXFSZ, "one byte more"),
        partial(judge_answer, below, ("0",), "the whole of it"),
    )
    return limit.probe(subject, (Trial(script.statements, partial(judge_all, judges)),), why_not=lacking(script))


def core(subject: Subject, limit: Limit) -> Probe:
    """A crash that leaves no dump where none is allowed."""
    script = Script(subject)
    crash = script.say(f"child stack {1 << 40}")

    def judge(seen: Seen) -> Finding:
        status = seen.first(crash)
        is_right = status is not None and status & 0x7F == SIGSEGV and not (limit.value == 0 and status & DUMPED)
        return Finding(is_right, "a crash leaves no dump" if is_right else f"a crash has the status {status}")

    return limit.probe(subject, (Trial(script.statements, judge),), why_not=lacking(script))


def stack(subject: Subject, limit: Limit) -> Probe:
    """The stack of a child, nearly as deep as allowed and deeper."""
    tried = limit.value if limit.value <= 64 * MIB else 8 * MIB
    script = Script(subject)
    below = script.say(f"child stack {tried // 2}")
    beyond = script.say(f"child stack {tried + 64 * KIB}")
    judges = (partial(judge_child, beyond, SIGSEGV, "deeper"), partial(judge_child, below, 0, "half as deep"))
    trial = Trial(script.statements, partial(judge_all, judges), {limit.row.word: tried})
    return limit.probe(subject, (trial,), tried=tried, why_not=lacking(script))


def _mapped(subject: Subject, limit: Limit, most: int, protection: int) -> Probe:
    tried = limit.value if limit.value <= most else 64 * MIB
    script = Script(subject)
    beyond = script.call("mmap", 0, tried, protection, MAP_LAZY, -1, 0)
    below = script.call("mmap", 0, tried // 4, protection, MAP_LAZY, -1, 0)
    judges = (
        partial(judge_answer, beyond, ("ENOMEM",), "all at once"),
        partial(judge_mapped, below, "a quarter"),
    )
    trial = Trial(script.statements, partial(judge_all, judges), {limit.row.word: tried})
    return limit.probe(subject, (trial,), tried=tried, why_not=lacking(script))


def judge_mapped(index: int, what: str, seen: Seen) -> Finding:
    """A mapping was made."""
    found = seen.first(index)
    is_right = found is not None and not -PAGE < found < 0
    return Finding(is_right, f"{what}: {'given' if is_right else error_name(found)}")


def address_space(subject: Subject, limit: Limit) -> Probe:
    """Addresses, with nothing behind them."""
    return _mapped(subject, limit, 1 << 40, 0)


def private_data(subject: Subject, limit: Limit) -> Probe:
    """Private writable memory, of which no page is touched."""
    return _mapped(subject, limit, GIB, READ_WRITE)


def locked_memory(subject: Subject, limit: Limit) -> Probe:
    """As much as may be locked, in whole pages, and one page more."""
    tried = limit.value if limit.value <= 8 * MIB else 64 * KIB
    pages = tried // PAGE * PAGE
    script = Script(subject)
    room = script.call("mmap", 0, pages + PAGE, READ_WRITE, MAP_LAZY, -1, 0)
    beyond = script.call("mlock", answer(room), pages + PAGE)
    judges = [partial(judge_answer, beyond, ("ENOMEM", "EPERM", "EAGAIN"), "one page more")]
    if pages:
        below = script.call("mlock", answer(room), pages)
        judges.append(partial(judge_answer, below, ("0",), "the whole of it"))
    judge = unless_refused(script, "mlock", beyond, partial(judge_all, tuple(judges)))
    trial = Trial(script.statements, judge, {limit.row.word: tried})
    return limit.probe(subject, (trial,), tried=tried, why_not=lacking(script, but="mlock"))


def queue_bytes(subject: Subject, limit: Limit) -> Probe:
    """Message queues until there is no room for another; each loses its name at once."""
    tried = limit.value if limit.value <= MIB else 64 * KIB
    size = 4096 if tried >= 16 * KIB else 64
    script = Script(subject)
    attributes = struct.pack("<8q", 0, 1, size, 0, 0, 0, 0, 0)
    script.say(f"repeat {tried // size + 8} 2")
    script.call("mq_open", data(b"sandboxer-probe"), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600, data(attributes))
    script.call("mq_unlink", data(b"sandboxer-probe"))
    # Landlock refuses to open what is made by then, and without a box the name would stay on the host.
    script.call("mq_unlink", data(b"sandboxer-probe"))
    found = partial(judge_count, 0, range(1 if tried >= 4 * size else 0, tried // size + 1), "EMFILE")
    if refused := script.refused.get("mq_open"):
        found = partial(judge_count, 0, range(1), refused, what="the filter refuses mq_open")
    elif any(isinstance(step.op, LandlockCreate) and step.op.filesystem & MAKE_FILE for step in subject.plan.inside):
        # No path leads to a queue's file system, so no rule of a domain can allow what lies in it.
        found = partial(judge_count, 0, range(1), "EACCES", what="Landlock refuses every queue")
    trial = Trial(script.statements, found, {limit.row.word: tried})
    return limit.probe(subject, (trial,), tried=tried, why_not=lacking(script, but="mq_open mq_unlink"))


def signals_pending(subject: Subject, limit: Limit) -> Probe:
    """Signals to oneself that are blocked and wait."""
    tried = min(limit.value, 1 << 16)
    script = Script(subject)
    script.call("rt_sigprocmask", 0, data(struct.pack("<Q", 1 << (SIGNAL - 1))), 0, 8)
    own = script.call("getpid")
    repeated = script.say(f"repeat {tried + 8} 1")
    signal = struct.pack("<iii", SIGNAL, 0, -1).ljust(128, b"\0")  # si_code SI_QUEUE
    script.call("rt_sigqueueinfo", answer(own), SIGNAL, data(signal))
    judge = partial(judge_count, repeated, range(tried - 16 if tried > 16 else 1, tried + 1), "EAGAIN")
    if refused := script.refused.get("rt_sigqueueinfo"):
        judge = partial(judge_count, repeated, range(1), refused, what="the filter refuses rt_sigqueueinfo")
    trial = Trial(script.statements, judge, {limit.row.word: tried})
    return limit.probe(subject, (trial,), tried=tried, why_not=lacking(script, but="rt_sigqueueinfo"))


def nice(subject: Subject, limit: Limit) -> Probe:
    """One step above the priority that is allowed; stepping down always works."""
    highest = min(20 - limit.value, 0) - 1
    if highest < -20:
        return limit.probe(subject, (), why_read="every priority is allowed")
    script = Script(subject)
    beyond = script.call("setpriority", 0, 0, highest)
    below = script.call("setpriority", 0, 0, 19)
    judges = (
        partial(judge_answer, beyond, ("EACCES", "EPERM"), f"niceness {highest}"),
        partial(judge_answer, below, ("0",), "niceness 19"),
    )
    judge = unless_refused(script, "setpriority", beyond, partial(judge_all, judges))
    return limit.probe(subject, (Trial(script.statements, judge),))


def realtime_priority(subject: Subject, limit: Limit) -> Probe:
    """One priority above what is allowed; a policy without one works."""
    if limit.value >= 99:
        return limit.probe(subject, (), why_read="every priority is allowed")
    script = Script(subject)
    beyond = script.call("sched_setscheduler", 0, 1, data(struct.pack("<i", limit.value + 1)))  # SCHED_FIFO
    below = script.call("sched_setscheduler", 0, 3, data(struct.pack("<i", 0)))  # SCHED_BATCH
    judges = (
        partial(judge_answer, beyond, ("EPERM",), f"priority {limit.value + 1}"),
        partial(judge_answer, below, ("0",), "none"),
    )
    judge = unless_refused(script, "sched_setscheduler", beyond, partial(judge_all, judges))
    return limit.probe(subject, (Trial(script.statements, judge),))


PROBES: dict[str, Callable[[Subject, Limit], Probe]] = {
    "open_files": open_files,
    "file_size": file_size,
    "core": core,
    "stack": stack,
    "address_space": address_space,
    "data": private_data,
    "locked_memory": locked_memory,
    "queue_bytes": queue_bytes,
    "signals_pending": signals_pending,
    "nice": nice,
    "realtime_priority": realtime_priority,
}
assert set(PROBES) <= set(BY_WORD)
