"""What overlayfs writes into an upper layer, besides files. Source: Documentation/filesystems/overlayfs.rst.

The attributes are `trusted.` where root mounts, and `user.` in a user namespace. No job can set those that count: of `trusted.`
only root can, and the kernel gives what is set of `user.` through such an overlay another name, or refuses it. The others are
the job's own, and say nothing.
"""

from __future__ import annotations

import errno
import os
import stat

from sandboxer.errors import HostError, Problem

PRIVILEGED, ORDINARY = "trusted.overlay.", "user.overlay."
"""How the attributes begin, by who mounts."""
_NONE = (errno.ENODATA, errno.EOPNOTSUPP, errno.EPERM)


def is_whiteout(found: os.stat_result) -> bool:
    """Whether it stands for something that was removed."""
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def is_opaque(directory: int, prefix: str) -> bool:
    """Whether nothing of the layer below shows through a directory."""
    return _find(directory, f"{prefix}opaque") == b"y"


def make_opaque(directory: int, prefix: str) -> None:
    """Let nothing of the layer below show through."""
    os.setxattr(directory, f"{prefix}opaque", b"y")


def check_plain(descriptor: int, prefix: str) -> None:
    """Refuse what stands for something elsewhere in the layer below. Kernels that are told to make such things.

    Raises: UnsupportedError.
    """
    for name in ("redirect", "metacopy"):
        if _find(descriptor, prefix + name) is not None:
            why = f"the kernel's overlays use {name}, so that a change is more than what is in it"
            raise HostError(
                Problem("what has changed cannot be told", why=why, attempt="overlay.redirect_dir=off overlay.metacopy=off")
            )


def copy_marks(source: int, target: int, prefix: str) -> None:
    """Copy what overlayfs has noted about a directory."""
    if is_opaque(source, prefix):
        make_opaque(target, prefix)


def _find(descriptor: int, name: str) -> bytes | None:
    try:
        return os.getxattr(descriptor, name)
    except OSError as error:
        if error.errno not in _NONE:
            raise
    return None
