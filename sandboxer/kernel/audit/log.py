"""The audit log as a socket, and the state of auditing. Source: kernel/audit.c; netlink(7)."""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass
from types import TracebackType

from sandboxer.abi import audit
from sandboxer.abi.capabilities import Capability
from sandboxer.kernel.audit.records import Record, parse_record
from sandboxer.kernel.lsm.handed import find_missing
from sandboxer.kernel.lsm.selinux import find_selinux_obstacle, is_permissive, read_own_context

_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
_STATUS = struct.Struct("=8I")  # struct audit_status: mask, enabled, failure, pid, rate_limit, backlog_limit, lost, backlog
_REQUEST = 1  # NLM_F_REQUEST
_SO_RCVBUFFORCE = 33  # asm-generic/socket.h
ROOM_BYTES = 4 << 20
MESSAGE_BYTES = 16384  # of at most MAX_AUDIT_MESSAGE_LENGTH, 8970
ANSWER_LIMIT_S = 2


@dataclass(frozen=True, slots=True)
class Status:
    """Whether the kernel writes an audit log, and how many records it could not keep since it was booted.

    has_daemon: somebody keeps them. Where nobody does, the kernel holds some back for one, and counts each further one as lost,
    though it has told its listeners.
    """

    is_on: bool
    lost: int
    has_daemon: bool


class AuditLog:
    """Records as they are written from now on. received: how many messages came, of all kinds. is_overrun: some did not fit into
    our socket, and are lost to us.

    Joining is itself an event in the log (AUDIT_EVENT_LISTENER). Raises: OSError (EPERM without CAP_AUDIT_READ in the first
    user namespace; EPROTONOSUPPORT where the kernel has no auditing).
    """

    __slots__ = ("_socket", "is_overrun", "received")

    def __init__(self) -> None:
        self.is_overrun = False
        self.received = 0
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, audit.NETLINK_AUDIT)
        try:
            self._make_room()
            self._socket.bind((0, audit.READLOG_GROUP))
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> AuditLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _make_room(self) -> None:
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, ROOM_BYTES)
        except PermissionError:  # without CAP_NET_ADMIN: what the sysctl rmem_max allows
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM_BYTES)

    @property
    def descriptor(self) -> int:
        """What to poll."""
        return self._socket.fileno()

    def receive(self) -> tuple[bool, Record | None]:
        """Whether there was a message, and the record in it if it is of a kind that we know. Never waits."""
        try:
            data, sender = self._socket.recvfrom(MESSAGE_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False, None
        except OSError:  # ENOBUFS: told once, whatever the number of records that did not fit
            self.is_overrun = True
            return True, None
        self.received += 1
        if sender[0] != 0 or len(data) < _HEADER.size:
            return True, None  # not of the kernel
        # The length in the header is with or without the header itself, which depends on the kernel's age.
        _, kind, _, _, _ = _HEADER.unpack_from(data)
        return True, parse_record(kind, data[_HEADER.size :])

    def close(self) -> None:
        """Leave."""
        self._socket.close()


def read_status() -> Status:
    """The state of auditing, which only whoever may change it is told (CAP_AUDIT_CONTROL).

    Raises: OSError: EPERM without it or outside of the first pid namespace, ECONNREFUSED outside of the first user namespace.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, audit.NETLINK_AUDIT) as asking:
        asking.settimeout(ANSWER_LIMIT_S)
        asking.sendto(_HEADER.pack(_HEADER.size, audit.GET, _REQUEST, 1, 0), (0, 0))
        data = asking.recv(MESSAGE_BYTES)
    _, kind, _, _, _ = _HEADER.unpack_from(data)
    if kind == audit.NETLINK_ERROR:
        number = -int(struct.unpack_from("=i", data, _HEADER.size)[0])
        raise OSError(number, os.strerror(number))
    _, enabled, _, pid, _, _, lost, _ = _STATUS.unpack_from(data, _HEADER.size)
    return Status(enabled != 0, lost, pid != 0)


def find_refusal(capabilities: int) -> str:
    """What SELinux says to a caller whom his capabilities would let read the log; empty: nothing. capabilities: as bits."""
    if not capabilities >> Capability.AUDIT_READ & 1 or find_selinux_obstacle() or is_permissive():
        return ""
    own = read_own_context()
    missing = find_missing(own, own, "capability2", ("audit_read",))
    return f"SELinux does not let {own.split(':')[2]} read the kernel's audit log (capability2 audit_read)" if missing else ""


def find_audit_problem(capabilities: int) -> str:
    """Why this caller cannot read what the kernel's audit log says; empty: nothing speaks against it. Changes nothing, writes
    nothing. capabilities: the effective ones, as bits."""
    if not capabilities >> Capability.AUDIT_READ & 1:
        return "only root may read the kernel's audit log"
    if refusal := find_refusal(capabilities):
        return refusal
    try:
        status = read_status()
    except ConnectionRefusedError:
        return "only root of the first user namespace may read the kernel's audit log"
    except PermissionError:
        is_told = capabilities >> Capability.AUDIT_CONTROL & 1
        return "the kernel's audit log names processes by the numbers of another pid namespace" if is_told else ""
    except OSError:
        return "the kernel has no audit log"
    return "" if status.is_on else "auditing is off: the word audit=1 at boot, or an audit daemon, turns it on"
