"""The layers of a box, as steps of its real plan: which step belongs to which, and the plan with only some of them left."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import replace
from enum import Enum

from sandboxer.abi import bpf
from sandboxer.abi.namespaces import CloneFlag
from sandboxer.model.op import (
    U64,
    BarNamespaces,
    BecomeInit,
    Blob,
    CloseFds,
    LoadFilter,
    Op,
    ReadSpaces,
    SetDumpable,
    SetHostName,
    SetNoNewPrivs,
    SetWorkingDirectory,
    Start,
    StartByClone,
    Unshare,
)
from sandboxer.model.plan import Plan, Step
from sandboxer.model.stage import Stage


class Layer(Enum):
    """What can be taken away from a box. The value is its name for people. A label would be one more, on a kernel that has it."""

    VIEW = "view"
    PRIVILEGE = "privilege"
    SECCOMP = "seccomp"
    LANDLOCK = "Landlock"
    START = "start"


Layers = frozenset[Layer]
ALL: Layers = frozenset(Layer)

OPS: dict[type[Op], Layer | None] = {
    LoadFilter: Layer.SECCOMP,
    BarNamespaces: Layer.PRIVILEGE,
    SetNoNewPrivs: Layer.PRIVILEGE,
    SetDumpable: Layer.PRIVILEGE,
    BecomeInit: Layer.VIEW,
    SetHostName: Layer.VIEW,
    ReadSpaces: Layer.VIEW,
    CloseFds: Layer.START,
    SetWorkingDirectory: None,
}
"""Those that belong elsewhere than the rest of their room."""
ROOMS: dict[str, Layer] = {
    "namespaces": Layer.VIEW,
    "filesystem": Layer.VIEW,
    "devices": Layer.VIEW,
    "network": Layer.VIEW,
    "ids": Layer.PRIVILEGE,
    "capabilities": Layer.PRIVILEGE,
    "landlock": Layer.LANDLOCK,
}
"""Steps of all others (limits, the session, the umask) stand in every plan: no attempt of the table is theirs to stop."""

MARK = 133
"""EHWPOISON, which no call of an attempt answers of itself. It tells a filter's refusals from those of whoever stands behind."""


def layer_of(step: Step) -> Layer | None:
    """The layer that a step belongs to; None: it always stays."""
    kind = type(step.op)
    return OPS[kind] if kind in OPS else ROOMS.get(step.control)


def only(plan: Plan, layers: Layers) -> Plan:
    """The plan with the steps of these layers, and with those of none."""
    before, inside, after = (tuple(_kept(steps, layers)) for steps in (plan.before, plan.inside, plan.after))
    return replace(plan, before=before, inside=inside, after=after)


def _kept(steps: Iterable[Step], layers: Layers) -> Iterator[Step]:
    # A copy of the mounts that there are is no wall; what an attempt mounts goes with the box then, and the next one finds none.
    flags = CloneFlag.NEWNS | sum(flag for flag in CloneFlag if _layer_of_flag(flag) in layers)
    for step in steps:
        match step.op:
            case Start() | StartByClone():
                yield replace(step, op=replace(step.op, clone_flags=U64(step.op.clone_flags & flags)))
            case Unshare():
                if left := step.op.flags & flags:
                    yield replace(step, op=replace(step.op, flags=U64(left)))
            case _:
                if layer_of(step) in (None, *layers):
                    yield step


def _layer_of_flag(flag: CloneFlag) -> Layer:
    return Layer.PRIVILEGE if flag is CloneFlag.NEWUSER else Layer.VIEW


def split(plan: Plan) -> tuple[Plan, Plan]:
    """A plan without a root of its own in two: the box, and what its command does in place ahead of the real one.

    Landlock's paths are found from the root that the plan has made; only in place the launcher takes the one that is there.
    """
    late = tuple(step for step in plan.inside if step.stage >= Stage.LANDLOCK)
    close = tuple(step for step in plan.inside if isinstance(step.op, CloseFds))
    early = tuple(step for step in plan.inside if step not in (*late, *close))
    return replace(plan, inside=early), replace(plan, before=(), inside=(*close, *late), after=(), is_in_place=True)


def marked(plan: Plan) -> Plan:
    """The plan with filters that answer MARK wherever they answer an error number."""

    def change(step: Step) -> Step:
        if isinstance(step.op, LoadFilter):
            return replace(step, op=replace(step.op, program=Blob(mark(step.op.program))))
        return step

    return replace(plan, inside=tuple(map(change, plan.inside)))


def mark(program: bytes) -> bytes:
    """A filter with MARK in the place of each error number. seccomp(2), SECCOMP_RET_ERRNO."""
    made = []
    for code, yes, no, value in struct.iter_unpack("<HBBI", program):
        is_error = code == bpf.RET_K and value & bpf.RET_ACTION == bpf.RET_ERRNO
        made.append(struct.pack("<HBBI", code, yes, no, bpf.RET_ERRNO | MARK if is_error else value))
    return b"".join(made)
