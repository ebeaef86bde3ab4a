"""What a record says: a refusal by Landlock, the beginning and the end of a domain, a refusal by a label, who made a call. Pure.

Source: security/landlock/audit.c, security/lsm_audit.c, kernel/auditsc.c; Documentation/admin-guide/LSM/landlock.rst.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from sandboxer.abi import audit
from sandboxer.kernel.audit.avc import Refusal, parse_avc
from sandboxer.kernel.audit.fields import find_number, find_text, split_fields

BLOCKERS_KEPT = 8
_HEAD = re.compile(rb"audit\(\d{1,20}\.\d{1,9}:(\d{1,20})\): ")
_BLOCKER = re.compile(rb"[a-z0-9_.]{1,48}")
_ADDRESS = re.compile(rb"[0-9a-f.:]{1,45}")


@dataclass(frozen=True, slots=True)
class Access:
    """What a domain refused. serial: of the event, which further records may belong to. blockers: rights, as `fs.read_file`.

    Of the rest there is what the right is about. path: of a file in the view of its process, or the name of an abstract socket
    behind a NUL. inode: of that file. command: of an ioctl. address, port: of a socket; the kernel leaves out what is zero.
    process: the name of a process that was to be signalled or traced.
    """

    serial: int
    domain: int
    blockers: tuple[str, ...]
    path: bytes | None = None
    inode: int = 0
    command: int | None = None
    address: str = ""
    port: int = 0
    process: bytes | None = None

    @property
    def kind(self) -> tuple[str, ...]:
        """What was refused, apart from what it was wanted for."""
        return self.blockers

    @property
    def thing(self) -> tuple[object, ...]:
        """What it was wanted for. The rules know ports and no addresses. A process to be signalled is what it calls itself:
        numbers there are many."""
        return (self.path, self.command, self.port, self.process)


@dataclass(frozen=True, slots=True)
class DomainMade:
    """A domain that refuses something for the first time. pid: of the process that entered it, in the first pid namespace."""

    domain: int
    pid: int


@dataclass(frozen=True, slots=True)
class DomainGone:
    """The end of a domain that has refused something. denials: how often, whether or not there was a record."""

    domain: int
    denials: int


@dataclass(frozen=True, slots=True)
class CallMade:
    """Who made the system call of an event. name: what the thread calls itself. parent: the number of its parent."""

    serial: int
    pid: int
    name: bytes
    parent: int = 0


Record: TypeAlias = Access | DomainMade | DomainGone | CallMade | Refusal


def parse_record(kind: int, data: bytes) -> Record | None:
    """The record in a message of the log; None for what is of another kind, or not as the kernel writes it."""
    head = _HEAD.match(data)
    if not head:
        return None
    serial = int(head[1])
    if kind == audit.AVC:
        return parse_avc(serial, data[head.end() :])
    fields = split_fields(data[head.end() :])
    match kind:
        case audit.LANDLOCK_ACCESS:
            return _access(serial, fields)
        case audit.LANDLOCK_DOMAIN:
            return _domain(fields)
        case audit.SYSCALL:
            pid = find_number(fields.get(b"pid"))
            name = find_text(fields.get(b"comm")) or b""
            return None if pid is None else CallMade(serial, pid, name, find_number(fields.get(b"ppid")) or 0)
        case _:
            return None


def _access(serial: int, fields: Mapping[bytes, bytes]) -> Access | None:
    domain = find_number(fields.get(b"domain"), 16)
    words = fields.get(b"blockers", b"").split(b",")[:BLOCKERS_KEPT]
    if domain is None or not all(_BLOCKER.fullmatch(word) for word in words):
        return None
    address = fields.get(b"daddr", fields.get(b"saddr", b""))
    return Access(
        serial,
        domain,
        tuple(word.decode() for word in words),
        path=find_text(fields.get(b"path")),
        inode=find_number(fields.get(b"ino")) or 0,
        command=find_number(fields.get(b"ioctlcmd", b"").removeprefix(b"0x"), 16),
        address=address.decode() if _ADDRESS.fullmatch(address) else "",
        port=find_number(fields.get(b"dest", fields.get(b"src"))) or 0,
        process=find_text(fields.get(b"ocomm")),
    )


def _domain(fields: Mapping[bytes, bytes]) -> DomainMade | DomainGone | None:
    domain, pid, denials = (
        find_number(fields.get(b"domain"), 16),
        find_number(fields.get(b"pid")),
        find_number(fields.get(b"denials")),
    )
    match fields.get(b"status"):
        case b"allocated" if domain is not None and pid is not None:
            return DomainMade(domain, pid)
        case b"deallocated" if domain is not None and denials is not None:
            return DomainGone(domain, denials)
    return None
