"""Start the launcher by fork and execve, where a filter around us answers EPERM to clone3.

glibc makes posix_spawn and threads of clone3, and takes only ENOSYS for a kernel that has none. So no other thread can be here,
and fork is safe, which glibc makes of clone. Source: glibc, sysdeps/unix/sysv/linux/clone-internal.c.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Sequence

from sandboxer.launcher.unforked import fork


def fork_exec(
    program: str, argv: list[str], duplicates: Sequence[tuple[int, int]], *, defaults: Iterable[int], mask: Iterable[int]
) -> int:
    """The pid of the program, the leader of a group, with an empty environment. As os.posix_spawn with the same.

    duplicates: descriptors that it inherits, and under which numbers. defaults, mask: signals. Raises: OSError.
    """
    told, tell = os.pipe()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, mask)  # a handler of ours would run in the child too
    try:
        pid = fork()
        if pid == 0:
            try:
                _execute(program, argv, duplicates, defaults, mask)
            except OSError as error:
                os.write(tell, str(error.errno).encode())
            finally:
                os._exit(127)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(tell)
    with open(told, "rb") as answer:
        failed = int(answer.read() or 0)
    if failed:
        os.waitpid(pid, 0)
        raise OSError(failed, os.strerror(failed))
    return pid


def _execute(
    program: str, argv: list[str], duplicates: Sequence[tuple[int, int]], defaults: Iterable[int], mask: Iterable[int]
) -> None:
    os.setpgid(0, 0)
    for source, target in duplicates:
        os.dup2(source, target)
        os.set_inheritable(target, True)
    for number in defaults:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    os.execve(program, argv, {})
