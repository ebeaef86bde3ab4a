"""The ops of a plan in place, applied to this very process. The launcher's inside half has the same ones in C.

Two phases: what can be opened is opened first, and nothing of that holds; then come the calls that cannot be taken back, in the
order of the plan. All of them are of the calling thread (landlock(7), seccomp(2), capabilities(7)) or of the process (rlimits).
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import stat
import struct
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.kernel import calls
from sandboxer.model.op import (
    CloseFds,
    DropBounding,
    LandlockCreate,
    LandlockPath,
    LandlockPort,
    LandlockRestrict,
    LoadFilter,
    Op,
    SetAmbient,
    SetCapabilities,
    SetNoNewPrivs,
    SetRlimit,
    SetScheduling,
    SetSecurebits,
)

# include/uapi/linux/prctl.h, seccomp.h, filter.h, landlock.h, capability.h
PR_CAPBSET_DROP, PR_SET_SECUREBITS, PR_CAP_AMBIENT = 24, 28, 47
PR_CAP_AMBIENT_RAISE, PR_CAP_AMBIENT_CLEAR_ALL = 2, 4
SECCOMP_SET_MODE_FILTER, INSTRUCTION_BYTES = 1, 8
LANDLOCK_ADD_RULE, RULE_PATH_BENEATH, RULE_NET_PORT = 445, 1, 2
CAPABILITY_VERSION_3 = 0x20080522
NOT_MINE = (CloseFds,)
"""Ops for a process that becomes a command: the launcher applies them."""

Action = Callable[[], None]


class Confinement:
    """Ops that are ready to be applied. It owns the rulesets that it has opened; leave the `with` to close them."""

    def __init__(self, ops: Sequence[Op]) -> None:
        """Open what the ops need. Raises: OSError, whose `step` is the number of the op; nothing has changed then."""
        self.actions: list[tuple[int, Action]] = []
        self._rulesets: dict[int, int] = {}
        self._opened: list[int] = []
        self.step = 0
        self._ops = ops

    def __enter__(self) -> Confinement:
        return self

    def __exit__(self, *_: object) -> None:
        while self._opened:
            os.close(self._opened.pop())

    def prepare(self) -> None:
        """Open what the ops need; `step` is where that is. Raises: OSError; nothing has changed then."""
        for step, op in enumerate(self._ops):
            self.step = step
            self.actions += [(step, action) for action in self._take(op)]

    def apply(self, begun: Callable[[int], None] = lambda step: None) -> None:
        """Apply them, for good. begun: is told each step ahead of its call. Raises: OSError; `step` is the one that failed."""
        for step, action in self.actions:
            self.step = step
            begun(step)
            action()

    def _take(self, op: Op) -> Iterator[Action]:
        match op:
            case LandlockCreate():
                self._create(op)
            case LandlockPath():
                self._allow_path(op)
            case LandlockPort():
                calls.call(LANDLOCK_ADD_RULE, self._rulesets[op.slot], RULE_NET_PORT, struct.pack("=QQ", op.rights, op.port), 0)
            case LandlockRestrict():
                yield partial(calls.enter_ruleset, self._rulesets.pop(op.slot), op.flags)
            case CloseFds():
                pass  # NOT_MINE
            case _:
                yield partial(APPLY[type(op)], op)

    def _create(self, op: LandlockCreate) -> None:
        ruleset = calls.make_ruleset(struct.pack("=QQQ", op.filesystem, op.network, op.scoped))
        self._opened.append(ruleset)
        self._rulesets[op.slot] = ruleset
        for stream in range(3):
            _allow_stream(ruleset, stream, op)

    def _allow_path(self, op: LandlockPath) -> None:
        descriptor = _open_without_links(op.path)
        try:
            _allow_below(self._rulesets[op.slot], descriptor, op.rights)
        finally:
            os.close(descriptor)


def _open_without_links(path: str) -> int:
    """What is there. No link is followed: the plan names what it means, and a link that stands there now somebody has put there.

    Name by name, because filters of many profiles do not let openat2 pass, and this may be the second time. Raises: OSError.
    """
    flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
    here = os.open("/", flags)
    for name in filter(None, path.split("/")):
        above = here
        try:
            here = os.open(name, flags, dir_fd=above)
        finally:
            os.close(above)
    if stat.S_ISLNK(os.fstat(here).st_mode):
        os.close(here)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return here


def _allow_below(ruleset: int, descriptor: int, rights: int) -> None:
    calls.call(LANDLOCK_ADD_RULE, ruleset, RULE_PATH_BENEATH, struct.pack("=Qi", rights, descriptor), 0)


def _allow_stream(ruleset: int, descriptor: int, op: LandlockCreate) -> None:
    """A standard stream may be opened again for what it is open for. EBADFD: it has no path, so Landlock leaves it alone."""
    import fcntl

    try:
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    except OSError as error:
        if error.errno == errno.EBADF:
            return  # it is closed
        raise
    mode = flags & os.O_ACCMODE
    rights = (op.readable if mode in (os.O_RDONLY, os.O_RDWR) else 0) | (op.writable if mode in (os.O_WRONLY, os.O_RDWR) else 0)
    if flags & os.O_PATH or not rights:
        return
    try:
        _allow_below(ruleset, descriptor, rights)
    except OSError as error:
        if error.errno != errno.EBADFD:
            raise


def _set_rlimit(op: SetRlimit) -> None:
    soft, hard = (resource.RLIM_INFINITY if value == (1 << 64) - 1 else value for value in (op.soft, op.hard))
    try:
        resource.setrlimit(op.resource, (soft, hard))
    except ValueError as error:  # what Python makes of EINVAL and of EPERM
        raise OSError(errno.EPERM, os.strerror(errno.EPERM)) from error


def _set_scheduling(op: SetScheduling) -> None:
    if op.policy:
        os.sched_setscheduler(0, op.policy, os.sched_param(0))
    if os.getpriority(os.PRIO_PROCESS, 0) < op.niceness:
        os.setpriority(os.PRIO_PROCESS, 0, op.niceness)


def _drop_bounding(op: DropBounding) -> None:
    for number in range(op.last + 1):
        if not op.keep >> number & 1:
            calls.prctl(PR_CAPBSET_DROP, number)


def _set_securebits(op: SetSecurebits) -> None:
    calls.prctl(PR_SET_SECUREBITS, op.bits)


def _set_ambient(op: SetAmbient) -> None:
    calls.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    for number in range(64):
        if op.mask >> number & 1:
            calls.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number)


def _set_capabilities(op: SetCapabilities) -> None:
    sets = (op.effective, op.permitted, op.inheritable)
    header = struct.pack("=Ii", CAPABILITY_VERSION_3, 0)
    data = struct.pack("=6I", *(value & 0xFFFFFFFF for value in sets), *(value >> 32 for value in sets))
    calls.call(NUMBERS[os.uname().machine]["capset"], header, data)


def _set_no_new_privs(op: SetNoNewPrivs) -> None:
    calls.forbid_new_privileges()


def _load_filter(op: LoadFilter) -> None:
    """TSYNC is not needed: other threads were refused. The program is copied by the kernel. seccomp(2)."""
    program = ctypes.create_string_buffer(op.program, len(op.program))
    header = struct.pack("@HP", len(op.program) // INSTRUCTION_BYTES, ctypes.addressof(program))
    calls.call(NUMBERS[os.uname().machine]["seccomp"], SECCOMP_SET_MODE_FILTER, op.flags, header)


APPLY: dict[type[Op], Callable[..., None]] = {
    SetRlimit: _set_rlimit,
    SetScheduling: _set_scheduling,
    DropBounding: _drop_bounding,
    SetSecurebits: _set_securebits,
    SetAmbient: _set_ambient,
    SetCapabilities: _set_capabilities,
    SetNoNewPrivs: _set_no_new_privs,
    LoadFilter: _load_filter,
}
"""What cannot be taken back, but for the step into a Landlock domain."""
