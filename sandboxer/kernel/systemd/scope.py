"""A control group out of nothing: the caller's systemd makes a delegated scope for this process, and groups can be made there.

An ordinary user's terminal or ssh session is in `session-N.scope`, which belongs to root. The user's own systemd has controllers
to give, and moves a process there when that process asks. Each run asks for a scope of its own, so two at once never meet; it is
gone with the last process in it, and what was made below goes along. v2 gives controllers only below a group without processes,
so this process goes on into a group `front` of the scope, and boxes are made beside it.

Source: org.freedesktop.systemd1(5), StartTransientUnit; systemd.scope(5); https://systemd.io/CGROUP_DELEGATION.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from jeepney import DBusAddress

from sandboxer.kernel.groups import FRONT, PREFIX, SUFFIX, find_own_group
from sandboxer.kernel.systemd.bus import Bus, BusError, BusRefusal
from sandboxer.kernel.systemd.sockets import Socket

LIMIT_S = 1.0
"""How long a start may wait for an answer. systemd takes some milliseconds."""
PAUSE_S = 0.001
_MANAGER = DBusAddress(
    "/org/freedesktop/systemd1", bus_name="org.freedesktop.systemd1", interface="org.freedesktop.systemd1.Manager"
)
_ASKED = "the user's systemd was asked for a group"


def enter_scope(sockets: Iterable[Socket], *, limit_s: float = 0) -> str:
    """Move this process, with all its threads, into a scope of its own. Why that cannot be; empty: it is there."""
    deadline = time.monotonic() + (limit_s or LIMIT_S)
    problem = ""
    for socket in sockets:
        try:
            with Bus(socket.path, deadline=deadline, is_direct=socket.is_direct) as bus:
                return _enter(bus, f"{PREFIX}{os.urandom(8).hex()}{SUFFIX}", deadline)
        except BusError as error:
            problem = problem or f"{_ASKED}: {error}"
    return problem


def _enter(bus: Bus, name: str, deadline: float) -> str:
    """Ask, wait until it is done, and go on into a group below. Raises: BusError."""
    properties = [
        ("Description", ("s", "a run of sandboxer")),
        ("PIDs", ("au", [0])),  # whoever asks, as the manager sees it
        ("Delegate", ("b", True)),
        ("CollectMode", ("s", "inactive-or-failed")),
        ("Slice", ("s", "app.slice")),
    ]
    bus.call(_MANAGER, "StartTransientUnit", "ssa(sv)a(sa(sv))", (name, "fail", properties, []))
    while not (scope := find_own_group()).endswith(f"/{name}"):
        if time.monotonic() >= deadline:
            return f"{_ASKED}, and did not put this process into it in time"
        if not _is_loaded(bus, name) and not find_own_group().endswith(f"/{name}"):
            return f"{_ASKED}, and could not put this process into it"
        time.sleep(PAUSE_S)
    return _go_below(scope)


def _is_loaded(bus: Bus, name: str) -> bool:
    """Whether there is such a unit: a scope that could take nothing in is gone at once. Raises: BusError."""
    try:
        bus.call(_MANAGER, "GetUnit", "s", (name,))
    except BusRefusal:
        return False
    return True


def _go_below(scope: str) -> str:
    group = f"{scope}/{FRONT}"
    try:
        os.mkdir(group)
        with open(f"{group}/cgroup.procs", "w") as stream:
            stream.write("0")
    except OSError as error:
        return f"{_ASKED}, and it cannot be used ({error.strerror})"
    return ""
