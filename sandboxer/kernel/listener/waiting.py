"""What can be seen of a process that waits for its answer: memory, name, descriptors. For people, never for a decision."""

from __future__ import annotations

import os
from types import TracebackType

from sandboxer.kernel.listener.notices import Listener, Notice

PAGE_BYTES = 4096
TEXT_BYTES = 256
_HIGHEST = 1 << 63


class Waiting:
    """A process that waits for an answer, to be looked at. Whatever cannot be read, or no longer, is None.

    Memory is read through /proc/PID/mem, which never waits for a page that the box itself would have to bring, as
    process_vm_readv(2) does. The file stays that of this process, whoever gets its pid later.
    """

    __slots__ = ("_listener", "_memory", "_notice")

    def __init__(self, listener: Listener, notice: Notice) -> None:
        self._listener = listener
        self._notice = notice
        self._memory = -1

    def __enter__(self) -> Waiting:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._memory >= 0:
            os.close(self._memory)

    def read(self, address: int, count: int) -> bytes | None:
        """`count` bytes, or what of them is there; at most a page."""
        if not 0 < address < _HIGHEST or not self._open():
            return None
        try:
            data = os.pread(self._memory, min(count, PAGE_BYTES), address)
        except OSError:
            return None
        return data if data and self._listener.is_waiting(self._notice) else None

    def read_text(self, address: int, limit: int = TEXT_BYTES) -> tuple[bytes, bool] | None:
        """A text up to its NUL, and whether it is whole; no more than `limit` bytes, and no page is touched without need."""
        found = b""
        while len(found) < limit:
            here = address + len(found)
            piece = self.read(here, min(limit - len(found), PAGE_BYTES - here % PAGE_BYTES))
            if piece is None:
                return (found, False) if found else None
            text, end, _ = piece.partition(b"\0")
            found += text
            if end:
                return found, True
        return found, False

    def find_name(self) -> bytes:
        """The name of the thread; it gives it to itself."""
        if not self._listener.sees_proc:
            return b""
        try:
            with open(f"/proc/{self._notice.pid}/comm", "rb") as file:
                name = file.read(64).removesuffix(b"\n")
        except OSError:
            return b""
        return name if self._listener.is_waiting(self._notice) else b""

    def find_link(self, descriptor: int) -> bytes | None:
        """What a descriptor of its is: a path, or the kernel's word for what has none."""
        if not self._listener.sees_proc:
            return None
        try:
            target = os.readlink(f"/proc/{self._notice.pid}/fd/{descriptor}".encode())
        except OSError:
            return None
        return target if self._listener.is_waiting(self._notice) else None

    def _open(self) -> bool:
        if self._memory < 0 and self._listener.sees_proc:
            try:
                self._memory = os.open(f"/proc/{self._notice.pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                return False
        return self._memory >= 0
