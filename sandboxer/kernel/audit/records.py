"""What a record says: a refusal by Landlock, the beginning and the end of a domain, and who made a call. Pure.

Source: security/landlock/audit.c, security/lsm_audit.c, kernel/auditsc.c; Documentation/admin-guide/LSM/landlock.rst.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sandboxer.abi import audit

TEXT_BYTES = 4096
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
    """Who made the system call of an event. name: what the thread calls itself."""

    serial: int
    pid: int
    name: bytes


Record = Access | DomainMade | DomainGone | CallMade


def parse_record(kind: int, data: bytes) -> Record | None:
    """The record in a message of the log; None for what is of another kind, or not as the kernel writes it."""
    head = _HEAD.match(data)
    if not head:
        return None
    fields: dict[bytes, bytes] = {}
    # No blank is inside of a value: a text that holds one is written in hex. What is said twice was said first by the kernel.
    for word in data[head.end() :].rstrip(b"\0\n").split(b" "):
        name, equals, value = word.partition(b"=")
        if equals:
            fields.setdefault(name, value)
    serial = int(head[1])
    match kind:
        case audit.LANDLOCK_ACCESS:
            return _access(serial, fields)
        case audit.LANDLOCK_DOMAIN:
            return _domain(fields)
        case audit.SYSCALL:
            pid = _number(fields.get(b"pid"))
            return None if pid is None else CallMade(serial, pid, _text(fields.get(b"comm")) or b"")
        case _:
            return None


def _access(serial: int, fields: Mapping[bytes, bytes]) -> Access | None:
    domain = _number(fields.get(b"domain"), 16)
    words = fields.get(b"blockers", b"").split(b",")[:BLOCKERS_KEPT]
    if domain is None or not all(_BLOCKER.fullmatch(word) for word in words):
        return None
    address = fields.get(b"daddr", fields.get(b"saddr", b""))
    return Access(
        serial,
        domain,
        tuple(word.decode() for word in words),
        path=_text(fields.get(b"path")),
        inode=_number(fields.get(b"ino")) or 0,
        command=_number(fields.get(b"ioctlcmd", b"").removeprefix(b"0x"), 16),
        address=address.decode() if _ADDRESS.fullmatch(address) else "",
        port=_number(fields.get(b"dest", fields.get(b"src"))) or 0,
        process=_text(fields.get(b"ocomm")),
    )


def _domain(fields: Mapping[bytes, bytes]) -> DomainMade | DomainGone | None:
    domain, pid, denials = _number(fields.get(b"domain"), 16), _number(fields.get(b"pid")), _number(fields.get(b"denials"))
    match fields.get(b"status"):
        case b"allocated" if domain is not None and pid is not None:
            return DomainMade(domain, pid)
        case b"deallocated" if domain is not None and denials is not None:
            return DomainGone(domain, denials)
    return None


def _number(text: bytes | None, radix: int = 10) -> int | None:
    if not text or len(text) > 20 or not text.isalnum():
        return None
    try:
        return int(text, radix)
    except ValueError:
        return None


def _text(value: bytes | None) -> bytes | None:
    """A text that the kernel does not trust: in quotes where it is harmless, else in hex. audit_log_untrustedstring()."""
    if value is None:
        return None
    if value.startswith(b'"'):
        return value.strip(b'"')[:TEXT_BYTES]
    if value == b"(null)":
        return b""
    try:
        return bytes.fromhex(value.decode("ascii"))[:TEXT_BYTES]
    except ValueError:  # a UnicodeDecodeError is one
        return None
