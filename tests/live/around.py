"""Surroundings that people run sandboxer in, made by tests: words that stand before a command, and what they take from it."""

from __future__ import annotations

from collections.abc import Sequence

from tests.live.boxes import in_own_mounts
from tests.live.users import Installation

FILTER = """
import os, pyseccomp, sys
answer, names, *words = sys.argv[1:]
found = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
for name in names.split(","):
    name, _, flag = name.partition(":")
    number = int(flag, 0) if flag else 0
    only = [pyseccomp.Arg(0, pyseccomp.MASKED_EQ, number, number)] if flag else []
    found.add_rule(pyseccomp.ERRNO(int(answer)), name, *only)
found.load()
os.execvp(words[0], words)
"""
ROOTLESS = """
import ctypes, os, sys
first, *words = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
(ready, told), (mapped, tell) = os.pipe(), os.pipe()
child = os.fork()
if child:
    os.read(ready, 1)
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/{child}/{name}", "w") as file:
            file.write(f"0 {first} 65536")
    os.write(tell, b"m")
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
os.set_inheritable(ready, False)
if libc.unshare(0x30020000):  # user, mount and pid namespaces
    os._exit(99)
os.write(told, b"r")
os.read(mapped, 1)
os.setgroups([])
os.setresgid(0, 0, 0)
os.setresuid(0, 0, 0)
child = os.fork()
if child:
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
if libc.mount(b"proc", b"/proc", b"proc", 0, None):
    os._exit(99)
os.execvp(words[0], words)
"""
ROOTLESS_ID = 1_910_000_000
"""The host id that root of a rootless container has. It and the 65536 from it on are nobody's."""
ENOSYS, EPERM = 38, 1
NEW_MOUNTS = ("open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "mount_setattr")
NAMESPACES = tuple(
    f"clone:{flag:#x}" for flag in (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
)
CONTAINER_CALLS = ("mount", "umount2", "pivot_root", "unshare", "setns", *NEW_MOUNTS, *NAMESPACES, "keyctl", "bpf", "ptrace")
CONTAINER_CAPABILITIES = (
    "chown", "dac_override", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap", "net_bind_service", "net_raw",
    "sys_chroot", "mknod", "audit_write", "setfcap",
)  # fmt: skip
READ_ONLY_GROUPS = (
    "awk '$3 ~ /^cgroup/ {print $2}' /proc/self/mounts | while read -r at; do mount -o remount,bind,ro \"$at\"; done\n"
)
READ_ONLY_SYS = "mount --rbind /sys /sys; mount -o remount,bind,ro /sys\n"
MASKED_PROC = "mount --bind /dev/null /proc/version\n"


def hiding(installation: Installation, names: Sequence[str], *, answer: int = ENOSYS) -> tuple[str, ...]:
    """A filter that answers these calls so: an older kernel, or a container's. `clone:0x20000` is clone with this flag."""
    return (str(installation.python), "-I", "-c", FILTER, str(answer), ",".join(names))


def in_rootless_container(installation: Installation) -> tuple[str, ...]:
    """As root of a user namespace with 65536 ids, all capabilities there, and mounts and processes of its own."""
    return (str(installation.python), "-I", "-c", ROOTLESS, str(ROOTLESS_ID))


def in_container(installation: Installation) -> tuple[str, ...]:
    """As container engines start one: masks over /proc, nothing to write in /sys, few capabilities, and their filter."""
    kept = ",".join(["-all", *(f"+{name}" for name in CONTAINER_CAPABILITIES)])
    return (
        *in_own_mounts(READ_ONLY_GROUPS + READ_ONLY_SYS + MASKED_PROC),
        *hiding(installation, ["clone3"]),
        *hiding(installation, CONTAINER_CALLS, answer=EPERM),
        *("setpriv", f"--bounding-set={kept}", "--inh-caps=-all", "--"),
    )
