"""Where the caller's own systemd can be reached. Nothing is said to it here: who only wants to know pays for no D-Bus."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Socket:
    """is_direct: systemd itself listens there, no bus between."""

    path: str
    is_direct: bool

    @property
    def is_there(self) -> bool:
        """Whether it is worth a try."""
        return os.path.exists(self.path)


def candidate_sockets(environment: Mapping[str, str]) -> tuple[Socket, ...]:
    """systemd's own socket, as its own tools use it, and the user's bus, which has to be started first where nobody has used it.

    environment: where XDG_RUNTIME_DIR is read.
    """
    directory = environment.get("XDG_RUNTIME_DIR", "")
    if not directory.startswith("/"):
        directory = f"/run/user/{os.geteuid()}"  # pam_systemd(8)
    return Socket(f"{directory}/systemd/private", True), Socket(f"{directory}/bus", False)
