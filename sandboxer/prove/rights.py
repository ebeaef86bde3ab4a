"""Probes of what the job is: its capabilities, whether it can gain any, and the namespaces that are the box's own."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from sandboxer.abi.capabilities import Securebits
from sandboxer.abi.namespaces import NAMESPACE_LIMITS, NAMESPACES
from sandboxer.controls import capabilities, namespaces
from sandboxer.kernel.proc import NAMESPACE_FILES, own_namespace, parse_status
from sandboxer.model.op import (
    BarNamespaces,
    BindInside,
    DropBounding,
    MountFilesystem,
    SetAmbient,
    SetCapabilities,
    SetNoNewPrivs,
)
from sandboxer.model.plan import Step
from sandboxer.model.report import Status
from sandboxer.prove.judge import lacking
from sandboxer.prove.probe import Finding, Probe, Seen, Trial
from sandboxer.prove.script import Script, answer, data, scratch
from sandboxer.prove.subject import Subject

ROWS = ("capabilities", "process.no_new_privs", "namespaces", "namespaces.nested")

AT_FDCWD = -100
STATUS = b"/proc/self/status"
CAPABILITY_VERSION = 0x20080522  # _LINUX_CAPABILITY_VERSION_3. Source: include/uapi/linux/capability.h
PR_CAPBSET_READ, PR_GET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET = 23, 39, 47, 1
NEEDS_PROC = "the box has no /proc that would say it"

ReadStatus = Callable[[Seen], Mapping[str, str]]


def find_probes(subject: Subject) -> Iterator[Probe]:
    """What the kernel says of the command itself."""
    yield from held_capabilities(subject)
    yield from no_new_privs(subject)
    yield from own_namespaces(subject)
    yield from nested_namespaces(subject)


def has_proc(subject: Subject) -> bool:
    """The box has a /proc."""
    return any(item.path == "/proc" for item in subject.scene.shown)


def read_status(subject: Subject, script: Script) -> ReadStatus:
    """The statements that ask for the command's rights, and how to read their answers in the words of /proc/PID/status."""
    return _status_of_proc(script) if has_proc(subject) else _status_of_calls(script, subject.host.last_capability)


def _status_of_proc(script: Script) -> ReadStatus:
    opened = script.call("openat", AT_FDCWD, data(STATUS), 0)
    script.call("read", answer(opened), scratch(4096), 4096)
    index = script.say("dump 4096")
    return lambda seen: parse_status(seen.dumps.get(index, b"").rstrip(b"\0").decode("utf-8", "replace"))


def _status_of_calls(script: Script, last: int) -> ReadStatus:
    script.call("capget", data(struct.pack("<Ii", CAPABILITY_VERSION, 0)), scratch(24))
    sets = script.say("dump 24")
    bound = [script.call("prctl", PR_CAPBSET_READ, number, 0, 0, 0) for number in range(last + 1)]
    ambient = [script.call("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, number, 0, 0) for number in range(last + 1)]
    privs = script.call("prctl", PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)

    def read(seen: Seen) -> Mapping[str, str]:
        found = {"NoNewPrivs": str(seen.first(privs))}
        if len(seen.dumps.get(sets, b"")) == 24:
            words = struct.unpack("<6I", seen.dumps[sets])
            found |= {name: f"{words[at] | words[at + 3] << 32:016x}" for at, name in enumerate(("CapEff", "CapPrm", "CapInh"))}
        for name, indexes in (("CapBnd", bound), ("CapAmb", ambient)):
            if all(seen.first(index) in (0, 1) for index in indexes):
                found[name] = f"{sum((seen.first(index) or 0) << number for number, index in enumerate(indexes)):016x}"
        return found

    return read


def weakened(subject: Subject, control: str) -> str:
    """What the report says a section loses here."""
    lines = subject.plan.report.lines
    return "; ".join(line.lost for line in lines if line.control == control and line.status is Status.WEAKENED)


def held_capabilities(subject: Subject) -> Iterator[Probe]:
    """The five sets, as the plan means them."""
    ops = [step.op for step in subject.plan.inside if step.control == capabilities.NAME]
    wanted: dict[str, int] = {}
    for op in ops:
        match op:
            case DropBounding():
                wanted["CapBnd"] = op.keep
            case SetAmbient():
                wanted["CapAmb"] = op.mask
            case SetCapabilities():
                wanted["CapInh"] = op.inheritable
    mine = capabilities.settings(subject.policy)
    if mine.securebits & Securebits.NOROOT:
        # No file and no uid gives any: what the command has is what passes an execve.
        wanted |= dict.fromkeys(("CapPrm", "CapEff"), wanted.get("CapAmb", 0))
    script = Script(subject)
    read = read_status(subject, script)
    trial = Trial(script.statements, partial(judge_status, read, {name: f"{bits:016x}" for name, bits in wanted.items()}))
    declared = ", ".join(sorted(mine.keep)) or "none"

    def owns(step: Step) -> bool:
        return step.control == capabilities.NAME

    lost = weakened(subject, capabilities.NAME)
    yield Probe("capabilities", declared, owns, (trial,), why_not=lacking(script), lost=lost)


def judge_status(read: ReadStatus, wanted: dict[str, str], seen: Seen) -> Finding:
    """The rights of the command are these."""
    found = read(seen)
    wrong = [f"{name} is {found.get(name)}, not {value}" for name, value in wanted.items() if found.get(name) != value]
    says = ", ".join(f"{name} {value.lstrip('0') or '0'}" for name, value in wanted.items())
    return Finding(not wrong, ", ".join(wrong) if wrong else says)


def no_new_privs(subject: Subject) -> Iterator[Probe]:
    """No program that the command starts gains anything."""

    def owns(step: Step) -> bool:
        return isinstance(step.op, SetNoNewPrivs)

    if any(owns(step) for step in subject.plan.inside):
        script = Script(subject)
        read = read_status(subject, script)
        trial = Trial(script.statements, partial(judge_status, read, {"NoNewPrivs": "1"}))
        yield Probe("process.no_new_privs", "set", owns, (trial,), why_not=lacking(script))


def own_namespaces(subject: Subject) -> Iterator[Probe]:
    """Each namespace of the box is another one than ours, and each that it shares is the same."""
    made = namespaces.made(namespaces.settings(subject.policy), subject.scene)
    script = Script(subject)
    wanted: dict[int, tuple[str, bool]] = {}
    for kind, file in NAMESPACE_FILES.items():
        if own_namespace(kind):
            script.call("readlinkat", AT_FDCWD, data(f"/proc/self/ns/{file}".encode()), scratch(64), 64)
            wanted[script.say("dump 64")] = (kind, kind in made)

    def owns(step: Step) -> bool:
        return step.control in (namespaces.NAME, "ids")

    joined = dict(namespaces.settings(subject.policy).joined)
    wanted = {index: pair for index, pair in wanted.items() if pair[0] not in joined}
    trial = Trial(script.statements, partial(judge_namespaces, wanted))
    lost = weakened(subject, namespaces.NAME)
    why_not = lacking(script) or ("" if has_proc(subject) else NEEDS_PROC)
    yield Probe("namespaces", " ".join(sorted(made)), owns, (trial,), why_not=why_not, lost=lost)


def judge_namespaces(wanted: dict[int, tuple[str, bool]], seen: Seen) -> Finding:
    """Its own where it should be."""
    wrong = []
    for index, (kind, is_new) in wanted.items():
        found = seen.dumps.get(index, b"").rstrip(b"\0").decode("ascii", "replace")
        if not found or (found != own_namespace(kind)) is not is_new:
            wrong.append(f"{kind} is {found or 'unknown'}, and that of the host {own_namespace(kind)}")
    new = sum(is_new for _, is_new in wanted.values())
    return Finding(not wrong, ", ".join(wrong) if wrong else f"{new} of its own")


def nested_namespaces(subject: Subject) -> Iterator[Probe]:
    """How many namespaces of a kind may be made in the box, as the kernel has it: none."""

    def owns(step: Step) -> bool:
        return isinstance(step.op, BarNamespaces)

    flags = next((step.op.flags for step in subject.plan.inside if isinstance(step.op, BarNamespaces)), 0)
    kinds = [kind for kind, flag in NAMESPACES.items() if flags & flag]
    if not kinds:
        return
    script = Script(subject)
    wanted: dict[int, str] = {}
    for kind in kinds:
        opened = script.call("openat", AT_FDCWD, data(NAMESPACE_LIMITS[kind].encode()), 0)
        script.call("read", answer(opened), scratch(64), 64)
        wanted[script.say("dump 64")] = kind
    why_not = lacking(script) or ("" if shows_settings(subject) else NEEDS_PROC)
    trial = Trial(script.statements, partial(judge_limits, wanted), is_read_back=True)
    why_read = "the filter refuses ahead of it what would make one"
    yield Probe("namespaces.nested", f"no {', '.join(kinds)}", owns, (trial,), why_not=why_not, why_read=why_read)


def shows_settings(subject: Subject) -> bool:
    """The box has a /proc with settings of the kernel, and nothing covers them."""
    ops = [step.op for step in subject.plan.inside]
    is_whole = any(isinstance(op, MountFilesystem) and op.path == "/proc" and "subset=pid" not in op.options for op in ops)
    covered = (op.path for op in ops if isinstance(op, BindInside) and op.source != op.path)
    return is_whole and not any(NAMESPACE_LIMITS["user"].startswith(f"{path}/") for path in covered)


def judge_limits(wanted: dict[int, str], seen: Seen) -> Finding:
    """None of these kinds may be made."""
    texts = {kind: seen.dumps.get(index, b"").rstrip(b"\0\n").decode("ascii", "replace") for index, kind in wanted.items()}
    wrong = [f"{kind}: {text or 'unknown'} may be made" for kind, text in texts.items() if text != "0"]
    return Finding(not wrong, ", ".join(wrong) if wrong else "0 may be made")
