"""Control groups of the v2 tree: where the caller's own lies, and whether a box can get one below it with a device program.

It serves beside v1 controllers too: a device program needs no controller, so a hybrid host gives what a unified one does.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from sandboxer.abi.errnos import Errno
from sandboxer.kernel.proc import Mount, find_text, own_cgroup
from sandboxer.kernel.trial import NOT_TRIED, Trial

PLAIN = "domain"
OURS = "sandboxer"
"""The group that has those of boxes. Source: launcher/c/outside/group.c."""


@dataclass(frozen=True, slots=True)
class DeviceGroups:
    """mount: where the v2 tree is, if a box can have a device program there; else empty, and `problem` says why."""

    mount: str = ""
    problem: str = ""


def find_device_groups(mounts: tuple[Mount, ...], trial: Trial, *, is_privileged: bool) -> DeviceGroups:
    """Look at the caller's own group. The launcher looks again, for a plan outlives the group that it was made in."""
    if not is_privileged:
        return DeviceGroups(problem="only root may attach one")
    mount = next((mount.point for mount in mounts if mount.filesystem == "cgroup2"), "")
    if not mount:
        return DeviceGroups(problem="no cgroup v2 tree is mounted")
    directory = _own_directory(mount)
    if not directory:
        return DeviceGroups(problem="the caller's control group is not in the tree that is mounted here")
    if not os.access(directory, os.W_OK, effective_ids=True):
        return DeviceGroups(problem=f"no group can be made in {directory}")
    kind = find_text(f"{directory}/cgroup.type")  # the root has none
    if kind is not None and kind.strip() != PLAIN:
        return DeviceGroups(problem=f"the caller's control group is {kind.strip()}")
    errno = trial.errno("devices")
    if errno:
        said = "could not be tried" if errno == NOT_TRIED else f"are refused by the kernel ({Errno(errno).name})"
        return DeviceGroups(problem=f"device programs {said}")
    return DeviceGroups(mount)


def sweep_groups(mount: str) -> None:
    """Remove the groups of launchers that were killed: a launcher removes its own. They are empty, and named by its pid."""
    try:
        left = os.listdir(f"{_own_directory(mount)}/{OURS}")
    except OSError:
        return  # no box has run here yet
    for name in left:
        pid, dash, _ = name.partition("-")
        if dash and pid.isdecimal() and not os.path.exists(f"/proc/{pid}"):
            try:
                os.rmdir(f"{_own_directory(mount)}/{OURS}/{name}")
            except OSError:
                pass  # EBUSY: its last processes are about to end; ENOENT: somebody else was faster


def _own_directory(mount: str) -> str:
    """The caller's own group; empty where the tree does not show it."""
    group = own_cgroup(find_text("/proc/self/cgroup") or "")
    return os.path.normpath(f"{mount}/{group}") if group and "/.." not in group else ""
