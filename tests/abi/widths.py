"""Calls with a bit set beyond what a table says that the kernel looks at, each made in a process of its own.

    python -m tests.abi.widths

prints what each case came to, as JSON. None leaves anything behind: they ask, they touch memory and descriptors of the
process that ends right after, or they fail. `CASES` is what the test goes through.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import platform
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandboxer.abi.constants import CONSTANTS
from sandboxer.abi.syscalls_table import NUMBERS

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long
PAGE = mmap.PAGESIZE


@dataclass(frozen=True)
class Case:
    """One argument, by its position, of a call that is made thrice: plain, with `bit` set as well, and with another value.

    plain: arguments, or what makes them. other: a value of the argument that must come to something else, so that the case shows
    that the kernel looks at it at all; None where there is none. after: what to look at beside the result.
    """

    call: str
    argument: str
    index: int
    plain: tuple[int, ...] | Callable[[], tuple[int, ...]]
    other: int | None
    bit: int = 32
    after: Callable[[], Any] = field(default=lambda: None)


def call(name: str, arguments: tuple[int, ...]) -> int:
    """A raw system call; a negative result is an error number."""
    words = [ctypes.c_long(value if value < 1 << 63 else value - (1 << 64)) for value in (*arguments, 0, 0, 0, 0, 0, 0)[:6]]
    result = int(_LIBC.syscall(ctypes.c_long(NUMBERS[platform.machine()][name]), *words))
    return -ctypes.get_errno() if result == -1 else result


def page() -> int:
    """A page of memory, mapped for reading and writing."""
    return call("mmap", (0, PAGE, 3, CONSTANTS["MAP_PRIVATE"] | CONSTANTS["MAP_ANONYMOUS"], -1, 0))


def file(flags: int = os.O_RDWR) -> int:
    """A file of one page in memory."""
    made = os.memfd_create("widths")
    os.truncate(made, PAGE)
    return os.open(f"/proc/self/fd/{made}", flags)


def shared_page() -> int:
    """A page of a file, mapped for everybody to write."""
    return call("mmap", (0, PAGE, 3, CONSTANTS["MAP_SHARED"], file(), 0))


def sleeper() -> int:
    """A child that waits for its end, which it meets with ours."""
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        call("prctl", (CONSTANTS["PR_SET_PDEATHSIG"], signal.SIGKILL))
        os.write(tell, b"!")
        os.closerange(3, 1024)
        signal.pause()
        os._exit(0)
    os.read(ready, 1)
    return child


def mode_of(descriptor: int) -> int:
    """The mode of an open file, without its type."""
    return os.fstat(descriptor).st_mode & 0o7777


KNOWN = 9
"""The descriptor of the file that a case looks at after."""


def known(*rest: int) -> tuple[int, ...]:
    """Arguments of a call on a file under the known descriptor."""
    os.dup2(file(), KNOWN)
    return (KNOWN, *rest)


def spawned(result: int) -> int:
    """End the child of a clone; in its parent, whether there is one."""
    if result == 0:
        os._exit(0)
    return 1 if result > 0 else result


_SELF = os.getpid

CASES = (
    # The prototype has 32 bits.
    Case("socket", "family", 0, (socket.AF_UNIX, socket.SOCK_STREAM, 0), 200),
    Case("socket", "type", 1, (socket.AF_UNIX, socket.SOCK_STREAM, 0), 11),
    Case("socket", "protocol", 2, (socket.AF_UNIX, socket.SOCK_STREAM, 0), 200),
    Case("socketpair", "family", 0, lambda: (socket.AF_UNIX, socket.SOCK_STREAM, 0, page()), 200),
    Case("getsockopt", "level", 1, lambda: (socket.socket().detach(), 1, 3, page(), page()), 99),
    Case("ioctl", "fd", 0, lambda: (file(), CONSTANTS["FIOCLEX"]), 999),
    Case("ioctl", "cmd", 1, lambda: (file(), CONSTANTS["FIOCLEX"]), 0x5413),
    Case("fcntl", "cmd", 1, lambda: (file(), CONSTANTS["F_GETFD"]), 999),
    Case("prctl", "option", 0, (CONSTANTS["PR_GET_DUMPABLE"],), 0x7FFF),
    Case("keyctl", "option", 0, (CONSTANTS["KEYCTL_CAPABILITIES"],), 999),
    Case("futex", "op", 1, lambda: (page(), CONSTANTS["FUTEX_WAKE"], 1), 127),
    Case("personality", "personality", 0, (CONSTANTS["PER_QUERY"],), None, after=lambda: call("personality", (0xFFFFFFFF,))),
    Case("madvise", "behavior", 2, lambda: (page(), PAGE, CONSTANTS["MADV_NORMAL"]), 999),
    Case("openat", "flags", 2, lambda: (-100, path("/dev/null"), os.O_RDONLY), os.O_DIRECTORY),
    Case("kill", "pid", 0, lambda: (_SELF(), 0), 0x7FFFFFF0),
    Case("kill", "sig", 1, lambda: (_SELF(), 0), 999),
    Case("seccomp", "op", 0, lambda: (CONSTANTS["SECCOMP_GET_NOTIF_SIZES"], 0, page()), 99),
    Case("seccomp", "flags", 1, lambda: (CONSTANTS["SECCOMP_GET_NOTIF_SIZES"], 0, page()), 1),
    Case("clock_gettime", "which_clock", 0, lambda: (CONSTANTS["CLOCK_MONOTONIC"], page()), 999),
    Case("memfd_create", "flags", 1, lambda: (path("name"), 0), 0x8000),
    Case("membarrier", "cmd", 0, (0, 0, 0), 0x40000000),
    Case("landlock_create_ruleset", "flags", 2, (0, 0, 1), 99),
    Case("shutdown", "how", 1, lambda: (socket.socketpair()[0].detach(), 2), 9),
    Case("pidfd_open", "flags", 1, lambda: (_SELF(), 0), 1),
    # It has 16.
    Case("fchmod", "mode", 1, lambda: known(0o640), 0o600, bit=16, after=lambda: mode_of(KNOWN)),
    Case("fchmod", "mode", 1, lambda: known(0o640), 0o600, bit=32, after=lambda: mode_of(KNOWN)),
    # It has 64, and the body drops the upper half.
    Case("mmap", "prot", 2, lambda: (0, PAGE, 1, CONSTANTS["MAP_SHARED"], file(os.O_RDONLY), 0), 2),
    Case("mmap", "flags", 3, (0, PAGE, 3, CONSTANTS["MAP_PRIVATE"] | CONSTANTS["MAP_ANONYMOUS"], -1, 0), 0),
    Case("mmap", "fd", 4, lambda: (0, PAGE, 1, CONSTANTS["MAP_SHARED"], file(), 0), 999),
    Case("readv", "fd", 0, lambda: (file(), page(), 0), 999),
    Case("writev", "fd", 0, lambda: (file(), page(), 0), 999),
    Case("preadv", "fd", 0, lambda: (file(), page(), 0, 0, 0), 999),
    Case("preadv2", "fd", 0, lambda: (file(), page(), 0, 0, 0, 0), 999),
    Case("pwritev", "fd", 0, lambda: (file(), page(), 0, 0, 0), 999),
    Case("pwritev2", "fd", 0, lambda: (file(), page(), 0, 0, 0, 0), 999),
    Case("clone", "clone_flags", 0, (signal.SIGCHLD, 0, 0, 0, 0), CONSTANTS["CLONE_THREAD"]),
    Case("ptrace", "pid", 1, lambda: (CONSTANTS["PTRACE_SEIZE"], sleeper(), 0, 0), 0x7FFFFFF0),
    Case("kcmp", "idx1", 3, lambda: (_SELF(), _SELF(), 0, (shared := file()), shared), 999),
    Case("mbind", "mode", 2, lambda: (page(), PAGE, 0, 0, 0, 0), 99),
    Case("remap_file_pages", "flags", 4, lambda: (shared_page(), PAGE, 0, 0, 0), None),
    # It has 64, of which this command looks at fewer.
    Case(
        "fcntl", "arg", 2, lambda: known(CONSTANTS["F_SETFD"], 1), 0, after=lambda: call("fcntl", (KNOWN, CONSTANTS["F_GETFD"]))
    ),
    # It has 64, and the body refuses a set upper half.
    Case("mprotect", "prot", 2, lambda: (page(), PAGE, 1), 1 << 20),
    Case("mremap", "flags", 3, lambda: (page(), PAGE, PAGE, 0), 1 << 20),
    Case("mseal", "flags", 2, lambda: (page(), PAGE, 0), 1),
    Case("unshare", "unshare_flags", 0, (CONSTANTS["CLONE_FILES"],), 1),
    Case("ptrace", "request", 0, (CONSTANTS["PTRACE_TRACEME"], 0, 0, 0), CONSTANTS["PTRACE_PEEKDATA"]),
    Case("perf_event_open", "flags", 4, (0, 0, -1, -1, 0), 1 << 20),
    Case("process_vm_readv", "flags", 5, lambda: (_SELF(), 0, 0, 0, 0, 0), 1),
    Case("get_mempolicy", "flags", 4, (0, 0, 0, 0, 0), 1 << 20),
    Case("set_mempolicy_home_node", "flags", 3, lambda: (page(), PAGE, 0, 0), 1),
    Case("set_mempolicy_home_node", "home_node", 2, lambda: (page(), PAGE, 0, 0), 4096),
    Case("mount", "flags", 3, lambda: (path("none"), path("/proc/self"), path("none"), 0, 0), None),
)


def path(text: str) -> int:
    """The address of a text that lives as long as the process."""
    kept = ctypes.create_string_buffer(text.encode())
    _KEPT.append(kept)
    return ctypes.addressof(kept)


_KEPT: list[object] = []


def outcome(case: Case, change: Callable[[int], int]) -> list[Any]:
    """What one use of the call comes to: an error number, or 1 for any success, and what the case looks at after."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if case.call == "mount" and os.geteuid() == 0:
                # Whoever may mount would. All others are told EPERM after the flags were looked at.
                os.setgroups([])
                os.setresgid(65534, 65534, 65534)
                os.setresuid(65534, 65534, 65534)
            arguments = list(case.plain() if callable(case.plain) else case.plain)
            arguments[case.index] = change(arguments[case.index])
            result = call(case.call, tuple(arguments))
            if case.call == "clone":
                result = spawned(result)
            os.write(write, json.dumps([min(result, 1) if result > 0 else result, case.after()]).encode())
        except BaseException:
            os.write(write, json.dumps([traceback.format_exc()]).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return list(json.loads(text))


def run(case: Case) -> dict[str, Any]:
    """All uses of a case."""
    other = case.other
    return {
        "plain": outcome(case, lambda value: value),
        "wide": outcome(case, lambda value: value | 1 << case.bit if value >= 0 else value ^ 1 << case.bit),
        "other": None if other is None else outcome(case, lambda value: other),
    }


if __name__ == "__main__":
    json.dump([run(case) for case in CASES], sys.stdout)
