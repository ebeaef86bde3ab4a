"""AppArmor as this kernel has it: whether it can be used, whether a profile is loaded, and loading and removing one.

Loading needs root, once, and the parser of the distribution's package, which compiles the text. Using what is loaded needs
neither.
"""

from __future__ import annotations

import errno
import os
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


def find_apparmor_obstacle() -> Obstacle | None:
    """Why no box of this caller can be given a label; None where nothing is in the way."""
    if (find_text(ENABLED) or "").strip() != "Y":
        return Obstacle(
            "the kernel was built or booted without AppArmor",
            "boot with apparmor=1 and lsm=...,apparmor on the kernel's command line",
        )
    label = (find_text(OWN_LABEL) or "").strip()
    if label != "unconfined" and not label.endswith(" (unconfined)"):
        why = f"this process is itself under AppArmor's {label or 'unreadable label'}, which does not let it choose another label"
        return Obstacle(why, "start it from outside of that profile")
    return None


def find_loaded(name: str) -> str:
    """A loaded profile as the kernel calls it, `NAME (enforce)`; empty where it is not loaded or cannot be entered.

    A thread of its own asks to enter it with its next execve, and ends: the list of what is loaded is for root alone.
    Source: security/apparmor/lsm.c, do_setattr.
    """
    found: list[str] = []

    def ask() -> None:
        try:
            with open(_NEXT_LABEL, "r+b", buffering=0) as file:
                file.write(f"exec {name}".encode())
                file.seek(0)
                found.append(file.read(4096).decode(errors="replace").strip("\n\0"))
        except OSError:
            pass  # ENOENT: there is none; EACCES, EPERM: not for us; EINVAL: no AppArmor

    thread = Thread(target=ask)
    thread.start()
    thread.join()
    return found[0] if found else ""


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
