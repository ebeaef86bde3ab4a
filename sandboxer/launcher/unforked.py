"""What a fork of this process must not take along: descriptors of boxes.

A process that another thread forks has all of ours. With the box's end of a stream, the end of the box would be no end of the
stream, for as long as that process lives; with our end, the box would outlive us. So a fork waits until no descriptor is open
here that only a box is to have, and its child closes what is ours. Programs that are executed get none: they close on exec.
"""

from __future__ import annotations

import os
from _thread import RLock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Forgettable(Protocol):
        """It has descriptors of a box."""

        def forget(self) -> None:
            """Close them in a process that has only inherited them; called while no other thread is there."""


def unforked() -> RLock:
    """Hold it (`with`) from when a descriptor of a box's own is made until it is closed: a fork of another thread waits."""
    return _lock


def keep(one: Forgettable) -> None:
    """Have the children of forks forget it, until it is released."""
    _kept[id(one)] = one


def release(one: Forgettable) -> None:
    """It has nothing any more that is to be closed."""
    _kept.pop(id(one), None)


def fork() -> int:
    """As os.fork, with all descriptors in the child too: it executes a launcher."""
    global _is_ours
    with _lock:
        _is_ours = True
        try:
            return os.fork()
        finally:
            _is_ours = False


def _renew() -> None:
    """In the child of a fork: other threads are not there, and neither is whoever held the lock."""
    global _lock
    _lock = RLock()
    for one in () if _is_ours else tuple(_kept.values()):
        try:
            one.forget()
        except OSError:
            pass  # a thread that is not here was closing it


_lock = RLock()
_is_ours = False
_kept: dict[int, Forgettable] = {}
os.register_at_fork(before=lambda: _lock.acquire(), after_in_parent=lambda: _lock.release(), after_in_child=_renew)
