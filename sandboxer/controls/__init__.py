"""One room for each thing that a profile can say. ROOMS is the only list of them; people see them in its order."""

from __future__ import annotations

from sandboxer.controls import (
    capabilities,
    devices,
    environment,
    filesystem,
    ids,
    landlock,
    limits,
    namespaces,
    network,
    process,
    seccomp,
)
from sandboxer.controls.lsm import apparmor, selinux
from sandboxer.controls.room import Room

ROOMS: tuple[Room, ...] = (
    namespaces,
    ids,
    filesystem,
    devices,
    capabilities,
    seccomp,
    limits,
    network,
    process,
    environment,
    landlock,
    apparmor,
    selinux,
)
