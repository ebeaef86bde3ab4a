"""Whether SELinux will let a box be, asked of the loaded policy ahead of the start: later, it would be refused without a word."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from sandboxer.abi.mount import MountAttr
from sandboxer.compile.seal import HOLE
from sandboxer.controls.lsm import selinux
from sandboxer.controls.lsm.selinux.types import TREES
from sandboxer.controls.paths import covers
from sandboxer.kernel.lsm.handed import find_missing, is_valid
from sandboxer.kernel.lsm.selinux import find_label
from sandboxer.model.host import Host, Unloaded
from sandboxer.model.op import PAIR, LabelMounts, LimitOutput, MountOverlay, OpenTree, SetExecContext
from sandboxer.model.plan import Plan

_ANY_PAIR = "c100,c101"
assert len(_ANY_PAIR) == len(PAIR) == len(HOLE)
_READ, _WRITE = ("getattr", "read"), ("getattr", "read", "write")
_KINDS = (
    (stat.S_ISDIR, "dir", (*_READ, "open", "search"), (*_WRITE, "open", "search", "add_name", "remove_name")),
    (stat.S_ISREG, "file", (*_READ, "open"), (*_WRITE, "open")),
    (stat.S_ISCHR, "chr_file", (*_READ, "open"), (*_WRITE, "open")),
    (stat.S_ISBLK, "blk_file", (*_READ, "open"), (*_WRITE, "open")),
)
"""What a box needs of a thing of the host that it is shown for reading, and for writing, by the class of it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The contexts of a plan. is_made: they come with a module of ours, which `load` loads."""

    plan: Plan
    is_made: bool
    load: str


def find_unknown(wanted: Wanted, host: Host) -> tuple[Unloaded, ...]:
    """What is in the way, by the type that it is about: at most one thing, with the command that takes it away."""
    ops = [step.op for step in wanted.plan.inside]
    context = context_of(wanted.plan).replace(PAIR, _ANY_PAIR)
    files = next((op.context.replace(PAIR, _ANY_PAIR) for op in ops if isinstance(op, LabelMounts)), "")
    for found in _obstacles(wanted, host, context, files):
        return (found,)
    return ()


def module_of(plan: Plan) -> str:
    """The name of the module whose domain the command enters; empty for a plan without one."""
    context = context_of(plan)
    return _type_of(context).removesuffix("_t") if context else ""


def context_of(plan: Plan) -> str:
    """The context of the command; empty for a plan without one."""
    return next((step.op.context for step in plan.inside if isinstance(step.op, SetExecContext)), "")


def find_handed(plan: Plan) -> tuple[int, ...]:
    """Those of the standard streams that are the caller's own: a terminal is the box's, and limited outputs are our pipes."""
    if plan.recipe.terminal:
        return ()
    return (0,) if _limits_output(plan) else (0, 1, 2)


def _limits_output(plan: Plan) -> bool:
    return not plan.recipe.terminal and any(isinstance(step.op, LimitOutput) for step in plan.before)


def _type_of(context: str) -> str:
    return context.split(":")[2]


def _obstacles(wanted: Wanted, host: Host, context: str, files: str) -> Iterator[Unloaded]:
    if not context:
        return
    for item in (context, files):
        if not is_valid(item):
            why = "the module is not loaded" if wanted.is_made else f"the policy has no context {item}"
            yield Unloaded(_type_of(item), why, wanted.load)
    own, name = host.selinux_context, _type_of(context)
    if find_missing(own, own, "process", ("setexec",)) or find_missing(own, context, "process", ("transition",)):
        yield Unloaded(name, f"{own} may not enter it", "start it from an unconfined login, such as unconfined_t")
    if _limits_output(wanted.plan) and (missing := find_missing(context, own, "fifo_file", ("write",))):
        why = f"limited outputs go through pipes of {own}, which it may not use ({' '.join(missing)})"
        yield Unloaded(name, why, "`limits: {output: unlimited}`, or a terminal (-t)")
    for path, is_written in _shown(wanted.plan):
        yield from _label_obstacle(path, name, context, wanted, is_written=is_written)


def _shown(plan: Plan) -> Iterator[tuple[str, bool]]:
    """Trees of the host that are shown as they are, and whether they can be written; an overlay has a label of its own."""
    layers = {
        slot for step in plan.inside if isinstance(step.op, MountOverlay) for slot in (step.op.lower_slot, step.op.upper_slot)
    }
    for step in plan.inside:
        if isinstance(step.op, OpenTree) and step.op.slot not in layers:
            yield step.op.path, not step.op.attributes & MountAttr.RDONLY


def _label_obstacle(path: str, name: str, context: str, wanted: Wanted, *, is_written: bool) -> Iterator[Unloaded]:
    try:
        mode = os.stat(path, follow_symlinks=False).st_mode
    except OSError:
        return  # who starts the box will say so
    row = next((row for row in _KINDS if row[0](mode)), None)
    label = find_label(path)
    if row is None or not label:
        return
    missing = find_missing(context, label, row[1], row[3] if is_written else row[2])
    is_system = any(covers(tree.path, path) for tree in TREES) or covers("/dev", path)
    if is_system and not is_written and not wanted.is_made:
        return  # the policy's authors have decided what of the system their domain may read: the job is told EACCES
    if missing:
        mend = f"restorecon -R {path}" if is_system else f"chcon -R -t {selinux.SHARED_TYPE} {path}"
        why = f"{path} has the label {label}, which it may not {'write to' if is_written else 'read'} ({' '.join(missing)})"
        if not wanted.is_made:
            kind = selinux.FILE_TYPES.get(name)
            mend = f"chcon -R -t {kind} {path}" if kind else f"chcon -R -t TYPE {path}, with a type that {name} may use"
        yield Unloaded(name, why, mend)
