"""Who asks, and what it is answered. Source: seccomp_unotify(2), include/uapi/linux/seccomp.h, kernel/seccomp.c."""

from __future__ import annotations

import errno
import os
import signal
import socket
import struct
from dataclasses import dataclass
from fcntl import ioctl

from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.kernel import calls

GET_NOTIF_SIZES = 3
NOTIF_RECV, NOTIF_SEND, NOTIF_ID_VALID = 0xC0502100, 0xC0182101, 0x40082102
_NOTICE = struct.Struct("<QIIiIQ6Q")  # id, pid, flags; nr, arch, instruction pointer, arguments
_ANSWER = struct.Struct("<QqiI")  # id, value, error, flags
_FD = struct.Struct("i")
_CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid


@dataclass(frozen=True, slots=True)
class Notice:
    """A call that waits for its answer. `pid` is the thread's, as we see it; `arch` is an AUDIT_ARCH_*; six raw arguments."""

    identity: int
    pid: int
    arch: int
    number: int
    arguments: tuple[int, ...]


class Listener:
    """The descriptor that the kernel gave for a filter. When the last copy is closed, refused calls answer ENOSYS."""

    __slots__ = ("_room", "descriptor", "sees_proc")

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.sees_proc = os.readlink("/proc/self") == str(os.getpid())  # or /proc is of another pid namespace than we are
        self._room = max(_notice_bytes(), _NOTICE.size)

    def receive(self) -> Notice | None:
        """The next call that waits, or None where the caller went away meanwhile. Waits if there is none: poll first."""
        room = bytearray(self._room)
        if not self._ask(NOTIF_RECV, room):
            return None
        identity, pid, _, number, arch, _, *arguments = _NOTICE.unpack_from(room)
        return Notice(identity, pid, arch, number & 0xFFFFFFFF, tuple(arguments))

    def is_waiting(self, notice: Notice) -> bool:
        """Whether the call still waits: so its pid has been that thread's all the time."""
        return self._ask(NOTIF_ID_VALID, bytearray(notice.identity.to_bytes(8, "little")))

    def refuse(self, notice: Notice, number: int) -> bool:
        """Let the call answer an error number (0: it answers 0, and has done nothing). False: nobody waits any more."""
        return self._ask(NOTIF_SEND, bytearray(_ANSWER.pack(notice.identity, 0, -number, 0)))

    def kill(self, notice: Notice) -> int:
        """End the process that waits, with all its threads; its pid. It never gets an answer. 0: it is gone already.

        Raises: OSError if the process is there and cannot be killed.
        """
        try:
            group = _thread_group(notice.pid) if self.sees_proc else 0
            process = os.pidfd_open(group)
        except (OSError, ValueError) as error:
            if self.is_waiting(notice):
                raise ProcessLookupError(notice.pid) from error
            return 0
        try:
            if not self.is_waiting(notice):
                return 0
            signal.pidfd_send_signal(process, signal.SIGKILL)
        except ProcessLookupError:
            return 0
        finally:
            os.close(process)
        return group

    def _ask(self, request: int, room: bytearray) -> bool:
        """One ioctl; False where the kernel knows of no such call any more (ENOENT)."""
        while True:
            try:
                ioctl(self.descriptor, request, room, True)
            except FileNotFoundError:
                return False
            except InterruptedError:
                continue  # a signal to us; what it has to say was said meanwhile
            return True

    def close(self) -> None:
        """Let go of it."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
        self.descriptor = -1


def make_watch() -> tuple[socket.socket, socket.socket]:
    """A pair of sockets: ours, and the launcher's for `--watch-fd`. The kernel vouches for the pid of whoever sends on it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    return ours, theirs


def receive_listener(watch: socket.socket) -> tuple[Listener, int] | None:
    """The listener and the pid of the process that sent it, or None where the other side closed without one.

    Raises: OSError (EMFILE) where it was sent and this process has no descriptor left for it.
    """
    kind, descriptor, pid = receive_descriptor(watch)
    return (Listener(descriptor), pid) if kind else None


def receive_descriptor(watch: socket.socket) -> tuple[bytes, int, int]:
    """What was handed over: the byte that says what it is, the descriptor, and the pid of the process that sent it.

    The byte is empty where the other side closed without one. Raises: OSError (EMFILE) where it was sent and this process has no
    descriptor left for it.
    """
    room = socket.CMSG_SPACE(_FD.size) + socket.CMSG_SPACE(_CREDENTIALS.size)
    data, messages, _, _ = watch.recvmsg(1, room, socket.MSG_CMSG_CLOEXEC)
    descriptor, pid = -1, 0
    for level, kind, content in messages:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            (descriptor,) = _FD.unpack_from(content)
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            pid, _, _ = _CREDENTIALS.unpack_from(content)
    if data and descriptor < 0:
        raise OSError(errno.EMFILE, "a descriptor was lost on its way")
    return data, descriptor, pid


def _notice_bytes() -> int:
    """The size of struct seccomp_notif in this kernel, which may write more than we know of. Raises: OSError."""
    sizes = bytearray(6)
    calls.call(NUMBERS[os.uname().machine]["seccomp"], GET_NOTIF_SIZES, 0, calls.place_of(sizes))
    return int.from_bytes(sizes[:2], "little")


def _thread_group(pid: int) -> int:
    """The process of a thread. Raises: OSError where there is none."""
    with open(f"/proc/{pid}/status", "rb") as file:
        for line in file:
            if line.startswith(b"Tgid:"):
                return int(line[5:])
    raise ProcessLookupError(pid)
