"""AppArmor as this kernel has it: whether it can be used, whether a profile is loaded, and loading and removing one.

Loading needs root, once, and the parser of the distribution's package, which compiles the text. Using what is loaded needs
neither.
"""

from __future__ import annotations

import errno
import os
import secrets
from dataclasses import dataclass
from threading import Thread

from sandboxer.errors import HostError, Problem
from sandboxer.kernel.child import run_child
from sandboxer.kernel.obstacle import Obstacle
from sandboxer.kernel.proc import find_text

PARSERS = ("/usr/sbin/apparmor_parser", "/sbin/apparmor_parser", "/usr/bin/apparmor_parser")
ENABLED = "/sys/module/apparmor/parameters/enabled"
OWN_LABEL = "/proc/self/attr/apparmor/current"
REMOVE = "/sys/kernel/security/apparmor/.remove"
_NEXT_LABEL = "/proc/thread-self/attr/apparmor/exec"
_INSTALL = "install the package `apparmor`"


@dataclass(frozen=True, slots=True)
class Noted:
    """What the kernel noted for the next execve: `NAME (enforce)`, or the errno with which it refused."""

    label: str = ""
    error: int = 0


def find_apparmor_obstacle() -> Obstacle | None:
    """Why no box of this caller can be given a label; None where nothing is in the way."""
    if (find_text(ENABLED) or "").strip() != "Y":
        return Obstacle(
            "the kernel was built or booted without AppArmor",
            "boot with apparmor=1 and lsm=...,apparmor on the kernel's command line",
        )
    if not (find_text(OWN_LABEL) or "").strip():
        return Obstacle(f"{OWN_LABEL} cannot be read, and with it the label of this process", "start it where /proc is mounted")
    return None


def find_own_label() -> str:
    """The label that this process is under, as `NAME (enforce)`; empty where it is unconfined, or there is no AppArmor."""
    label = (find_text(OWN_LABEL) or "").strip()
    return "" if label == "unconfined" or label.endswith(" (unconfined)") else label


def ask_label(request: str) -> Noted:
    """What the kernel would give with the next execve. request: `exec NAME`, or `stack NAME`.

    A thread of its own asks, and ends: the list of what is loaded is for root alone.
    Source: security/apparmor/lsm.c, do_setattr.
    """
    found: list[Noted] = []

    def ask() -> None:
        try:
            with open(_NEXT_LABEL, "r+b", buffering=0) as file:
                file.write(request.encode())
                file.seek(0)
                found.append(Noted(file.read(4096).decode(errors="replace").strip("\n\0")))
        except OSError as error:  # ENOENT: there is none; EACCES, EPERM: not for us; EINVAL: no AppArmor
            found.append(Noted(error=error.errno or errno.EIO))

    thread = Thread(target=ask)
    thread.start()
    thread.join()
    return found[0]


def leave_mark() -> bytes:
    """Be refused a profile that nobody has, to be found in the audit log: the name that was asked for."""
    name = f"sandboxer-mark-{secrets.token_hex(8)}"
    ask_label(f"exec {name}")
    return name.encode()


def load_profile(text: bytes, name: str) -> None:
    """Load a profile in place of one of the same name, at once or not at all. Raises: HostError."""
    parser = next((path for path in PARSERS if os.access(path, os.X_OK)), "")
    what = f"the AppArmor profile {name} was not loaded"
    if not parser:
        raise HostError(Problem(what, why="there is no apparmor_parser, which compiles it", attempt=_INSTALL))
    try:
        status, _, said = run_child([parser, "--replace", "--skip-cache"], text)
    except OSError as error:
        raise HostError(Problem(what, why=f"{parser} could not be started: {error.strerror}", attempt=_INSTALL)) from error
    if status:
        lines = said.decode(errors="replace").strip().splitlines()
        raise HostError(Problem(what, why=f"apparmor_parser says: {lines[-1] if lines else f'status {status}'}"))


def remove_profile(name: str) -> bool:
    """Remove a profile from the kernel; False where it was not loaded. Raises: HostError."""
    try:
        with open(REMOVE, "wb", buffering=0) as file:
            file.write(name.encode())
    except OSError as error:
        if error.errno == errno.ENOENT and os.path.exists(REMOVE):
            return False
        problem = Problem(
            f"the AppArmor profile {name} was not removed", why=os.strerror(error.errno or 0), attempt="run as root"
        )
        raise HostError(problem) from error
    return True
