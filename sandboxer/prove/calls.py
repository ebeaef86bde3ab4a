"""Probes of the section `seccomp`: every call that the policy refuses is made, and has the answer of the policy.

The arguments are ones that no call takes (-1: no descriptor, no address, no process, every flag), so that a call which comes
through by mistake does nothing. Those that would do something all the same are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.controls import seccomp
from sandboxer.model.op import LoadFilter
from sandboxer.model.plan import Step
from sandboxer.prove.judge import SIGSYS, judge_answer, judge_child, lacking
from sandboxer.prove.probe import Finding, Probe, Seen, Trial, error_name
from sandboxer.prove.rights import weakened
from sandboxer.prove.script import Script
from sandboxer.prove.subject import KILLED, Subject

ROWS = ("seccomp.calls", "seccomp.foreign", "seccomp.sockets")

NOTHING = (-1,) * 6
ARGUMENTS: dict[str, tuple[int, ...]] = {"msgget": (0x7FFFFFFF, 0)}
"""Calls that -1 would let make something: a queue with every flag is made, one that is only looked for is not there."""
LEFT_OUT = frozenset({"exit", "exit_group", "rt_sigreturn", "fork", "vfork", "pause", "vhangup"})
"""What takes no argument that could be wrong, and does something."""
UNFILTERED = frozenset({"uprobe", "uretprobe"})
"""The kernel lets these pass every filter; they work from where it put them into a program only. Source: kernel/seccomp.c,
seccomp_uprobe_exception (6.14 and newer)."""
X32_GETPID = 0x40000000 + 39
FAMILIES = range(1, 46)  # AF_UNIX to AF_MCTP. Source: include/linux/socket.h
SOCK_DGRAM = 2


def is_filter(step: Step) -> bool:
    """The step loads a filter."""
    return isinstance(step.op, LoadFilter)


def find_probes(subject: Subject) -> Iterator[Probe]:
    """The calls, those of other ABIs, and the families of sockets."""
    if subject.filters is None:
        if lost := weakened(subject, seccomp.NAME):
            yield Probe("seccomp.calls", "a filter", is_filter, lost=lost)
        return
    yield calls(subject)
    if subject.host.arch == "x86_64":
        yield foreign_calls(subject)
    yield sockets(subject)


def calls(subject: Subject) -> Probe:
    """All that are refused with arguments that mean nothing; getpid is the twin."""
    script = Script(subject)
    wanted: dict[int, tuple[str, str]] = {}
    twin = script.call("getpid")
    for name in sorted(NUMBERS[subject.host.arch].keys() - LEFT_OUT - UNFILTERED):
        arguments = ARGUMENTS.get(name, NOTHING)
        if answer := subject.refusal(name, arguments):
            wanted[script.call(name, *arguments, ahead="child" if answer == KILLED else "")] = (name, answer)
    is_twin_allowed = "getpid" not in script.refused
    judge = partial(judge_calls, wanted, twin if is_twin_allowed else None)
    total = len(NUMBERS[subject.host.arch])
    return Probe("seccomp.calls", f"{len(wanted)} of {total} refused", is_filter, (Trial(script.statements, judge),))


def judge_calls(wanted: dict[int, tuple[str, str]], twin: int | None, seen: Seen) -> Finding:
    """Every call has the answer of the policy."""
    wrong = []
    for index, (name, answer) in wanted.items():
        judge = partial(judge_child, index, SIGSYS) if answer == KILLED else partial(judge_answer, index, (answer,))
        found = judge(name, seen)
        wrong += [] if found.is_right else [found.words]
    if twin is not None and (seen.first(twin) or -1) <= 0:
        wrong.append(f"getpid, which is allowed: {error_name(seen.first(twin))}")
    more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
    return Finding(not wrong, ", ".join(wrong[:5]) + more if wrong else "each has the answer of the policy")


def foreign_calls(subject: Subject) -> Probe:
    """A call of x32 ends the process."""
    script = Script(subject)
    script.say(f"child call {X32_GETPID}")
    judge = partial(judge_child, 0, SIGSYS, "getpid of x32")
    return Probe(
        "seccomp.foreign", "other ABIs are killed", is_filter, (Trial(script.statements, judge),), why_not=lacking(script)
    )


def sockets(subject: Subject) -> Probe:
    """A datagram socket of every family: what the filter refuses has its answer, and nothing else has been refused by it."""
    script = Script(subject)
    wanted: dict[int, tuple[str, str]] = {}
    allowed = []
    for family in FAMILIES:
        answer = subject.refusal("socket", (family, SOCK_DGRAM, 0))
        index = script.call("socket", family, SOCK_DGRAM, 0, ahead="child" if answer == KILLED else "")
        if answer:
            wanted[index] = (f"family {family}", answer)
        else:
            allowed.append(index)

    def judge(seen: Seen) -> Finding:
        found = judge_calls(wanted, None, seen)
        opened = sum((seen.first(index) or -1) >= 0 for index in allowed)
        if allowed and not opened:
            return Finding(False, "no family that is allowed can be used")
        return Finding(found.is_right, f"{found.words}; {opened} can be used" if found.is_right else found.words)

    declared = f"{len(allowed)} of {len(FAMILIES)} families"
    return Probe("seccomp.sockets", declared, is_filter, (Trial(script.statements, judge),))
