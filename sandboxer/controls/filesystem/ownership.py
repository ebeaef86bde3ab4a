"""Which mounts translate ids, and on which filesystems the kernel can do that. Only for callers with privilege."""

from __future__ import annotations

from sandboxer.controls.filesystem.pieces import Bind, Ids
from sandboxer.controls.paths import fact_of
from sandboxer.errors import Problem
from sandboxer.model.host import Host
from sandboxer.model.op import NO_SLOT, U32, MakeIdmap, Text

# Filesystems with FS_ALLOW_IDMAP, and the first kernel that has it. Source: fs/*/super.c, git log -S FS_ALLOW_IDMAP.
IDMAPPABLE: dict[str, tuple[int, int]] = {
    "ext2": (5, 12),
    "ext3": (5, 12),
    "ext4": (5, 12),
    "vfat": (5, 12),
    "msdos": (5, 12),
    "xfs": (5, 12),
    "btrfs": (5, 15),
    "ntfs3": (5, 15),
    "f2fs": (5, 18),
    "erofs": (5, 19),
    "squashfs": (6, 2),
    "tmpfs": (6, 3),
    "bcachefs": (6, 7),
    "ceph": (6, 7),
    "hugetlbfs": (6, 9),
    "virtiofs": (6, 12),
    "zfs": (5, 12),
}

_SPARE = 65534  # stands on disk for root's own files in an upper layer, where root's id stands for the job's


def obstacle(bind: Bind, host: Host) -> Problem | None:
    """Why the kernel cannot translate the ids of this tree, or None."""
    fact = fact_of(host, bind.source)
    what = f"{bind.source} cannot be shown as the job's own files"
    attempt = "make its owner the job's outside id (`ids: {outside: ...}`), or run as an ordinary user"
    if not host.has_idmapped_mounts:
        return Problem(
            what, where=bind.place, why="this kernel has no idmapped mounts (Linux 5.12 and later have them)", attempt=attempt
        )
    if not host.owns_file_systems and fact.filesystem != "tmpfs":
        why = "the caller is root of a user namespace (a rootless container), and these files' ids are not its to map"
        return Problem(what, where=bind.place, why=why, attempt=attempt)
    since = IDMAPPABLE.get(fact.filesystem)
    if since is None:
        return Problem(what, where=bind.place, why=f"it lies on {fact.filesystem}, which cannot translate ids", attempt=attempt)
    if host.kernel < since:
        why = f"it lies on {fact.filesystem}, which can translate ids from Linux {since[0]}.{since[1]} on"
        return Problem(what, where=bind.place, why=why, attempt=attempt)
    return None


class Idmaps:
    """One id mapping for each owner that mounts stand for; slots are given out from 0. outside: the job's ids on the host.

    The upper layer of an overlay needs the host's root in its mapping too: overlayfs makes its own files there as whoever mounted
    it, and a mount that cannot translate that owner turns read-only. Source: fs/overlayfs/super.c, ovl_workdir_create.
    """

    def __init__(self, outside: Ids) -> None:
        self.outside = outside
        self.slots: dict[tuple[Ids, bool], int] = {}

    def slot(self, owner: Ids | None, *, is_upper: bool = False) -> U32:
        """The slot of the mapping for an owner; NO_SLOT where nothing is translated."""
        if owner is None:
            return NO_SLOT
        return U32(self.slots.setdefault((owner, is_upper), len(self.slots)))

    def ops(self) -> tuple[MakeIdmap, ...]:
        """The mappings. Their inside ids are those on disk, their outside ids those that the mount shows. mount_setattr(2)."""
        uid, gid = self.outside
        return tuple(
            MakeIdmap(U32(slot), Text(_lines(owner[0], uid, is_upper)), Text(_lines(owner[1], gid, is_upper)))
            for (owner, is_upper), slot in self.slots.items()
        )


def _lines(on_disk: int, shown: int, is_upper: bool) -> str:
    line = f"{on_disk} {shown} 1"
    if not is_upper:
        return line
    return f"{line}\n{0 if on_disk else _SPARE} 0 1"
