"""Applies what a session has changed to the directory of the host. Every name in it was chosen by a job that nobody trusts.

A file becomes another one by a rename, so nobody ever sees half of it. Everything is found beneath the directory by descriptors,
and no link is followed, whoever changes the directory meanwhile. No set-id bit, device, FIFO or attribute goes along.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass

from sandboxer.kernel.files.beneath import NotAFileError, open_beneath, open_directory, open_parent
from sandboxer.kernel.files.trees import copy_content, empty, readable, seen
from sandboxer.model.outcome.escape import escape_name
from sandboxer.model.outcome.files import LeftOut
from sandboxer.sessions.changes import OWN_DIRECTORY, Action, Change, Kind
from sandboxer.sessions.view import find

OBEYED = ".sandboxer"
"""Profiles of a project; see compile/search.py."""


@dataclass(frozen=True, slots=True)
class Committed:
    """applied: what the directory has now. refused: what it has not, and why; nothing of that was begun."""

    applied: tuple[Change, ...]
    refused: tuple[LeftOut, ...]

    @property
    def is_whole(self) -> bool:
        """Whether nothing was refused."""
        return not self.refused


class Refused(ValueError):
    """A change that is not applied; the text says why."""


def commit(upper: int, target: int, changes: Iterable[Change], *, links: bool) -> Committed:
    """Apply changes in their order. links: symbolic links too, if they stay in the directory as their text says.

    Raises nothing for what a job has made: that is refused.
    """
    applied: list[Change] = []
    refused: list[LeftOut] = []
    for change in changes:
        try:
            _check(change, links=links)
            _apply(upper, target, change)
        except (Refused, NotAFileError) as error:
            refused.append(LeftOut(escape_name(os.fsencode(change.path)), str(error)))
        except OSError as error:
            refused.append(LeftOut(escape_name(os.fsencode(change.path)), os.strerror(error.errno or 0)))
        else:
            applied.append(change)
    return Committed(tuple(applied), tuple(refused))


def _check(change: Change, *, links: bool) -> None:
    if not change.path.isprintable():
        raise Refused("its name is not plain text")
    if OBEYED in change.path.split("/"):
        raise Refused(f"what is in {OBEYED} decides what later runs may do")
    if change.action is Action.REMOVED:
        return
    match change.kind:
        case Kind.FIFO | Kind.SOCKET | Kind.DEVICE:
            raise Refused(f"it is a {change.kind.value}")
        case Kind.LINK if not links:
            raise Refused("it is a symbolic link, and links are not asked for")
        case Kind.LINK if not stays_below(change.path, change.target):
            raise Refused("it is a symbolic link that leads out of the directory")


def stays_below(path: str, target: str) -> bool:
    """Whether a link at a relative path stays below the top by its text: other links on the way count as what they are named."""
    if not target or target.startswith("/") or not target.isprintable():
        return False
    depth = path.count("/")
    for part in target.split("/"):
        depth += -1 if part == ".." else 0 if part in ("", ".") else 1
        if depth < 0:
            return False
    return True


def _apply(upper: int, target: int, change: Change) -> None:
    *above, name = os.fsencode(change.path).split(b"/")
    if change.action is Action.REMOVED:
        parent = open_directory(target, b"/".join(above)) if above else os.dup(target)
    else:
        owner = os.fstat(target)
        parent = open_parent(target, above, (owner.st_uid, owner.st_gid))
    try:
        match change.kind:
            case _ if change.action is Action.REMOVED:
                _remove(parent, name, change)
            case Kind.DIRECTORY:
                _make_directory(parent, name, change)
            case Kind.LINK:
                _replace(parent, name, lambda temporary: os.symlink(change.target, temporary, dir_fd=parent))
            case _:
                _put_file(upper, above, parent, name)
    finally:
        os.close(parent)


def _remove(parent: int, name: bytes, change: Change) -> None:
    """A directory is gone at once, and what was in it is removed then."""
    found = find(parent, name)
    if found is None:
        return
    if stat.S_ISDIR(found.st_mode) != (change.kind is Kind.DIRECTORY):
        raise Refused("it is something else by now")
    if change.kind is not Kind.DIRECTORY:
        os.unlink(name, dir_fd=parent)
        return
    doomed = _temporary()
    os.rename(name, doomed, src_dir_fd=parent, dst_dir_fd=parent)
    inner = open_directory(parent, doomed)
    try:
        empty(inner)
    finally:
        os.close(inner)
    os.rmdir(doomed, dir_fd=parent)


def _make_directory(parent: int, name: bytes, change: Change) -> None:
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        found = find(parent, name)
        if found is None or not stat.S_ISDIR(found.st_mode):
            raise Refused("something else is there") from None
    made = open_directory(parent, name)
    try:
        _give(made, parent, change.mode | OWN_DIRECTORY)
    finally:
        os.close(made)


def _put_file(upper: int, above: list[bytes], parent: int, name: bytes) -> None:
    found = find(parent, name)
    if found is not None and stat.S_ISDIR(found.st_mode):
        raise Refused("a directory is there")
    with ExitStack() as opened:
        source = upper
        for deeper in above:
            source = opened.enter_context(seen(source, deeper))
        was = find(source, name)
        mode = stat.S_IMODE(was.st_mode) if was is not None else 0
        reader = opened.enter_context(readable(source, name))

        def make(temporary: bytes) -> None:
            writer = open_beneath(parent, temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                copy_content(reader, writer)
                _give(writer, parent, mode, found if found is not None and stat.S_ISREG(found.st_mode) else None)
                os.fsync(writer)
            finally:
                os.close(writer)

        _replace(parent, name, make)


def _replace(parent: int, name: bytes, make: Callable[[bytes], None]) -> None:
    temporary = _temporary()
    try:
        make(temporary)
        os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
    except BaseException:
        try:
            os.unlink(temporary, dir_fd=parent)
        except OSError:
            pass  # it was not made
        raise


def _give(descriptor: int, parent: int, mode: int, found: os.stat_result | None = None) -> None:
    """To whom the one before belonged, else to whom the directory does; only root can give."""
    owner = found or os.fstat(parent)
    if os.geteuid() == 0:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
    os.fchmod(descriptor, mode & 0o777)


def _temporary() -> bytes:
    return b".sandboxer-" + secrets.token_hex(8).encode()
