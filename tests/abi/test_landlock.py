"""The table of Landlock rights: whole, monotone by ABI, and as far as it goes the one of the kernel's header."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sandboxer.abi.landlock import KERNELS, LATEST_ABI, RIGHTS, Kind, known_rights, mask_of, names_of

HEADER = Path("/usr/include/linux/landlock.h")
PREFIXES = {Kind.FILESYSTEM: "ACCESS_FS", Kind.NETWORK: "ACCESS_NET", Kind.SCOPE: "SCOPE"}


@pytest.mark.parametrize("kind", Kind)
def test_bits_of_a_kind_begin_at_zero_and_leave_none_out(kind: Kind) -> None:
    rows = [right for right in RIGHTS if right.kind is kind]
    assert [right.bit for right in rows] == list(range(len(rows)))
    assert [right.abi for right in rows] == sorted(right.abi for right in rows)


def test_names_are_unique() -> None:
    assert len({right.name for right in RIGHTS}) == len(RIGHTS)


def test_each_abi_knows_what_the_one_before_knew() -> None:
    assert known_rights(0) == frozenset()
    assert all(known_rights(abi) <= known_rights(abi + 1) for abi in range(LATEST_ABI + 3))
    assert known_rights(LATEST_ABI) == {right.name for right in RIGHTS}


@pytest.mark.parametrize(
    ("abi", "new"),
    [
        (2, {"refer"}),
        (3, {"truncate"}),
        (4, {"bind_tcp", "connect_tcp"}),
        (5, {"ioctl_dev"}),
        (6, {"abstract_unix_socket", "signal"}),
        (7, set()),
        (8, set()),
        (9, {"resolve_unix"}),
        (10, {"bind_udp", "connect_send_udp"}),
    ],
)
def test_abi_brings_what_its_kernel_brought(abi: int, new: set[str]) -> None:
    assert known_rights(abi) - known_rights(abi - 1) == new
    assert abi in KERNELS


def test_header_of_this_machine_has_the_same_numbers() -> None:
    """It may be older than the table; what it has must be the same."""
    found = dict(re.findall(r"#define LANDLOCK_(\w+)\s+\(1ULL << (\d+)\)", HEADER.read_text()))
    ours = {f"{PREFIXES[right.kind]}_{right.name.upper()}": str(right.bit) for right in RIGHTS}
    assert found
    assert {name: ours[name] for name in found} == found


def test_mask_and_names_are_each_others_inverse() -> None:
    for kind in Kind:
        names = [right.name for right in RIGHTS if right.kind is kind]
        assert names_of(mask_of(names, kind), kind) == tuple(names)
    assert mask_of(["execute", "bind_tcp", "signal"], Kind.SCOPE) == 2
    assert names_of(1 << 40 | 1, Kind.FILESYSTEM) == ("execute", "0x10000000000")


def test_rights_of_files_are_those_that_the_kernel_takes_for_a_file() -> None:
    """Source: security/landlock/fs.c, ACCESS_FILE."""
    assert {right.name for right in RIGHTS if right.is_for_files} == {
        "execute", "write_file", "read_file", "truncate", "ioctl_dev", "resolve_unix",
    }  # fmt: skip
