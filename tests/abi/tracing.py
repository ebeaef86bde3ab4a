"""What the running kernel says of its own calls: the formats of its trace events, and the prototypes in its type information."""

from __future__ import annotations

import errno
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

BTF = Path("/sys/kernel/btf/vmlinux")

# tracefs is mounted in a mount namespace of its own, which takes the mount with it when it ends.
_READ = 'mount -t tracefs tracefs "$1" && cd "$1/events/syscalls" && cat sys_enter_*/format'


class Unreadable(Exception):
    """Why this kernel tells nothing."""


def read_formats(directory: Path) -> str:
    """The text of all formats of events/syscalls/sys_enter_*. `directory` is where tracefs is mounted, for nobody else to see.

    Raises: Unreadable with the reason.
    """
    if "\ttracefs\n" not in Path("/proc/filesystems").read_text():
        raise Unreadable("this kernel has no tracefs (CONFIG_FTRACE)")
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _READ, "sh", str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"})
    if done.returncode == 0:
        return done.stdout
    if "events/syscalls" in done.stderr:
        raise Unreadable("this kernel traces no system calls (CONFIG_FTRACE_SYSCALLS, or lockdown)")
    if "ermitted" in done.stderr or "ermission" in done.stderr:
        raise Unreadable(f"this user may not mount tracefs: {done.stderr.strip()}")
    raise Unreadable(f"tracefs could not be read: {done.stderr.strip()}")


# struct btf_header, struct btf_type, and the bytes that follow a type of each kind. Source: include/uapi/linux/btf.h.
_HEADER = struct.Struct("<HBBIIIII")
_TYPE = struct.Struct("<III")
_PAIR = struct.Struct("<II")
_FIXED = {1: 4, 3: 12, 14: 4, 17: 4}
_EACH = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}
_POINTER, _FUNCTION = 2, 12
_QUALIFIERS = (9, 10, 11)


class Types:
    """The kernel's type information, as far as prototypes need it."""

    def __init__(self, data: bytes) -> None:
        magic, _, _, header, types_at, types_bytes, names_at, names_bytes = _HEADER.unpack_from(data)
        if magic != 0xEB9F:
            raise Unreadable(f"{BTF} has the magic {magic:#x}, which is not that of BTF")
        self._names = data[header + names_at : header + names_at + names_bytes]
        self._types: list[tuple[int, int, int, bytes]] = [(0, 0, 0, b"")]
        at, end = header + types_at, header + types_at + types_bytes
        while at < end:
            name, info, of = _TYPE.unpack_from(data, at)
            kind, count = info >> 24 & 0x1F, info & 0xFFFF
            size = _FIXED.get(kind, _EACH.get(kind, 0) * count)
            at += _TYPE.size
            self._types.append((kind, name, of, data[at : at + size]))
            at += size

    def _name(self, offset: int) -> str:
        return self._names[offset : self._names.index(b"\0", offset)].decode()

    def _show(self, number: int) -> str:
        kind, name, of, _ = self._types[number]
        if kind == _POINTER:
            return "void *"
        return self._show(of) if kind in _QUALIFIERS else self._name(name)

    def functions(self, prefix: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        """Functions whose name begins so, without that, each with the names and C types of its arguments."""
        for kind, name, of, _ in self._types:
            if kind == _FUNCTION and (full := self._name(name)).startswith(prefix):
                arguments = self._types[of][3]
                pairs = [_PAIR.unpack_from(arguments, at) for at in range(0, len(arguments), _PAIR.size)]
                yield full.removeprefix(prefix), [(self._name(word), self._show(of)) for word, of in pairs]


def read_types() -> Types:
    """The type information of the running kernel. Raises: Unreadable with the reason."""
    try:
        return Types(BTF.read_bytes())
    except FileNotFoundError as error:
        raise Unreadable("this kernel has no type information (CONFIG_DEBUG_INFO_BTF)") from error
    except OSError as error:
        raise Unreadable(f"{BTF}: {errno.errorcode.get(error.errno or 0, error.errno)}") from error
