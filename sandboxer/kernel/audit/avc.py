"""What a record of the kind AVC says: a refusal by AppArmor or by SELinux, each in its own words. Pure.

Source: security/apparmor/audit.c, file.c, net.c, ipc.c; security/selinux/avc.c; security/lsm_audit.c.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from sandboxer.kernel.audit.fields import find_number, find_text, split_fields

DENIED, ALLOWED = "DENIED", "ALLOWED"
LEARNING = b"//null-"
"""In the name of a profile that the kernel makes for a program that a complaining one does not let execute: it grants nothing."""
PERMISSIONS_KEPT = 16
_WORD = re.compile(rb'"?([A-Za-z0-9_.+-]{1,48})"?')
_MASK = re.compile(rb' denied(?:_mask)?="([a-z_: ]{1,64})"')
_INFO = re.compile(rb' info="([ !#-~]{1,128})"')
_SELINUX = re.compile(rb"avc:  (denied|granted)  \{ ([a-z0-9_ ]{1,400})\} for  ")
_CONTEXT = re.compile(rb"[A-Za-z0-9_.:,-]{1,256}")


@dataclass(frozen=True, slots=True)
class ProfileRefusal:
    """What an AppArmor profile refused, or recorded in complain mode. serial: of the event.

    verdict: DENIED, ALLOWED, or another word. operation: what was tried, `open`, `capable`. profile: its name. denied: what was
    missing, as letters for files and as a word elsewhere. Of the rest there is what the operation is about. path: in the view of
    the process. other: the second path, of a link or a mount. info: the kernel's reason, where there was one besides.
    """

    serial: int
    verdict: str
    operation: str
    profile: bytes
    pid: int = 0
    process: bytes = b""
    denied: str = ""
    path: bytes | None = None
    other: bytes | None = None
    capability: str = ""
    family: str = ""
    socket: str = ""
    signal: str = ""
    peer: bytes | None = None
    info: str = ""

    @property
    def kind(self) -> tuple[str, ...]:
        """What was refused, apart from what it was wanted for."""
        return (self.verdict, self.operation, self.denied, LEARNING.decode() if LEARNING in self.profile else "")

    @property
    def thing(self) -> tuple[object, ...]:
        """What it was wanted for."""
        return (self.path, self.other, self.capability, self.family, self.socket, self.signal, self.peer)


@dataclass(frozen=True, slots=True)
class ContextRefusal:
    """What SELinux refused, or recorded where it is permissive. serial: of the event.

    source, target: contexts; target_class: what the target is. Of the rest there is what it is about. path: of a file in the view
    of the process, or often its name alone; inode, device: where it is. capability: its number. port: of a socket.
    """

    serial: int
    permissions: tuple[str, ...]
    source: str
    target: str
    target_class: str
    is_refused: bool = True
    pid: int = 0
    process: bytes = b""
    path: bytes | None = None
    inode: int = 0
    device: str = ""
    capability: int | None = None
    port: int = 0

    @property
    def kind(self) -> tuple[str, ...]:
        """What was refused, apart from what it was wanted for."""
        return (str(self.is_refused), self.target_class, *self.permissions)

    @property
    def thing(self) -> tuple[object, ...]:
        """What it was wanted for. The kernel numbers what it shows of processes anew each time that somebody looks."""
        inode = 0 if self.device == "proc" else self.inode
        return (self.target, self.path, inode, self.device, self.capability, self.port)


Refusal: TypeAlias = ProfileRefusal | ContextRefusal


def parse_avc(serial: int, data: bytes) -> Refusal | None:
    """The record without its head; None for what is of another module, or not as these write it."""
    if data.startswith(b"apparmor="):
        return _of_apparmor(serial, data, split_fields(data))
    head = _SELINUX.match(data)
    return _of_selinux(serial, head, split_fields(data[head.end() :])) if head else None


def _of_apparmor(serial: int, data: bytes, fields: Mapping[bytes, bytes]) -> ProfileRefusal | None:
    verdict, operation = _word(fields.get(b"apparmor")), _word(fields.get(b"operation"))
    profile = find_text(fields.get(b"profile"))
    if not verdict or not operation or not profile:
        return None
    # These two are the kernel's own words, and the only ones in quotes with blanks between them.
    mask, info = _MASK.search(data), _INFO.search(data)
    return ProfileRefusal(
        serial,
        verdict,
        operation,
        profile,
        pid=find_number(fields.get(b"pid")) or 0,
        process=find_text(fields.get(b"comm")) or b"",
        denied=mask[1].decode() if mask else "",
        path=find_text(fields.get(b"name")),
        other=find_text(fields.get(b"target", fields.get(b"srcname"))),
        capability=_word(fields.get(b"capname")),
        family=_word(fields.get(b"family")),
        socket=_word(fields.get(b"sock_type")),
        signal=_word(fields.get(b"signal")),
        peer=find_text(fields.get(b"peer")),
        info=info[1].decode() if info else "",
    )


def _of_selinux(serial: int, head: re.Match[bytes], fields: Mapping[bytes, bytes]) -> ContextRefusal | None:
    source, target, kind = (fields.get(name, b"") for name in (b"scontext", b"tcontext", b"tclass"))
    permissions = head[2].decode().split()[:PERMISSIONS_KEPT]
    if (
        head[1] != b"denied"
        or not permissions
        or not (_CONTEXT.fullmatch(source) and _CONTEXT.fullmatch(target) and _WORD.fullmatch(kind))
    ):
        return None
    return ContextRefusal(
        serial,
        tuple(permissions),
        source.decode(),
        target.decode(),
        kind.decode(),
        is_refused=fields.get(b"permissive") != b"1",
        pid=find_number(fields.get(b"pid")) or 0,
        process=find_text(fields.get(b"comm")) or b"",
        path=find_text(fields.get(b"path", fields.get(b"name"))),
        inode=find_number(fields.get(b"ino")) or 0,
        device=_word(fields.get(b"dev")),
        capability=find_number(fields.get(b"capability")),
        port=find_number(fields.get(b"dest", fields.get(b"src"))) or 0,
    )


def _word(value: bytes | None) -> str:
    found = _WORD.fullmatch(value or b"")
    return found[1].decode() if found else ""
