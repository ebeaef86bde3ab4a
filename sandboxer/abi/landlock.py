"""Landlock: every right and scope, its bit, and the ABI that brought it.

Source: include/uapi/linux/landlock.h; landlock(7); Documentation/userspace-api/landlock.rst, "Previous limitations".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, IntFlag, unique

LATEST_ABI = 11
KERNELS = {1: "5.13", 2: "5.19", 3: "6.2", 4: "6.7", 5: "6.10", 6: "6.12", 7: "6.15", 8: "7.0", 9: "7.1", 10: "7.2", 11: "7.3"}
"""The release of Linux that brought each ABI. Distributions carry some of them back, so only the ABI decides."""
LOG_ABI = 7
MAX_DOMAINS = 16  # LANDLOCK_MAX_NUM_LAYERS. Source: security/landlock/limits.h


@unique
class Kind(Enum):
    """Which mask of struct landlock_ruleset_attr a right belongs to."""

    FILESYSTEM = "filesystem"
    NETWORK = "network"
    SCOPE = "scope"


@dataclass(frozen=True, slots=True)
class Right:
    """One row. is_for_files: a rule for a file may hold it; the other rights on files are about what a directory holds."""

    name: str
    kind: Kind
    bit: int
    abi: int
    is_for_files: bool = False

    @property
    def mask(self) -> int:
        """Its bit in the mask of its kind."""
        return 1 << self.bit


RIGHTS: tuple[Right, ...] = (
    Right("execute", Kind.FILESYSTEM, 0, 1, is_for_files=True),
    Right("write_file", Kind.FILESYSTEM, 1, 1, is_for_files=True),
    Right("read_file", Kind.FILESYSTEM, 2, 1, is_for_files=True),
    Right("read_dir", Kind.FILESYSTEM, 3, 1),
    Right("remove_dir", Kind.FILESYSTEM, 4, 1),
    Right("remove_file", Kind.FILESYSTEM, 5, 1),
    Right("make_char", Kind.FILESYSTEM, 6, 1),
    Right("make_dir", Kind.FILESYSTEM, 7, 1),
    Right("make_reg", Kind.FILESYSTEM, 8, 1),
    Right("make_sock", Kind.FILESYSTEM, 9, 1),
    Right("make_fifo", Kind.FILESYSTEM, 10, 1),
    Right("make_block", Kind.FILESYSTEM, 11, 1),
    Right("make_sym", Kind.FILESYSTEM, 12, 1),
    Right("refer", Kind.FILESYSTEM, 13, 2),
    Right("truncate", Kind.FILESYSTEM, 14, 3, is_for_files=True),
    Right("ioctl_dev", Kind.FILESYSTEM, 15, 5, is_for_files=True),
    Right("resolve_unix", Kind.FILESYSTEM, 16, 9, is_for_files=True),
    Right("bind_tcp", Kind.NETWORK, 0, 4),
    Right("connect_tcp", Kind.NETWORK, 1, 4),
    Right("bind_udp", Kind.NETWORK, 2, 10),
    Right("connect_send_udp", Kind.NETWORK, 3, 10),
    Right("abstract_unix_socket", Kind.SCOPE, 0, 6),
    Right("signal", Kind.SCOPE, 1, 6),
)
BY_NAME = {right.name: right for right in RIGHTS}


@unique
class RestrictFlag(IntFlag):
    """LANDLOCK_RESTRICT_SELF_*: the log flags since ABI 7, TSYNC since ABI 8, NO_NEW_PRIVS since ABI 11."""

    LOG_SAME_EXEC_OFF = 1
    LOG_NEW_EXEC_ON = 2
    LOG_SUBDOMAINS_OFF = 4
    TSYNC = 8
    NO_NEW_PRIVS = 16


def mask_of(names: Iterable[str], kind: Kind) -> int:
    """The mask of the rights of one kind among these names. Raises: KeyError for a name that is in no row."""
    return sum(right.mask for right in {BY_NAME[name] for name in names} if right.kind is kind)


def names_of(mask: int, kind: Kind) -> tuple[str, ...]:
    """The names in a mask, in the order of the table; bits without a name stay a number."""
    found = [right for right in RIGHTS if right.kind is kind and mask & right.mask]
    rest = mask & ~sum(right.mask for right in found)
    return tuple(right.name for right in found) + ((f"{rest:#x}",) if rest else ())


def known_rights(abi: int) -> frozenset[str]:
    """The names of the rights that a kernel of this ABI handles; none at 0, which is no Landlock at all."""
    return frozenset(right.name for right in RIGHTS if right.abi <= abi)
