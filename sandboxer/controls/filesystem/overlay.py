"""An overlay over a host directory: its lower tree, and where its changes go.

`changes: discard` puts them on a private tmpfs that vanishes with the box. `changes: keep` puts them into the directory
`upper` of a directory of the host, beside `work`, which the kernel uses; both must be there, since nothing is ever made on
the host.
"""

from __future__ import annotations

from sandboxer.abi.mount import MountAttr
from sandboxer.controls.filesystem.pieces import Bind, Ids
from sandboxer.controls.paths import fact_of, follow
from sandboxer.errors import Problem
from sandboxer.model.host import Host, PathKind
from sandboxer.model.op import NO_SLOT, U32, U64, ClearWork, MountOverlay, OpenTree, Text, TextList

LAYER = MountAttr.NOSUID | MountAttr.NODEV
NO_LINKS = (5, 14)
"""The kernel from which a mount can refuse to follow links. Source: include/uapi/linux/mount.h, MOUNT_ATTR_NOSYMFOLLOW."""


def kept_directories(keep: str) -> tuple[str, ...]:
    """The host directories that a kept overlay needs."""
    return (keep, f"{keep}/upper", f"{keep}/work") if keep else ()


def obstacle(bind: Bind, host: Host) -> Problem | None:
    """What is wrong with the directory that keeps the changes, or None."""
    keep = bind.overlay.keep if bind.overlay else ""
    kept = follow(host, keep).path if keep else ""
    links = [path for path in kept_directories(kept)[1:] if follow(host, path).path != path]
    if links:
        why = f"{links[0]} is a symbolic link, and a job that may change {keep} could make it lead anywhere"
        return Problem(f"{keep} cannot keep changes", where=bind.place, why=why, attempt="a directory in place of the link")
    missing = [path for path in kept_directories(keep) if fact_of(host, follow(host, path).path).kind is not PathKind.DIRECTORY]
    if not missing:
        return None
    why = f"{missing[0]} is not a directory, and nothing is ever made on the host"
    return Problem(f"{keep} cannot keep changes", where=bind.place, why=why, attempt=f"mkdir -p {keep}/upper {keep}/work")


def open_layers(bind: Bind, host: Host, *, lower_slot: U32, upper_slot: U32, idmaps: tuple[U32, U32]) -> tuple[OpenTree, ...]:
    """Take the lower tree, and the directory of kept changes if there is one. idmaps: the slots for each of the two."""
    # In a user namespace a tree is only to be had with the mounts that are locked to it. Source: fs/namespace.c, __do_loopback.
    is_recursive = U32(0 if host.is_privileged else 1)
    lower = OpenTree(lower_slot, Text(bind.source), U64(LAYER | MountAttr.RDONLY), is_recursive, idmaps[0])
    if bind.overlay is None or not bind.overlay.keep:
        return (lower,)
    keep = follow(host, bind.overlay.keep).path
    # `upper` and `work` are looked up once more when they are mounted, and somebody may have put links there by then.
    attributes = LAYER | (MountAttr.NOSYMFOLLOW if host.kernel >= NO_LINKS else MountAttr.NONE)
    return (lower, OpenTree(upper_slot, Text(keep), U64(attributes), U32(0), idmaps[1]))


def kept_owner(bind: Bind, host: Host, outside: Ids) -> Ids | None:
    """The owner of the kept changes, where a mount must translate it."""
    if bind.overlay is None or not bind.overlay.keep or not host.is_privileged:
        return None
    fact = fact_of(host, follow(host, f"{bind.overlay.keep}/upper").path)
    return None if (fact.uid, fact.gid) == outside else (fact.uid, fact.gid)


def mount(bind: Bind, host: Host, attributes: MountAttr, *, lower_slot: U32, upper_slot: U32, owner: Ids) -> MountOverlay:
    """The overlay itself. owner: whose the private upper directory is, in the ids of whoever mounts."""
    rule = bind.overlay
    size = rule.size_bytes if rule else 0
    # A user namespace may not set trusted.* attributes; user.* serve as well. Source: overlayfs.rst, "User xattr".
    options = TextList(() if host.is_privileged else ("userxattr",))
    slot = upper_slot if rule and rule.keep else NO_SLOT
    uid, gid = U32(owner[0]), U32(owner[1])
    return MountOverlay(
        Text(bind.target),
        U64(attributes),
        lower_slot,
        slot,
        U64(size),
        uid,
        gid,
        U32(fact_of(host, bind.source).mode & 0o777),
        options,
    )


def clean(bind: Bind, host: Host) -> tuple[ClearWork, ...]:
    """Remove the directory of the kernel's own that it leaves in `work`, with mode 000, so that the owner can remove the rest."""
    if bind.overlay is None or not bind.overlay.keep:
        return ()
    return (ClearWork(Text(follow(host, f"{bind.overlay.keep}/work").path)),)
