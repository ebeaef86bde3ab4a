"""The directory itself: a tmpfs that the plan mounts in the box, and that the launcher hands over ahead of the start.

Nothing of it is ever on the host: it lives as long as the box or our descriptor of it, so a SIGKILL of anybody leaves nothing.
The child waits until its files are there; the launcher's clock runs meanwhile. Our descriptor outlives the box.
"""

from __future__ import annotations

import os
import select
import socket
from dataclasses import dataclass, field

from sandboxer.errors import Problem
from sandboxer.kernel.listener.notices import receive_descriptor
from sandboxer.launcher.spawn import Launch
from sandboxer.model.outcome.files import Collected
from sandboxer.run.scratch.collect import MAX_COLLECT_BYTES, collect
from sandboxer.run.scratch.fill import Filling, fill
from sandboxer.run.scratch.names import Globs

HANDED = b"d"
GO = b"g"
LEAST_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a caller wants of a run's own directory. collect: None: nothing is read back."""

    filling: Filling = field(default_factory=lambda: Filling((), 0))
    collect: Globs | None = None
    most_bytes: int = MAX_COLLECT_BYTES

    @property
    def size_bytes(self) -> int:
        """How large the directory is: a power of two, so that few plans are made; twice what goes in, for what comes out."""
        return max(LEAST_BYTES, 1 << (2 * self.filling.size_bytes).bit_length())


@dataclass(slots=True)
class Scratch:
    """The directory of one run. problem: why the files could not be put there; then the box was killed ahead of its command."""

    wanted: Wanted
    problem: Problem | None = None
    _directory: int = -1

    def meet(self, watch: socket.socket, launch: Launch) -> None:
        """Wait until the launcher hands the directory over on this socket, fill it, and let the child go on.

        Where the launcher has a result first, the box never came so far. Raises: OSError.
        """
        poll = select.poll()
        poll.register(watch, select.POLLIN)
        poll.register(launch.result_fd, select.POLLIN)
        ready = [descriptor for descriptor, _ in poll.poll()]
        if watch.fileno() not in ready:
            return
        kind, descriptor, _ = receive_descriptor(watch)
        if kind != HANDED:
            return  # it closed: what came of it is in the record
        try:
            self._directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=descriptor)
            fill(self._directory, self.wanted.filling)
            watch.send(GO)
        except (OSError, ValueError) as error:
            self.problem = _explain(error)
            launch.cancel()
        finally:
            os.close(descriptor)

    def collect(self) -> Collected | None:
        """What the caller wants back; None: nothing. After the end of the box."""
        if self.wanted.collect is None:
            return None
        if self._directory < 0:
            return Collected({})
        return collect(self._directory, self.wanted.collect, most_bytes=self.wanted.most_bytes)

    def close(self) -> None:
        """Let go of it: the kernel frees what is in it."""
        if self._directory >= 0:
            os.close(self._directory)
        self._directory = -1


def _explain(error: OSError | ValueError) -> Problem:
    name = f" {error.filename}" if isinstance(error, OSError) and error.filename else ""
    why = (error.strerror or str(error)) if isinstance(error, OSError) else f"what is to be copied there is {error}"
    attempt = "the limit `disk` of the profile, or fewer files" if isinstance(error, OSError) and error.errno in (27, 28) else ""
    return Problem(f"cannot put the file{name} into the box", why=why, attempt=attempt)
