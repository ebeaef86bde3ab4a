"""Control groups for whoever has none: the caller's systemd is asked, where a profile wants them and this process may be moved.

Only the command line may move itself. A program that calls sandboxer as a library stays where it is, and gets what its own group
gives. Cold path, and the first step of a warm start that a note in the cache sends here.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

from sandboxer.controls import ROOMS
from sandboxer.kernel.probe import probe
from sandboxer.kernel.systemd.sockets import candidate_sockets
from sandboxer.model.host import Hierarchy, Host
from sandboxer.model.policy import Policy, Trait

Ask = Callable[[], str]
"""Moves this process into a group of its own, and says why it cannot; empty: it did."""
WHOLE = Hierarchy(0, "/sys/fs/cgroup", ("cpu", "cpuset", "hugetlb", "io", "memory", "pids"), 1)


def ask_for_scope() -> str:
    """Ask the caller's systemd, if there is one."""
    sockets = [socket for socket in candidate_sockets(os.environ) if socket.is_there]
    if not sockets:
        return "there is no systemd of the user's own that could be asked for a group"
    from sandboxer.kernel.systemd.scope import enter_scope

    return enter_scope(sockets)


def scope_inputs() -> tuple[str, ...]:
    """The paths that tell whether there is a systemd to ask."""
    return tuple(socket.path for socket in candidate_sockets(os.environ))


def can_be_asked() -> bool:
    """Whether one is there: then what it answers is not for the cache."""
    return any(socket.is_there for socket in candidate_sockets(os.environ))


def is_bare(host: Host) -> bool:
    """Whether the caller is an ordinary user of a v2 host, in a group below which there are no controllers, and has not asked."""
    is_asking = host.cgroup == "v2" and host.uid != 0 and not host.has_scope
    return is_asking and not any(tree.controllers for tree in host.hierarchies)


def wants_scope(policy: Policy, host: Host) -> bool:
    """Whether a profile would lack less with control groups: limits of the whole box, or the kill of one that sees the host."""
    if not is_bare(host):
        return False
    if Trait.NEW_PID_NAMESPACE not in policy.traits and not host.hierarchies:
        return True
    return _lacks(policy, host) > _lacks(policy, replace(host, hierarchies=(WHOLE,), controller_problems={}))


def _lacks(policy: Policy, host: Host) -> int:
    return sum(len(room.need(policy.settings[room.NAME], host)) for room in ROOMS)


def probe_in_scope(ask: Ask) -> Host:
    """The host, after this process was moved into a group of its own if that takes no more than asking."""
    host = probe()
    if not is_bare(host):
        return host
    problem = ask()
    return told_problem(host, problem) if problem else probe()


def told_problem(host: Host, problem: str) -> Host:
    """The host with what came of asking, beside what stands in the way by itself."""
    problems = {name: f"{why}; {problem}" for name, why in host.controller_problems.items()}
    return replace(host, controller_problems=problems)
