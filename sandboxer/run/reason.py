"""Why a command ended, read from the monitor's record and the limits of the plan. Nothing is guessed from an exit status."""

from __future__ import annotations

from sandboxer.launcher.record import UNKNOWN, Outcome
from sandboxer.model.result import Reason
from sandboxer.run.about import About

SIGKILL = 9
SIGXCPU = 24
SIGXFSZ = 25
SIGSYS = 31
MICROSECONDS = 1_000_000
TICKS_US = 500_000
"""How far the ticks that RLIMIT_CPU counts may be ahead of getrusage's time. Source: kernel/sched/cputime.c, cputime_adjust."""


def find_reason(record: dict[str, int], about: About) -> tuple[Reason, str]:
    """The reason, and one sentence of detail where the reason alone leaves a question."""
    match record["outcome"]:
        case Outcome.EXITED if record["exit_code"] == 0:
            return Reason.EXITED, ""
        case Outcome.EXITED:
            return find_count_reason(record, about) or (Reason.EXITED, "")
        case Outcome.SIGNALLED:
            found = find_signal_reason(record, about)
            return find_count_reason(record, about) or found if found[0] is Reason.SIGNALLED else found
        case Outcome.WALL_TIMEOUT:
            limit = f" of {about.wall_ms} ms" if about.wall_ms else ""
            return Reason.WALL_TIMEOUT, f"it ran into the wall clock limit{limit}"
        case Outcome.CPU_TIMEOUT:
            return Reason.CPU_TIMEOUT, "the box used up its CPU time"
        case Outcome.IDLE_TIMEOUT:
            return Reason.IDLE_TIMEOUT, "the box used no CPU time for as long as it may be idle"
        case Outcome.OUTPUT_LIMIT:
            return Reason.OUTPUT_LIMIT, "it wrote more to its outputs than it may"
        case Outcome.CANCELLED:
            return Reason.CANCELLED, "the caller cancelled it"
        case Outcome.SUPERVISOR_LOST:
            return Reason.SUPERVISOR_LOST, "the process that supervised it went away"
        case Outcome.NOT_FOUND:
            return Reason.NOT_FOUND, ""
        case Outcome.NOT_EXECUTABLE:
            return Reason.NOT_EXECUTABLE, ""
        case _:
            return Reason.SETUP_FAILED, ""


def find_count_reason(record: dict[str, int], about: About) -> tuple[Reason, str] | None:
    """A limit of the whole box that a command which failed ran into, by the kernel's own count; None: none.

    The count says that the limit was met, and the status that the command did not get over it: a shell turns the death of what it
    ran into a status of its own. A file system counts nothing: it is full when the command ends, or it was no reason.
    """
    names = ("oom_kills", "pids_refused", "disk_full")
    kills, refused, full = (0 if record[name] == UNKNOWN else record[name] for name in names)
    if kills:
        return Reason.OOM, "its memory was used up, and the kernel killed what held it"
    if refused:
        return (
            Reason.PIDS_LIMIT,
            "it had all processes that it may have, and the kernel refused to start another one",
        )
    if full:
        which = f" {about.spaces[full - 1]}" if full <= len(about.spaces) else ""
        return Reason.DISK_QUOTA, f"the box's own file system{which} was full"
    return None


def find_signal_reason(record: dict[str, int], about: About) -> tuple[Reason, str]:
    """What stands behind a deadly signal: a limit, the filter, or just the signal.

    A soft CPU limit that was caught or ignored ends in SIGKILL at the hard one; the CPU time used tells it from other SIGKILLs,
    and from a SIGXCPU that a job sends to itself. Nothing tells who sent a SIGSYS or SIGXFSZ, so the detail names the signal.
    """
    number = record["signal"]
    used_us = record["user_us"] + record["system_us"]
    if number == SIGSYS:
        return Reason.SECCOMP_KILL, "SIGSYS ended it, the signal of the system call filter"
    if number == SIGXCPU and about.cpu_soft_s is not None and used_us > about.cpu_soft_s * MICROSECONDS - TICKS_US:
        return Reason.CPU_TIMEOUT, f"it used up its CPU time limit of {about.cpu_soft_s} s"
    if number == SIGKILL and about.cpu_hard_s is not None and used_us > about.cpu_hard_s * MICROSECONDS - TICKS_US:
        return Reason.CPU_TIMEOUT, f"it went on past SIGXCPU and used up its hard CPU time limit of {about.cpu_hard_s} s"
    if number == SIGXFSZ and about.file_bytes is not None:
        return Reason.FILE_LIMIT, f"SIGXFSZ ended it, the signal of the file size limit of {about.file_bytes} bytes"
    return Reason.SIGNALLED, ""
