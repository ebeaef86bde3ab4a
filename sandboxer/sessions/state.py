"""Where the files of a session are: a directory of the caller's alone, with a lock that says that somebody has it.

It lies in the caller's cache, since an overlay needs a real file system for what changes. Whoever opens a session removes what
others have left whose lock nobody holds: those died without a word.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from sandboxer.compile.cache import PlanCache, cache_path
from sandboxer.errors import HostError, Problem
from sandboxer.kernel.files.beneath import open_directory
from sandboxer.kernel.files.trees import empty

LOCK = "lock"
PARTS = ("files", "upper", "work")


class State:
    """The directory of one session. files: what a plain session works in; upper, work: what an overlay keeps."""

    def __init__(self, path: str, name: str, root: int) -> None:
        self.path = path
        self._name = name
        self._root = root
        self._lock = -1
        self.directory = open_directory(root, os.fsencode(name))

    def hold(self) -> None:
        """Say that somebody has it, for as long as this process lives."""
        self._lock = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=self.directory)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def open(self, part: str) -> int:
        """A descriptor of one of its parts; the caller closes it."""
        return open_directory(self.directory, part.encode())

    def renew(self, part: str) -> None:
        """Remove everything in a part."""
        descriptor = self.open(part)
        try:
            empty(descriptor)
            os.fchmod(descriptor, 0o700)
        finally:
            os.close(descriptor)

    def remove(self) -> None:
        """Remove all of it. Raises: OSError where something is still made there."""
        if self.directory < 0:
            return
        try:
            empty(self.directory)
            os.rmdir(self._name, dir_fd=self._root)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of it."""
        for descriptor in (self.directory, self._lock, self._root):
            if descriptor >= 0:
                os.close(descriptor)
        self.directory = self._lock = self._root = -1


def states_path() -> str:
    """Where the directories of sessions are. Raises: UnsupportedError."""
    plans = cache_path(dict(os.environb))
    if not plans:
        raise HostError(Problem("a session has no place for its files", why="the environment has no HOME", attempt="HOME=..."))
    return os.path.join(os.path.dirname(plans), "boxes")


def make_state() -> State:
    """A new directory, ahead of which what died is swept. Raises: UnsupportedError, OSError."""
    path = states_path()
    PlanCache(path).make()
    root = _open_own(path)
    try:
        with _alone(root):
            sweep(root)
            name = secrets.token_hex(8)
            os.mkdir(name, 0o700, dir_fd=root)
            state = State(os.path.join(path, name), name, root)
            state.hold()
            for part in PARTS:
                os.mkdir(part, 0o700, dir_fd=state.directory)
            return state
    except BaseException:
        os.close(root)
        raise


def sweep(root: int) -> None:
    """Remove what nobody holds. What cannot be removed now is left for the next time."""
    for name in os.listdir(root):
        if name == LOCK:
            continue
        try:
            state = State("", name, os.dup(root))
        except OSError:
            continue
        try:
            state.hold()
        except OSError:
            state.close()  # somebody has it
            continue
        try:
            state.remove()
        except OSError:
            continue


@contextmanager
def _alone(root: int) -> Iterator[None]:
    """Nobody else makes or sweeps meanwhile: a directory that is new has no lock for a moment."""
    lock = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=root)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _open_own(path: str) -> int:
    """The directory, if it is the caller's alone. Raises: UnsupportedError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise HostError(Problem(f"a session has no place for its files: {path}", why=why)) from error
    found = os.fstat(descriptor)
    if found.st_uid == os.geteuid() and not found.st_mode & 0o077:
        return descriptor
    os.close(descriptor)
    raise HostError(Problem(f"{path} is not the caller's alone", attempt=f"chmod 700 {path}"))
