"""Another program, run to its end: bytes in, bytes out. For work that must not be able to take this process along."""

from __future__ import annotations

import os
from contextlib import ExitStack


def run_child(argv: list[str], data: bytes) -> tuple[int, bytes, bytes]:
    """(status, standard output, standard error) of a program that reads `data` as its standard input.

    status: the exit status, or the number of the signal that ended it below zero. Its streams are memory files, so neither side
    can wait for the other. It has our environment. Raises: OSError if it cannot be started.
    """
    with ExitStack() as opened:
        files = [opened.enter_context(open(os.memfd_create("child", os.MFD_CLOEXEC), "w+b")) for _ in range(3)]
        files[0].write(data)
        files[0].seek(0)
        actions = [(os.POSIX_SPAWN_DUP2, file.fileno(), number) for number, file in enumerate(files)]
        pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=actions)
        _, status = os.waitpid(pid, 0)
        for file in files[1:]:
            file.seek(0)
        return os.waitstatus_to_exitcode(status), files[1].read(), files[2].read()


def run_piped(argv: list[str]) -> tuple[int, bytes]:
    """(status, output) of a program that has nothing to read, and one pipe for both outputs: a memory file can be refused to a
    program that enters a domain of its own, without a word. Raises: OSError if it cannot be started."""
    ours, theirs = os.pipe()
    with open(ours, "rb") as output:
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            *((os.POSIX_SPAWN_DUP2, theirs, number) for number in (1, 2)),
        ]
        try:
            pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=actions)
        finally:
            os.close(theirs)
        said = output.read()
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status), said
