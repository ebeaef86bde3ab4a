"""What SELinux would take away from a command that it is handed, asked of the loaded policy ahead of the start.

When a process enters a domain, the kernel looks at every open file again, and puts a null device in place of each that the domain
may not use, without a word: output would be lost, and a command that failed to read would look like one without input. Labels are
those of the very descriptors, whoever made them. The warm path passes here, so nothing heavy may be imported.
Source: security/selinux/hooks.c, flush_unauthorized_files and file_to_av.
"""

from __future__ import annotations

import os
from _socket import AF_INET, AF_INET6, AF_UNIX, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM, socket
from fcntl import F_GETFL, fcntl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = "/sys/fs/selinux"
LABEL = "security.selinux"
_ALL_BITS = 0xFFFFFFFF
_KIND_MASK, _SOCKET_KIND = 0o170000, 0o140000
_NULL = os.makedev(1, 3)
"""/dev/null, for which a null device is as good. Source: Documentation/admin-guide/devices.txt."""
_KINDS = {0o010000: "fifo_file", 0o020000: "chr_file", 0o040000: "dir", 0o060000: "blk_file", 0o100000: "file"}
"""What stat(2) says of a file -> its class. What has no kind is the kernel's own (eventfd, ...), and nobody is asked for it."""
_SOCKETS = {
    (AF_UNIX, SOCK_STREAM): "unix_stream_socket",
    (AF_UNIX, SOCK_SEQPACKET): "unix_stream_socket",
    (AF_UNIX, SOCK_DGRAM): "unix_dgram_socket",
    **{(family, SOCK_STREAM): "tcp_socket" for family in (AF_INET, AF_INET6)},
    **{(family, SOCK_DGRAM): "udp_socket" for family in (AF_INET, AF_INET6)},
}
"""Source: security/selinux/hooks.c, socket_type_to_security_class; others are not asked for."""


class Lost:
    """A descriptor that would be taken away: its number in the box, its label and class, and what the domain lacks there."""

    __slots__ = ("kind", "label", "missing", "number")

    def __init__(self, number: int, label: str, kind: str, missing: tuple[str, ...]) -> None:
        self.number = number
        self.label = label
        self.kind = kind
        self.missing = missing


def find_lost(context: str, given: Iterable[tuple[int, int]]) -> Lost | None:
    """The first descriptor that a command in this context would not keep; None as well where nothing is enforced.

    given: numbers in the box, and the descriptors here that they are. One that is closed is left to the start, and so is a
    context that the policy does not know.
    """
    if read_text(f"{ROOT}/enforce").strip() != "1" or not is_valid(context):
        return None
    for number, descriptor in given:
        try:
            kind, wanted = _class_of(descriptor), _use_of(descriptor)
            label = os.getxattr(descriptor, LABEL).rstrip(b"\0").decode(errors="replace")
        except OSError:
            continue
        missing = find_missing(context, label, kind, wanted) if kind else ()
        if missing:
            return Lost(number, label, kind, missing)
    return None


def _class_of(descriptor: int) -> str:
    """The class of an open file; empty for one that is not asked for."""
    seen = os.fstat(descriptor)
    kind = seen.st_mode & _KIND_MASK
    if kind != _SOCKET_KIND:
        return "" if _KINDS.get(kind) == "chr_file" and seen.st_rdev == _NULL else _KINDS.get(kind, "")
    borrowed = socket(fileno=descriptor)  # it asks the kernel what it is
    try:
        return _SOCKETS.get((borrowed.family, borrowed.type), "")
    finally:
        borrowed.detach()


def _use_of(descriptor: int) -> tuple[str, ...]:
    """What it was opened for."""
    flags = fcntl(descriptor, F_GETFL)
    write = "append" if flags & os.O_APPEND else "write"
    return {os.O_RDONLY: ("read",), os.O_WRONLY: (write,)}.get(flags & os.O_ACCMODE, ("read", write))


def is_valid(context: str) -> bool:
    """Whether the loaded policy has this context: its user, role, type and level, and that they fit each other."""
    try:
        with open(f"{ROOT}/context", "r+b", buffering=0) as file:
            file.write(os.fsencode(context) + b"\0")
    except OSError:
        return False  # EINVAL: there is no such one
    return True


def find_missing(source: str, target: str, kind: str, wanted: Iterable[str]) -> tuple[str, ...]:
    """Those permissions of a class that the policy does not allow a context over another one; all where it cannot be asked.

    A permission that the policy does not know is not asked for. Source: security/selinux/selinuxfs.c, sel_write_access.
    """
    names = tuple(wanted)
    try:
        number = int(read_text(f"{ROOT}/class/{kind}/index"))
        with open(f"{ROOT}/access", "r+b", buffering=0) as file:
            file.write(os.fsencode(f"{source} {target} {number} {_ALL_BITS:x}") + b"\0")
            file.seek(0)
            allowed = int(file.read(4096).split()[0], 16)
    except (OSError, ValueError, IndexError):
        return names
    bits = {name: _bit(kind, name) for name in names}
    return tuple(name for name, bit in bits.items() if bit and not allowed & bit)


def _bit(kind: str, permission: str) -> int:
    text = read_text(f"{ROOT}/class/{kind}/perms/{permission}").strip()
    return 1 << int(text) - 1 if text.isdigit() else 0


def read_text(path: str) -> str:
    """A file of the kernel's; empty where it cannot be read."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(4096).decode(errors="replace")
    except OSError:
        return ""
