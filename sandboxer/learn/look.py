"""One argument of a refused call, and how each kind of argument is looked at.

Everything that is read of the box's memory is bounded and may be anything, also a lie: another thread can change it at any time.
"""

from __future__ import annotations

import ipaddress
import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from sandboxer.abi.constants import CONSTANTS
from sandboxer.abi.signals import Signal
from sandboxer.learn.quote import printable, quote

AT_FDCWD = CONSTANTS["AT_FDCWD"]
SOCKADDR_BYTES = 128
SOCK_TYPE_MASK = CONSTANTS["SOCK_TYPE_MASK"]
_SIGNALS = {signal.value: signal.name for signal in Signal}
UNREAD = "[...]"
"""What stands for memory that nobody looks at."""

_AT = ("AT_SYMLINK_NOFOLLOW", "AT_REMOVEDIR", "AT_SYMLINK_FOLLOW", "AT_NO_AUTOMOUNT", "AT_EMPTY_PATH", "AT_RECURSIVE")
AT_FLAGS = {name: CONSTANTS[name] for name in _AT}
RESOLVE_FLAGS = {
    "RESOLVE_NO_XDEV": 1,
    "RESOLVE_NO_MAGICLINKS": 2,
    "RESOLVE_NO_SYMLINKS": 4,
    "RESOLVE_BENEATH": 8,
    "RESOLVE_IN_ROOT": 16,
    "RESOLVE_CACHED": 32,
}
OPEN_FLAGS = {
    name: getattr(os, name)
    for name in (
        "O_WRONLY", "O_RDWR", "O_CREAT", "O_EXCL", "O_NOCTTY", "O_TRUNC", "O_APPEND", "O_NONBLOCK", "O_SYNC", "O_DSYNC",
        "O_DIRECT", "O_DIRECTORY", "O_NOFOLLOW", "O_NOATIME", "O_CLOEXEC", "O_PATH", "O_TMPFILE",
    )
}  # fmt: skip


class Readable(Protocol):
    """A process that waits: kernel/listener/waiting.py. None is what cannot be read."""

    def read(self, address: int, count: int) -> bytes | None: ...

    def read_text(self, address: int) -> tuple[bytes, bool] | None: ...

    def find_link(self, descriptor: int) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class Look:
    """One call that waits: all its arguments by name, as the kernel sees them, and the process to read from."""

    call: str
    values: Mapping[str, int]
    waiting: Readable


Shown = Callable[[Look, int], str]


def number(_: Look, value: int) -> str:
    """A plain number; one that would be negative as a 32-bit number is shown so if it is small."""
    if 0xFFFFF000 <= value <= 0xFFFFFFFF:
        return str(value - (1 << 32))
    return str(value) if value < 1 << 16 else f"{value:#x}"


def pointer(_: Look, value: int) -> str:
    """Memory that is not looked at."""
    return UNREAD if value else "NULL"


def text(look: Look, value: int) -> str:
    """A text that ends with a NUL."""
    found = look.waiting.read_text(value) if value else None
    return pointer(look, value) if found is None else quote(found[0], is_whole=found[1])


def descriptor(look: Look, value: int) -> str:
    """A descriptor, and what it is."""
    if value >= 1 << 31:
        return str(value - (1 << 32))
    link = look.waiting.find_link(value)
    return str(value) if link is None else f"{value} ({printable(link.decode('utf-8', 'backslashreplace'))})"


def directory(look: Look, value: int) -> str:
    """A descriptor of a directory, or the working directory."""
    return "AT_FDCWD" if value == AT_FDCWD else descriptor(look, value)


def octal(_: Look, value: int) -> str:
    """A file mode."""
    return f"{value:#o}".replace("0o", "0") if value else "0"


def signal(_: Look, value: int) -> str:
    """A signal by its name."""
    return _SIGNALS.get(value, str(value))


def one_of(*prefixes: str) -> Shown:
    """A value that is one of some constants."""
    names: dict[int, str] = {}
    for name, value in CONSTANTS.items():
        if name.startswith(prefixes):
            names.setdefault(value, name)
    return one_in(names)


def one_in(names: Mapping[int, str]) -> Shown:
    """A value that has a name."""
    return lambda look, value: names.get(value) or number(look, value)


def flags(names: Mapping[str, int] | str, *, zero: str = "0") -> Shown:
    """A set of flags; `names` are the flags, or the beginning of their names."""
    table = {name: value for name, value in CONSTANTS.items() if name.startswith(names)} if isinstance(names, str) else names
    # Names of several bits go first: O_TMPFILE holds O_DIRECTORY.
    rows = sorted(table.items(), key=lambda row: -row[1].bit_count())

    def show(_: Look, value: int) -> str:
        words, rest = [], value
        for name, bits in rows:
            if bits and rest & bits == bits:
                words.append(name)
                rest &= ~bits
        if rest:
            words.append(f"{rest:#x}")
        return "|".join(words) or zero

    return show


def named(prefix: str) -> Shown:
    """A value that a constant names; of two names the table's first."""
    rows = reversed([(value, name) for name, value in CONSTANTS.items() if name.startswith(prefix)])
    return one_in(dict(rows))


_open_flags = flags(OPEN_FLAGS, zero="O_RDONLY")
_clone_flags = flags("CLONE_")
_socket_type = one_of("SOCK_")
_socket_flags = flags({"SOCK_NONBLOCK": CONSTANTS["SOCK_NONBLOCK"], "SOCK_CLOEXEC": CONSTANTS["SOCK_CLOEXEC"]})
_family = one_of("AF_")
_ioctl = one_of("TIOC", "TC", "FIO", "FI", "FS_IOC_", "SIOC", "KD", "VT_", "SECCOMP_")
_protocols = {"AF_NETLINK": one_of("NETLINK_"), "AF_INET": one_of("IPPROTO_"), "AF_INET6": one_of("IPPROTO_")}


def open_flags(look: Look, value: int) -> str:
    """The flags of open(2), which are not the same on every architecture: those of this machine."""
    return _open_flags(look, value)


def clone_flags(look: Look, value: int) -> str:
    """The flags of clone(2), with the signal in their lowest byte."""
    # CLONE_NEWTIME lies in that byte, and clone(2) knows only its signal.
    ending = value & 0xFF
    named = _clone_flags(look, value & ~0xFF) if value & ~0xFF else ""
    return "|".join(word for word in (named, signal(look, ending) if ending else "") if word) or "0"


def socket_type(look: Look, value: int) -> str:
    """The type of a socket, with the flags beside it."""
    kind = _socket_type(look, value & SOCK_TYPE_MASK)
    more = value & ~SOCK_TYPE_MASK
    return f"{kind}|{_socket_flags(look, more)}" if more else kind


def protocol(look: Look, value: int) -> str:
    """A protocol, whose names depend on the family."""
    show = _protocols.get(_family(look, look.values.get("family", 0)))
    return show(look, value) if show and value else number(look, value)


def ioctl_command(look: Look, value: int) -> str:
    """A command of ioctl(2), by its name or by its parts: direction, type, number, size. Source: asm-generic/ioctl.h."""
    known = _ioctl(look, value)
    if not known.startswith(("0x", "-")) and not known.isdigit():
        return known
    kind = ("_IO", "_IOW", "_IOR", "_IOWR")[value >> 30]
    return f"{value:#x}" if value < 1 << 16 else f"{kind}({value >> 8 & 0xFF:#x}, {value & 0xFF}, {value >> 16 & 0x3FFF})"


# ── what lies in memory ───────────────────────────────────────────────────────────────────────────────────────────────


def socket_address(length: str) -> Shown:
    """An address of a socket; `length` is the argument with its size."""

    def show(look: Look, value: int) -> str:
        size = min(look.values.get(length, 0), SOCKADDR_BYTES)
        data = look.waiting.read(value, size) if value and size else None
        return pointer(look, value) if data is None else show_address(data, look)

    return show


def show_address(data: bytes, look: Look) -> str:
    """A struct sockaddr. ip(7), ipv6(7), unix(7), vsock(7), netlink(7)."""
    if len(data) < 2:
        return UNREAD
    family, rest = int.from_bytes(data[:2], "little"), data[2:]
    match _family(look, family):
        case "AF_INET" if len(rest) >= 6:
            return f"{ipaddress.IPv4Address(rest[2:6])}:{int.from_bytes(rest[:2], 'big')}"
        case "AF_INET6" if len(rest) >= 22:
            return f"[{ipaddress.IPv6Address(rest[6:22])}]:{int.from_bytes(rest[:2], 'big')}"
        case "AF_UNIX" if rest[:1] == b"\0" and len(rest) > 1:
            return f"abstract socket {quote(rest[1:])}"
        case "AF_UNIX":
            return f"unix socket {quote(rest.partition(bytes(1))[0])}"
        case "AF_VSOCK" if len(rest) >= 10:
            port, cid = struct.unpack_from("<II", rest, 2)
            return f"vsock {cid}:{port}"
        case name:
            return f"{name}, {len(data)} bytes"


def message(look: Look, value: int) -> str:
    """A struct msghdr: the address that it goes to, where it has one. sendmsg(2)."""
    head = look.waiting.read(value, 12) if value else None
    if head is None or len(head) < 12:
        return pointer(look, value)
    where, size = struct.unpack("<QI", head)
    data = look.waiting.read(where, min(size, SOCKADDR_BYTES)) if where and size else None
    return UNREAD if data is None else f"to {show_address(data, look)}"


def open_how(look: Look, value: int) -> str:
    """A struct open_how. openat2(2)."""
    data = look.waiting.read(value, 24) if value else None
    if data is None or len(data) < 24:
        return pointer(look, value)
    chosen, mode, resolve = struct.unpack("<QQQ", data)
    words = [open_flags(look, chosen)]
    words += [octal(look, mode)] if mode else []
    words += [flags(RESOLVE_FLAGS)(look, resolve)] if resolve else []
    return f"{{{', '.join(words)}}}"


def clone_request(look: Look, value: int) -> str:
    """A struct clone_args: its flags and the signal. clone3(2)."""
    data = look.waiting.read(value, 40) if value else None
    if data is None or len(data) < 40:
        return pointer(look, value)
    chosen, _, _, _, ending = struct.unpack("<5Q", data)
    words = [_clone_flags(look, chosen), signal(look, ending) if ending else ""]
    return f"{{{', '.join(word for word in words if word)}}}"


def rlimit(look: Look, value: int) -> str:
    """A struct rlimit. setrlimit(2)."""
    data = look.waiting.read(value, 16) if value else None
    if data is None or len(data) < 16:
        return pointer(look, value)
    return f"{{{', '.join('no limit' if part == (1 << 64) - 1 else str(part) for part in struct.unpack('<QQ', data))}}}"
