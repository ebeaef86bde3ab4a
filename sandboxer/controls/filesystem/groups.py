"""/sys/fs/cgroup of the box's own: the groups that were made for it, and nothing above them. Pure.

The mount shows what the cgroup namespace has as its root, so the box is in its groups, and the namespace is made, ahead of it. In
the v2 tree alone it stands at /sys/fs/cgroup itself; elsewhere each hierarchy has a directory there, as the host has it.
A delegated box lives one group below the one that its limits are in: what it may write is not what holds it.
Source: cgroup_namespaces(7); Documentation/admin-guide/cgroup-v2.rst, "Delegation".
"""

from __future__ import annotations

from dataclasses import dataclass

from sandboxer.controls.filesystem.proc import QUIET, SEALED
from sandboxer.controls.room import Lack, Shown, Use, Want
from sandboxer.model.host import Hierarchy, Host
from sandboxer.model.op import U32, U64, DelegateGroup, MakeDirectory, MountFilesystem, Op, Text, TextList, WriteGroup
from sandboxer.model.place import Place

TOP = "/sys/fs/cgroup"
UNIFIED = f"{TOP}/unified"
SHOWN_OF_V1 = frozenset({"memory", "pids", "cpu", "blkio"})
"""A new group of cpuset has no processors, and lets nobody in; the others say nothing that is of use."""
MOST_GROUPS, MOST_LEVELS = 256, 8
"""How many groups a delegated box can make, and how deep: each is kernel memory, and somebody has to remove them."""


@dataclass(frozen=True, slots=True)
class Groups:
    """before: what is done outside. mounts: what is mounted. wants: the groups that it takes."""

    before: tuple[Op, ...] = ()
    mounts: tuple[Op, ...] = ()
    wants: tuple[Want, ...] = ()
    shown: tuple[Shown, ...] = ()


def lack(kind: str, host: Host, place: Place) -> Lack | None:
    """What this host cannot give of it."""
    if kind == "none" or _trees(kind, host):
        return None
    why = host.controller_problems.get("memory") or "this host has no control groups that a box can have"
    if kind == "delegate" and any(SHOWN_OF_V1 & set(tree.controllers) for tree in host.hierarchies if not tree.is_v2):
        why = "v1's hierarchies cannot be handed over safely"
    if "cgroup" not in host.namespaces:
        why = "the kernel has no cgroup namespaces"
    attempt = "a host with cgroup v2" if host.cgroup in ("v1", "hybrid") else "systemd-run --user --scope -p Delegate=yes ..."
    return Lack(f"no control groups can be shown at {TOP}", why, attempt, f"there is no {TOP}", place)


def _trees(kind: str, host: Host) -> tuple[Hierarchy, ...]:
    """Those that are shown. A tree without controllers says little beside others, and is nothing to be handed over."""
    if "cgroup" not in host.namespaces:
        return ()  # the mount would show all that the host has
    v2 = [tree for tree in host.hierarchies if tree.is_v2 and (tree.controllers or kind == "read")]
    v1 = [tree for tree in host.hierarchies if not tree.is_v2 and SHOWN_OF_V1 & set(tree.controllers)]
    if kind == "delegate":
        return () if v1 else tuple(v2)
    return tuple(v2 + [tree for tree in v1 if "cpuset" not in tree.names])


def lower_groups(kind: str, host: Host, *, outside: tuple[int, int], place: Place) -> Groups:
    """The ops for this host; none where `lack` has said so. outside: the host ids that the job really has."""
    trees = () if kind == "none" else _trees(kind, host)
    is_delegated = kind == "delegate"
    attributes = U64(QUIET if is_delegated else SEALED)
    mounts: list[Op] = []
    wants: list[Want] = []
    shown: list[Shown] = []
    is_unified = all(tree.is_v2 for tree in trees)
    for tree in trees:
        path = TOP if is_unified else UNIFIED if tree.is_v2 else f"{TOP}/{','.join(tree.names)}"
        options = TextList(() if tree.is_v2 else tree.names)
        mounts.append(MakeDirectory(Text(path), U32(0o755)))
        mounts.append(MountFilesystem(Text("cgroup2" if tree.is_v2 else "cgroup"), Text(path), attributes, options))
        controllers = tree.controllers if is_delegated else tree.controllers[: 0 if tree.is_v2 else 1] or ("",)
        wants += [Want(tree.group, controller, place) for controller in controllers]
        use = Use.LIST | Use.READ | (Use.CHANGE | Use.MAKE if is_delegated else Use(0))
        shown.append(Shown(path, use, place=place))
    before = _delegation(trees[0], outside) if is_delegated and trees else ()
    return Groups(before, tuple(mounts), tuple(wants), tuple(shown))


def _delegation(tree: Hierarchy, outside: tuple[int, int]) -> tuple[Op, ...]:
    enable = TextList(tuple(f"+{name}" for name in tree.controllers))
    return (
        WriteGroup(U32(tree.group), Text("cgroup.max.descendants"), Text(str(MOST_GROUPS))),
        WriteGroup(U32(tree.group), Text("cgroup.max.depth"), Text(str(MOST_LEVELS))),
        DelegateGroup(U32(outside[0]), U32(outside[1]), enable),
    )
