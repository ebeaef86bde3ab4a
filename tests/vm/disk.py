"""Disks of the VM: ext4, filled from a directory without being mounted."""

from __future__ import annotations

from pathlib import Path

from tests.vm.archive import output_bytes

MIB = 1 << 20
_OPTIONS = "lazy_itable_init=1,lazy_journal_init=1,nodiscard,root_owner=0:0"


def make_disk(tree: Path, image: Path, *, spare_bytes: int = 64 * MIB, size_bytes: int = 0) -> None:
    """Make a file system with the files of a directory, their owners, modes and attributes.

    image: a file of our own by descriptor too, as /proc/self/fd/N.
    spare_bytes: what is free beyond the files. size_bytes: the whole size instead, for a disk that changes under a saved machine.
    """
    if not size_bytes:
        paths = list(tree.rglob("*"))
        used = sum((path.lstat().st_size + 4095) & ~4095 for path in paths)
        size_bytes = used + used // 16 + len(paths) * 512 + spare_bytes
    blocks = -(-size_bytes // 4096)
    # No journal: nobody recovers such a disk. Few bytes per inode: trees of Python have small files.
    fixed = ["-t", "ext4", "-b", "4096", "-i", "8192", "-m", "0", "-O", "^has_journal", "-E", _OPTIONS]
    inherited = (int(image.name),) if str(image.parent) == "/proc/self/fd" else ()
    output_bytes(["mke2fs", "-q", "-F", *fixed, "-d", str(tree), str(image), str(blocks)], inherited=inherited)
