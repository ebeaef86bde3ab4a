"""What this kernel lets this user really do, found out by doing it in a child that is thrown away.

Sysctls, LSMs, seccomp filters around us, chroots and what covers /proc all have a say in whether a namespace or a mount
works, and no file tells their verdict; the trial does. The child walks the same road as the launcher (as root: mounts first, user
namespace last as an unprivileged id; as an ordinary user: user namespace first) and sends one line `step errno` for each
step, so that even a child killed by a filter has said how far it came. Nothing of it reaches the host.

The child is an interpreter of its own: whoever imported us may have threads, which a fork would stop in the midst of anything,
handlers of forks, and much memory to copy the maps of. The command line has none of these, and forks in a tenth of the time.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

from sandboxer.kernel.trials.steps import UNPRIVILEGED_ID as UNPRIVILEGED_ID
from sandboxer.kernel.trials.steps import leave_after, try_all

TRIAL_LIMIT_S = 20.0
TRIES = 3
NOT_TRIED = -1
ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 3))
BOOT = "import sys; sys.path.append(sys.argv[1]); from sandboxer.kernel.trials.steps import main; main(*sys.argv[2:])"
OUR_PROGRAM = "sandboxer.cli.main"


@dataclass(frozen=True, slots=True)
class Trial:
    """What the child found. `errnos`: step -> 0 or errno; a step that is not in it was never reached.

    steps: landlock, user, maps, mount, pid, ipc, uts, net, cgroup, time, private, tmpfs, proc, overlay, idmap, devices, bar.
    killed_by: the signal that ended the child before it was done; 0: none.
    """

    errnos: Mapping[str, int]
    missing_calls: tuple[str, ...] = ()
    landlock_abi: int = 0
    killed_by: int = 0

    def errno(self, step: str) -> int:
        """0: it worked; an errno; or NOT_TRIED."""
        return self.errnos.get(step, NOT_TRIED)

    def works(self, step: str) -> bool:
        """Whether the step was done and the kernel agreed."""
        return self.errno(step) == 0


def run_trial(*, is_privileged: bool, scratch: str = "/tmp", forks: bool | None = None) -> Trial:
    """Try, and report. scratch: an existing directory, covered in the child's own mount namespace only.

    forks: whether the child is a fork of this process; None: where that is our own program and has one thread.
    A filter kills with SIGSYS. SIGKILL is somebody's who knows nothing of us, as when memory is out: that is tried again.
    Raises: OSError when not even a process or a pipe can be made.
    """
    if forks is None:
        forks = OUR_PROGRAM in sys.modules and len(os.listdir("/proc/self/task")) == 1
    for _ in range(TRIES):
        trial = _try_once(is_privileged=is_privileged, scratch=os.fsencode(scratch), forks=forks)
        if trial.killed_by != signal.SIGKILL:
            break
    return trial


def _try_once(*, is_privileged: bool, scratch: bytes, forks: bool) -> Trial:
    reading, writing = os.pipe2(os.O_CLOEXEC)
    try:
        child = 0 if forks else _spawn(writing, scratch, is_privileged=is_privileged)
        if not child:
            child = _fork(writing, scratch, is_privileged=is_privileged)
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    try:
        text = _read_all(reading, child)
    finally:
        os.close(reading)
        status = _reap(child)
    if not forks and not text and status != signal.SIGKILL:  # no interpreter of ours, or one that may not even start
        return _try_once(is_privileged=is_privileged, scratch=scratch, forks=True)
    return parse_trial(text, killed_by=os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0)


def _spawn(writing: int, scratch: bytes, *, is_privileged: bool) -> int:
    """The pid of an interpreter that tries; 0: there is none to be had, as in a program that has Python built in."""
    program = os.path.realpath(sys.executable or "/nonexistent")
    if not os.path.basename(program).startswith("python"):
        return 0
    argv = [program, "-I", "-S", "-B", "-c", BOOT, ROOT, str(writing), str(int(is_privileged)), os.fsdecode(scratch)]
    nothing = [(os.POSIX_SPAWN_OPEN, number, "/dev/null", os.O_RDWR, 0) for number in range(3) if number != writing]
    # Keys that interrupt us are not for it: we end, and it with us.
    keys = (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP)
    try:
        # Onto itself: that clears close-on-exec in the child only.
        actions = [*nothing, (os.POSIX_SPAWN_DUP2, writing, writing)]
        return os.posix_spawn(program, argv, os.environ, file_actions=actions, setsigmask=keys)
    except OSError:
        return 0


def _fork(writing: int, scratch: bytes, *, is_privileged: bool) -> int:
    ids = os.geteuid(), os.getegid()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads: the child calls the kernel, and leaves by _exit
        child = os.fork()
    if child == 0:
        leave_after(lambda: try_all(writing, is_privileged=is_privileged, ids=ids, scratch=scratch))
    return child


def parse_trial(text: str, *, killed_by: int = 0) -> Trial:
    """What the child's lines say; half a last line is left out."""
    errnos: dict[str, int] = {}
    missing: tuple[str, ...] = ()
    abi = 0
    for line in text.splitlines(keepends=True):
        words = line.split()
        if not line.endswith("\n") or not words:
            continue
        if words[0] == "missing":
            missing = tuple(words[1:])
        elif words[0] == "abi":
            abi = int(words[1])
        else:
            errnos[words[0]] = int(words[1])
    return Trial(errnos, missing, abi, killed_by)


def _read_all(reading: int, child: int) -> str:
    """All that comes through the pipe; the child is killed when it takes too long."""
    parts: list[bytes] = []
    end = time.monotonic() + TRIAL_LIMIT_S
    while True:
        ready, _, _ = select.select([reading], [], [], max(end - time.monotonic(), 0))
        if not ready:
            os.kill(child, signal.SIGKILL)
            break
        part = os.read(reading, 65536)
        if not part:
            break
        parts.append(part)
    return b"".join(parts).decode("ascii", "replace")


def _reap(child: int) -> int:
    try:
        return os.waitpid(child, 0)[1]
    except ChildProcessError:  # the caller ignores SIGCHLD, so the kernel reaped it
        return 0
