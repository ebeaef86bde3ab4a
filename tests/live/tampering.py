"""Ways to break a plan on purpose: for every row that a proof can have, steps that are gone or say less than they should.

None of them harms the host, although the box is a real one: what it shares or shows too much of is nothing that can be changed.
"""

from __future__ import annotations

import os
import re
import resource
import signal
from collections.abc import Callable
from dataclasses import replace

from sandboxer.abi.mount import MountAttr
from sandboxer.abi.namespaces import NAMESPACES
from sandboxer.controls.filesystem.settings import PRIVATE
from sandboxer.controls.limits import table
from sandboxer.model.op import (
    U32,
    U64,
    ArmCpuClock,
    ArmWallClock,
    Attach,
    BindInside,
    BringUpLoopback,
    LimitOutput,
    LoadFilter,
    MakeDirectory,
    MakeFile,
    MountFilesystem,
    MountOverlay,
    Op,
    SetHostName,
    SetNoNewPrivs,
    SetRlimit,
    SetScheduling,
    Start,
    StartByClone,
    Text,
    TextList,
    Unshare,
    WriteGroup,
)
from sandboxer.model.plan import Plan, Step
from sandboxer.model.stage import Stage
from sandboxer.prove.probe import Probe
from sandboxer.prove.prover import Tamper
from sandboxer.units import UNLIMITED

Change = Callable[[Step], Step | None]

SAID = {
    "memory": "1G",
    "cpuset": str(min(os.sched_getaffinity(0))),
    "scheduler": "batch",
    "niceness": "5",
    "io_weight": "50",
    "disk": "1M",
    "stop_signal": "SIGUSR1",
    "memory_high": "512M",
    "swap": "8M",
    "cpus": "1",
    "cpu_weight": "50",
    "cpu_time": "10s",
    "idle": "10s",
    "io_read": "50M",
    "io_write": "50M",
    "io_read_ops": "500",
    "io_write_ops": "500",
    "huge_pages": "2M",
    "address_space": "8G",
    "signals_pending": "100",
    "output": "1M",
}
"""A value for each limit that no shipped policy gives one. A new row of the table belongs here, unless it has a default."""


def every_limit(hidden: str) -> str:
    """A profile with everything that a row can be about. hidden: a directory in its project, to be hidden."""
    limits = ", ".join(f"{word}: {value}" for word, value in SAID.items())
    return (
        "kind: profile\nname: every\ndescription: Whatever can be proven.\nextends: [python]\n"
        f"limits: {{{limits}}}\nfilesystem: {{hide: ['{hidden}']}}\n"
    )


def changed(change: Change) -> Tamper:
    """The plan with each step changed, or without it where nothing comes back."""

    def tamper(_probe: Probe, plan: Plan) -> Plan:
        before, inside = (tuple(filter(None, map(change, steps))) for steps in (plan.before, plan.inside))
        return replace(plan, before=before, inside=inside)

    return tamper


def raised(probe: Probe, plan: Plan) -> Plan:
    """The numbers of a row's steps are larger: twice as large, clocks twenty times, and no rlimit beyond the caller's own."""

    def change(step: Step) -> Step:
        return replace(step, op=raise_op(step.op)) if probe.owns(step) or _is_about_swap(probe, step) else step

    return changed(change)(probe, plan)


def gone(probe: Probe, plan: Plan) -> Plan:
    """Nothing of a row is there."""
    return changed(lambda step: None if probe.owns(step) or _is_about_swap(probe, step) else step)(probe, plan)


def _is_about_swap(probe: Probe, step: Step) -> bool:
    """v1 takes no limit of memory and swap together below that of memory alone."""
    return probe.row == "limits.memory" and isinstance(step.op, WriteGroup) and "memsw" in step.op.file


def raise_op(op: Op) -> Op:
    """The op of a limit with a larger number."""
    match op:
        case SetRlimit():
            own = resource.getrlimit(op.resource)[1]
            most = UNLIMITED if own == resource.RLIM_INFINITY else own
            return replace(op, soft=U64(min(_twice(op.soft), most)), hard=U64(min(_twice(op.hard), most)))
        case WriteGroup():
            return replace(op, text=Text(raise_text(op.file, op.text)))
        case ArmWallClock():
            return replace(op, limit_ms=U64(20 * op.limit_ms), grace_ms=U64(20 * op.grace_ms), signal=U32(signal.SIGTERM))
        case ArmCpuClock():
            return replace(op, limit_us=U64(20 * op.limit_us), idle_ms=U64(20 * op.idle_ms))
        case LimitOutput():
            return replace(op, limit=U64(_twice(op.limit)))
        case SetScheduling():
            return replace(op, policy=U32(0), niceness=U32(0))
        case MountFilesystem(kind="tmpfs"):
            return replace(op, options=TextList(tuple(map(raise_size, op.options))))
        case MountOverlay():
            return replace(op, size_bytes=U64(_twice(op.size_bytes)))
    return op


def _twice(value: int) -> int:
    return min(2 * value + 1, UNLIMITED)


def raise_size(option: str) -> str:
    """An option of a tmpfs, with more room."""
    name, _, value = option.partition("=")
    return f"{name}={_twice(int(value))}" if name in ("size", "nr_inodes") else option


def raise_text(file: str, text: str) -> str:
    """What is written to a file of a group, with a larger number: the last one behind the number of a disk, else the first."""
    if file in ("memory.oom.group", "cpu.cfs_period_us"):
        return text  # no limit
    if file == "cpuset.cpus":
        return ",".join(map(str, sorted(os.sched_getaffinity(0))))
    place = r"\d+$" if ":" in text else r"^\d+"
    return re.sub(place, lambda found: str(_twice(int(found[0]))), text)


def sharing(kind: str) -> Tamper:
    """A namespace of the host, where it can do no harm. What the box would do to its own is left out."""
    flag = NAMESPACES[kind]
    tied = {"uts": SetHostName, "net": BringUpLoopback}.get(kind, ())

    def change(step: Step) -> Step | None:
        match step.op:
            case Start() | StartByClone():
                return replace(step, op=replace(step.op, clone_flags=U64(step.op.clone_flags & ~flag)))
            case Unshare():
                return replace(step, op=replace(step.op, flags=U64(step.op.flags & ~flag)))
        return None if isinstance(step.op, tied) else step

    return changed(change)


def _is_second_wall(step: Step) -> bool:
    return step.control == "landlock"


def gain(step: Step) -> Step | None:
    """Nothing of what may not be loaded without no_new_privs, and no no_new_privs."""
    return None if isinstance(step.op, SetNoNewPrivs | LoadFilter) or _is_second_wall(step) else step


def make_writable(step: Step) -> Step | None:
    """All mounts writable, and no second wall."""
    if attributes := getattr(step.op, "attributes", 0):
        step = replace(step, op=replace(step.op, attributes=attributes & ~MountAttr.RDONLY))  # type: ignore[call-arg]
    return None if _is_second_wall(step) else step


def uncover(step: Step) -> Step | None:
    """Nothing covers a path."""
    return None if isinstance(step.op, BindInside) and step.op.source.startswith(f"{PRIVATE}/") else step


def show_more(_probe: Probe, plan: Plan) -> Plan:
    """One more directory in the root, and no second wall."""
    inside = [step for step in plan.inside if not _is_second_wall(step)]
    at = next(index for index, step in enumerate(inside) if isinstance(step.op, MakeDirectory))
    more = Step(MakeDirectory(Text("/media"), U32(0o755)), Stage.MOUNTS, "filesystem")
    return replace(plan, inside=(*inside[:at], more, *inside[at:]))


def no_devices(step: Step) -> Step | None:
    """No device at all, and no second wall, which would miss them."""
    return None if step.control == "devices" or _is_second_wall(step) else step


def disguise(step: Step) -> Step | None:
    """A harmless device at the path of another one, and no second wall."""
    if isinstance(step.op, MakeFile | Attach) and step.op.path == "/dev/full":
        step = replace(step, op=replace(step.op, path=Text("/dev/fuse")))
    return None if _is_second_wall(step) else step


BREAKS: dict[str, dict[str, Tamper]] = {
    **{f"limits.{row.word}": {"gone": gone, "raised": raised} for row in table.ROWS},
    **{
        row: {"gone": gone}
        for row in ("seccomp.calls", "seccomp.foreign", "seccomp.sockets", "capabilities", "landlock", "namespaces.nested")
    },
    "process.no_new_privs": {"gone": changed(gain)},
    "namespaces": {kind: sharing(kind) for kind in ("ipc", "uts", "net", "cgroup")},
    "filesystem.shown": {"one more": show_more},
    "filesystem.hide": {"uncovered": changed(uncover)},
    "filesystem.proc_mask": {"uncovered": changed(uncover)},
    "filesystem.write": {"writable": changed(make_writable)},
    "devices": {"gone": changed(no_devices), "one more": changed(disguise)},
    "network.mode": {"shared": sharing("net")},
}
"""For each row, by a word for people, what it has to notice. mount, pid and user namespaces are never shared on purpose."""
