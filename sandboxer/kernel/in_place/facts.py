"""The facts that a plan in place depends on, asked of this process alone.

No child is started and no file needed, so that a process that is confined already can find out as much as another one. What a
box would need (namespaces, mounts, control groups) is not looked at, and keeps the values of a pretended machine.
"""

from __future__ import annotations

import ctypes
import errno
import os
from dataclasses import replace

from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.errors import HostError, Problem
from sandboxer.kernel import calls
from sandboxer.kernel.obstacle import find_landlock_obstacle
from sandboxer.kernel.prctl import read_capability_sets
from sandboxer.kernel.probe import find_caller
from sandboxer.model.host import Host

TASKS = "/proc/self/task"
SECCOMP_GET_ACTION_AVAIL = 2  # include/uapi/linux/seccomp.h
ACTIONS = {
    "kill_process": 0x80000000,
    "kill_thread": 0x00000000,
    "trap": 0x00030000,
    "errno": 0x00050000,
    "user_notif": 0x7FC00000,
    "trace": 0x7FF00000,
    "log": 0x7FFC0000,
    "allow": 0x7FFF0000,
}
"""SECCOMP_RET_*, by the names of /proc/sys/kernel/seccomp/actions_avail."""


def find_process_facts() -> Host:
    """The kernel and this process, as far as a plan in place reads them."""
    sets = read_capability_sets()
    abi, number = calls.find_landlock_abi()
    obstacle = find_landlock_obstacle({"landlock": number}, ())
    return replace(
        find_caller(sets, os.environ),
        namespaces=frozenset(),
        seccomp_actions=_find_actions(),
        landlock_abi=abi,
        landlock_problem=obstacle.why if obstacle else "",
        landlock_mend=obstacle.mend if obstacle else "",
        has_swap=os.path.exists("/proc/swaps"),
        processors=sum(1 << number for number in os.sched_getaffinity(0)),
    )


def _find_actions() -> frozenset[str]:
    """What a filter can answer, asked of seccomp(2): the file in /proc may be out of reach. Since Linux 4.14."""
    number = NUMBERS.get(os.uname().machine, {}).get("seccomp")
    if number is None:
        return frozenset()
    return frozenset(name for name, value in ACTIONS.items() if _is_known(number, value))


def _is_known(number: int, action: int) -> bool:
    try:
        calls.call(number, SECCOMP_GET_ACTION_AVAIL, 0, ctypes.byref(ctypes.c_uint32(action)))
    except OSError:
        return False
    return True


def count_threads() -> int:
    """How many threads this process has, those that Python did not start included.

    The kernel counts them into the links of the directory, and stat(2) is nothing that Landlock refuses.
    Raises: HostError where /proc is not there. Source: fs/proc/base.c, proc_task_getattr.
    """
    try:
        return os.stat(TASKS).st_nlink - 2
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "")
        problem = Problem(
            "it cannot be told whether this process has other threads", why=f"{TASKS}: {name}", attempt="mount /proc"
        )
        raise HostError(problem) from error
