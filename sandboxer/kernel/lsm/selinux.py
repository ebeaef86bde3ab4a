"""SELinux as this kernel has it: whether it can be used, what its policy knows and allows, and loading and removing modules.

Loading needs root, once, and `semodule`, which compiles the text into the machine's policy. Using what is loaded needs neither,
and neither does asking: the files `context` and `access` of selinuxfs answer everybody.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from sandboxer.errors import HostError, Problem
from sandboxer.kernel.child import run_piped
from sandboxer.kernel.lsm.handed import LABEL, ROOT
from sandboxer.kernel.obstacle import Obstacle
from sandboxer.kernel.proc import find_text

OWN_CONTEXT = "/proc/self/attr/current"
SEMODULES = ("/usr/sbin/semodule", "/sbin/semodule", "/usr/bin/semodule")
_INSTALL = "install the package that has `semodule` (policycoreutils)"
_CATEGORIES = 1024


def find_selinux_obstacle() -> Obstacle | None:
    """Why no box of this caller can be given a context; None where nothing is in the way."""
    if find_text(f"{ROOT}/policyvers") is None:
        return Obstacle(
            "the kernel was built or booted without SELinux, or /sys/fs/selinux is not shown here",
            "boot with selinux=1 security=selinux on the kernel's command line",
        )
    if not read_own_context().count(":") >= 2:
        return Obstacle("SELinux has no policy loaded yet", "load the machine's policy")
    return None


def read_own_context() -> str:
    """The context of this process; empty where it has none."""
    return (find_text(OWN_CONTEXT) or "").strip("\0\n")


def is_permissive() -> bool:
    """Whether what the policy does not allow is only recorded."""
    return (find_text(f"{ROOT}/enforce") or "").strip() != "1"


def find_label(path: str) -> str:
    """The context of a file, as its file system or the kernel has it; empty where it has none."""
    try:
        return os.getxattr(path, LABEL).rstrip(b"\0").decode(errors="replace")
    except OSError:
        return ""


def leave_mark() -> bytes:
    """Be refused a label for a memory file of ours, to be found in the audit log: the name that the file has there.

    No file may have the type of a process: a caller may not give it (`relabelto`), and no file system hold it (`associate`). A
    permissive kernel gives it, and records that once for each context: so there are two other categories each time, which any
    context with the role `object_r` may have. Source: security/selinux/hooks.c, selinux_inode_setxattr; ss/mls.c.
    """
    name = f"sandboxer-mark-{secrets.token_hex(8)}"
    user, _, kind, *level = f"{read_own_context()}:::".split(":")[:4]
    low = level[0].partition("-")[0]
    first = secrets.randbelow(_CATEGORIES - 1)
    pair = f"c{first},c{first + 1 + secrets.randbelow(_CATEGORIES - 1 - first)}"
    try:
        descriptor = os.memfd_create(name)
        try:
            os.setxattr(descriptor, LABEL, f"{user}:object_r:{kind}{f':{low}:{pair}' if low else ''}".encode())
        finally:
            os.close(descriptor)
    except OSError:
        pass  # EACCES, as it should be; where it is another one, nobody finds the mark
    return f"memfd:{name}".encode()


def load_modules(modules: Mapping[str, str]) -> None:
    """Load modules in CIL by their names, in one transaction: all of them or none. Raises: HostError."""
    with TemporaryDirectory(prefix="sandboxer-") as directory:
        paths = []
        for name, text in modules.items():
            paths.append(os.path.join(directory, f"{name}.cil"))
            Path(paths[-1]).write_text(text)
        _run_semodule(f"the SELinux modules {', '.join(modules)} were not loaded", "-i", *paths)


def remove_module(name: str) -> bool:
    """Remove a module from the policy; False where it was not loaded. Raises: HostError."""
    what = f"the SELinux module {name} was not removed"
    if name not in _run_semodule(what, "-l").split():
        return False
    _run_semodule(what, "-r", name)
    return True


def _run_semodule(what: str, *words: str) -> str:
    """What it prints. Raises: HostError."""
    program = next((path for path in SEMODULES if os.access(path, os.X_OK)), "")
    if not program:
        raise HostError(Problem(what, why="there is no semodule, which compiles them", attempt=_INSTALL))
    try:
        status, said = run_piped([program, *words])
    except OSError as error:
        raise HostError(Problem(what, why=f"{program} could not be started: {error.strerror}", attempt=_INSTALL)) from error
    text = said.decode(errors="replace")
    if status:
        lines = [line for line in text.splitlines() if line]
        raise HostError(Problem(what, why=f"semodule says: {lines[0] if lines else f'status {status}'}"))
    return text
