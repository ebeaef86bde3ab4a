"""Whose process a record names: the descendants of one process, as far as they can still be looked up. proc(5)."""

from __future__ import annotations

from sandboxer.kernel.proc import find_text

DEPTH = 64
KNOWN = 8192


class Kin:
    """The descendants of a process that they never leave: it, or a pid 1 below it, adopts the orphans among them.

    A number that was theirs stays theirs: that another process gets it meanwhile would take a turn through all pids.
    """

    __slots__ = ("_known", "_root")

    def __init__(self, root: int) -> None:
        self._root = root
        self._known: set[int] = set()

    def holds(self, pid: int) -> bool | None:
        """Whether a process is one of them; None for one that has ended before anybody looked."""
        way: list[int] = []
        while pid not in self._known and pid != self._root:
            way.append(pid)
            parent = find_parent(pid)
            if parent is None:
                return None
            if parent <= 1 or len(way) > DEPTH:
                return False
            pid = parent
        self.add(*way)
        return True

    def add(self, *pids: int) -> None:
        """These are ours."""
        if len(self._known) < KNOWN:
            self._known.update(pids)


def find_parent(pid: int) -> int | None:
    """The parent of a process, 0 for one outside of our view; None for a process that is not there."""
    text = find_text(f"/proc/{pid}/stat") if pid > 0 else None
    words = text.rpartition(")")[2].split() if text else []
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else None
