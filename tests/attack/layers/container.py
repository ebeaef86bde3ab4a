"""A container that can be lost, for boxes that lack layers: whatever an attempt reaches in it, it does not reach this machine.

Its user namespace belongs to host ids that nobody has, so no process in it ever holds a capability of the host's. Its pid, mount,
network, ipc, uts and cgroup namespaces are its own, and so is its root: one tmpfs with the little that a box is made from, and
with the things that a breach would reach. Nothing of the host's is in it but six device nodes that everybody may use. There is
no interpreter in it either: whoever enters has loaded what it needs.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import secrets
import signal
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from sandboxer.abi.namespaces import CloneFlag
from sandboxer.abi.syscalls_table import NUMBERS
from sandboxer.kernel import calls
from sandboxer.model.host import BOX_ID

Planted = dict[str, str]
"""What a breach would reach, by the names that the table of attempts uses."""
Work = Callable[[Planted], None]

HOST_ID = 1_910_000_000
"""The host id that is root in the container. It and the 65536 above it are nobody's on any machine."""
MAPPED = ((0, HOST_ID, 65536), (BOX_ID, HOST_ID + 65536, 1))
"""Inside, outside, how many. The container's root can give boxes the id that root gives them on a host."""
OWN = (
    CloneFlag.NEWNS | CloneFlag.NEWPID | CloneFlag.NEWNET | CloneFlag.NEWIPC | CloneFlag.NEWUTS | CloneFlag.NEWCGROUP
)  # fmt: skip
PROJECT = "/project"
"""Where boxes start. It is the box's own, as a project of the caller's is in a box."""
OUTSIDE = "/outside"
"""A directory that no profile grants, open to everybody."""
FAR_PID = 30000
"""Where the numbers of those processes begin that attempts name: no process of a box has such a number in its own namespace."""
NODES = ("null", "zero", "full", "random", "urandom", "tty")
DIRECTORIES = (
    "usr/bin", "usr/lib", "etc", "proc", "dev/pts", "dev/shm", "tmp", "var/tmp", "home/sandbox", "root", "run", "sys/fs/cgroup",
    "project", "outside",
)  # fmt: skip
OPEN_TO_ALL = ("tmp", "var/tmp", "dev/shm", "home/sandbox", "outside")
FILES = {
    "usr/bin/env": 0o755, "etc/passwd": 0o644, "etc/group": 0o644, "etc/shadow": 0o600,
    "dev/sda": 0o600, "sys/fs/cgroup/cgroup.procs": 0o644,
}  # fmt: skip
"""The last two are plain files at the paths of what such a container cannot have: layers judge them by place and mode."""
MASKED = "proc/keys"
"""Covered as in a box, so that there is something to uncover; and /usr is a mount, so that there is something to remount."""

MNT_DETACH, MS_BIND = 2, 4096  # linux/mount.h
SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCBRADDBR = 0x8913, 0x8914, 0x89A0  # linux/sockios.h
IFF_UP = 1
BACKLOG = 4096
"""Nobody accepts: every connection of a whole measurement has to wait."""

_libc = ctypes.CDLL(None, use_errno=True)


def run_in_container(work: Work) -> int:
    """Do the work as the container's root. Its exit status; everything of the container ends with this call.

    The caller is the host's root, has one thread, and is in the initial user namespace. Raises: OSError.
    """
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(go[1])
        _never_return(lambda: _become_root_inside(ready[1], go[0], work))
    os.close(ready[1])
    os.close(go[0])
    if os.read(ready[0], 1):
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{child}/{name}").write_text("".join(f"{row[0]} {row[1]} {row[2]}\n" for row in MAPPED))
        os.write(go[1], b"g")
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _never_return(work: Callable[[], int]) -> NoReturn:
    status = 70
    try:
        calls.die_with_parent(signal.SIGKILL)
        status = work()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _become_root_inside(ready: int, go: int, work: Work) -> int:
    os.setgroups([])
    os.setresgid(HOST_ID, HOST_ID, HOST_ID)
    os.setresuid(HOST_ID, HOST_ID, HOST_ID)  # the host's privilege ends here
    calls.set_dumpable(1)  # or the files of /proc/self stay root's
    calls.unshare(CloneFlag.NEWUSER)
    calls.die_with_parent(signal.SIGKILL)  # changed ids have cleared it
    os.write(ready, b"r")
    os.read(go, 1)
    check_lost()
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    calls.unshare(OWN)
    first = os.fork()
    if first == 0:
        _never_return(lambda: _be_first(work))
    return os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])


def check_lost() -> None:
    """Go on only where no id is one that somebody has. Raises: RuntimeError."""
    rows = [tuple(map(int, line.split())) for line in Path("/proc/self/uid_map").read_text().splitlines()]
    if rows != list(MAPPED):
        raise RuntimeError(f"the container's ids are not nobody's: {rows}")


def _be_first(work: Work) -> int:
    """Pid 1: make the root and what is in it, have the work done, and take everything along at the end."""
    os.setsid()
    os.umask(0o022)  # whatever the caller's is: modes are judged by layers
    calls.make_private()
    enter_root(Path("/tmp"))
    make_network()
    planted, kept = plant()
    worker = os.fork()
    if worker == 0:
        for descriptor in kept:
            os.close(descriptor)
        _never_return(lambda: _work(work, planted))
    while True:
        pid, status = os.wait()
        if pid == worker:
            return os.waitstatus_to_exitcode(status)


def _work(work: Work, planted: Planted) -> int:
    os.chdir(PROJECT)
    work(planted)
    return 0


def enter_root(stage: Path) -> None:
    """Build the root over a directory, make it the root, and let go of the host's files."""
    calls.mount(b"tmpfs", bytes(stage), b"mode=755")
    for name in DIRECTORIES:
        (stage / name).mkdir(parents=True)
    for name in OPEN_TO_ALL:
        (stage / name).chmod(0o1777)
    os.chown(stage / PROJECT[1:], BOX_ID, BOX_ID)
    for name, mode in FILES.items():
        (stage / name).write_text("outside\n")
        (stage / name).chmod(mode)
    for name in NODES:
        (stage / "dev" / name).touch()
        bind(f"/dev/{name}", stage / "dev" / name)
    bind(stage / "usr", stage / "usr")
    calls.mount(b"proc", bytes(stage / "proc"), b"")
    bind("/dev/null", stage / MASKED)
    calls.mount(b"devpts", bytes(stage / "dev/pts"), b"newinstance,ptmxmode=0666")
    (stage / "dev/ptmx").symlink_to("pts/ptmx")
    os.chdir(stage)
    calls.call(NUMBERS[os.uname().machine]["pivot_root"], b".", b".")
    _checked(_libc.umount2(b".", MNT_DETACH))
    os.chdir("/")


def bind(source: str | Path, target: Path) -> None:
    """mount(2), MS_BIND. Raises: OSError."""
    _checked(_libc.mount(os.fsencode(source), bytes(target), None, ctypes.c_ulong(MS_BIND), None))


def _checked(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def make_network() -> None:
    """Bring the loopback interface up, and make another one, which no box should see. netdevice(7). Raises: OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack_from("16sh", fcntl.ioctl(control, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))
        try:
            fcntl.ioctl(control, SIOCBRADDBR, b"outside\0")
        except OSError:
            pass  # a kernel without bridges: the attempt to see one says nothing then


def plant() -> tuple[Planted, list[int]]:
    """What a breach would reach, all of it open to everybody; and the descriptors that keep it there, which are pid 1's.

    One of them is a directory, for the attempt that looks for such a descriptor.
    """
    Path(OUTSIDE, "canary").write_text("canary\n")
    Path("/dev/shm/outside").write_text("canary\n")
    tcp = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(tcp.getsockname())
    abstract, path = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    name = f"outside-{secrets.token_hex(6)}"
    abstract.bind(f"\0{name}")
    path.bind(f"{OUTSIDE}/socket")
    os.chmod(f"{OUTSIDE}/socket", 0o777)
    for listener in (abstract, path):
        listener.listen(BACKLOG)
    key = secrets.randbelow(1 << 30) + 1
    _checked(_libc.shmget(key, ctypes.c_size_t(4096), 0o1666))
    Path("/proc/sys/kernel/ns_last_pid").write_text(str(FAR_PID))
    sleeper = os.fork()
    if sleeper == 0:
        _never_return(_sleep)
    planted = {
        "file": f"{OUTSIDE}/canary", "new-file": f"{OUTSIDE}/planted", "process": str(sleeper), "port": str(tcp.getsockname()[1]),
        "abstract": name, "socket": f"{OUTSIDE}/socket", "segment": str(key), "shm": "outside",
        "secret": f"secret-{secrets.token_hex(6)}",
    }  # fmt: skip
    return planted, [os.open("/", os.O_RDONLY | os.O_DIRECTORY), *(item.detach() for item in (tcp, udp, abstract, path))]


def _sleep() -> NoReturn:
    while True:
        signal.pause()
