"""Pid 1 of the test VM, and the agent that runs its one job: one file for the guest, with nothing but Python's own library.

Pid 1 only reaps. The agent, its first child, says that it is ready, waits for a job on a port of virtio-serial, and sends back
what the job writes, its files of results, and its status. A machine is saved while the agent waits, so all that costs time and
does not depend on the job is done ahead of that.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import selectors
import signal
import socket
import struct
import subprocess
import time
from pathlib import Path

PORT = "sandboxer.job"
HEAD = struct.Struct("<cI")
"""Ahead of each message: its kind, and how many bytes follow. The host sends one job; the kinds below are the guest's."""
READY, OUT, ERR, FILE, EXIT = b"r", b"o", b"e", b"f", b"x"
RESULTS = "/run/vm/results"
USER = "user"
CGROUPS = "/sys/fs/cgroup"

_READONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT, _NOATIME, _REC, _SHARED = 1, 2, 4, 8, 32, 1024, 0x4000, 1 << 20
_BLKFLSBUF = 0x1261
"""Source: linux/mount.h, linux/fs.h."""
_QUIET = _NOSUID | _NODEV | _NOEXEC
_MOUNTS = (
    ("proc", "/proc", "proc", _QUIET, ""),
    ("sysfs", "/sys", "sysfs", _QUIET, ""),
    ("cgroup2", CGROUPS, "cgroup2", _QUIET, "nsdelegate,memory_recursiveprot"),
    ("securityfs", "/sys/kernel/security", "securityfs", _QUIET, ""),
    ("bpf", "/sys/fs/bpf", "bpf", _QUIET, "mode=700"),
    ("devpts", "/dev/pts", "devpts", _NOSUID | _NOEXEC, "gid=5,mode=620,ptmxmode=666"),
    ("tmpfs", "/dev/shm", "tmpfs", _NOSUID | _NODEV, "mode=1777"),
    ("mqueue", "/dev/mqueue", "mqueue", _QUIET, ""),
)
SELINUX = "/sys/fs/selinux"
POLICIES = "/etc/selinux/default/policy"
JOB_CONTEXT = "unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023"
TREE_CONTEXT = "system_u:object_r:usr_t:s0"
"""SELinux: a login's own domain for the job, and the label of all files of the tree, which has none of its own."""
_LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}
_SETTINGS = {
    "kernel/printk_ratelimit": "0",  # records of denials must not be lost
    "kernel/dmesg_restrict": "0",
    "net/ipv4/ping_group_range": "0 2147483647",
    "vm/nr_hugepages": "8",
}
SWAP, SWAP_BYTES = "/var/swap", 256 << 20
"""A host with swap space and huge pages, so that their limits have something to hold."""


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """mount(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode()):
        errno = ctypes.get_errno()
        raise OSError(errno, f"cannot mount {kind} on {target}: {os.strerror(errno)}")


def prepare() -> None:
    """All that comes ahead of any job."""
    for name, value in _LINKS.items():
        os.symlink(value, f"/dev/{name}")
    for _, target, *_ in _MOUNTS:
        if target.startswith("/dev/"):
            os.makedirs(target, exist_ok=True)
    for row in _MOUNTS:
        mount(*row)
    if os.path.isdir(SELINUX):
        load_policy()
    mount("none", "/", "", _REC | _SHARED)
    for name, value in _SETTINGS.items():
        Path("/proc/sys", name).write_text(value)
    socket.sethostname("vm")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    prepare_groups()
    os.makedirs(RESULTS, mode=0o777)
    os.chmod(RESULTS, 0o777)


def load_policy() -> None:
    """Give SELinux its policy, in permissive mode: what runs already has the kernel's domain, and the job gets another."""
    mount("selinuxfs", SELINUX, "selinuxfs", _NOSUID | _NOEXEC)
    (policy,) = os.listdir(POLICIES)
    data = Path(POLICIES, policy).read_bytes()
    load = os.open(f"{SELINUX}/load", os.O_WRONLY)
    if os.write(load, data) != len(data):  # the kernel takes a policy whole
        raise OSError("the policy was not taken whole")
    os.close(load)


def has_policy() -> bool:
    """Whether SELinux runs here."""
    return os.path.exists(f"{SELINUX}/load")


def prepare_groups() -> None:
    """One group for what root runs, and one that is given to the ordinary user. Every controller reaches both."""
    controllers = Path(CGROUPS, "cgroup.controllers").read_text().split()
    every = " ".join(f"+{name}" for name in controllers)
    Path(CGROUPS, "cgroup.subtree_control").write_text(every)
    for name in ("root", USER):
        os.mkdir(f"{CGROUPS}/{name}")
        os.mkdir(f"{CGROUPS}/{name}/job")
        Path(CGROUPS, name, "cgroup.subtree_control").write_text(every)
    _, uid, gid, _ = find_user(USER)
    for group in (f"{CGROUPS}/{USER}", f"{CGROUPS}/{USER}/job"):
        for path in (group, *(f"{group}/cgroup.{name}" for name in ("procs", "subtree_control", "threads"))):
            os.chown(path, uid, gid)


def find_user(name: str) -> tuple[str, int, int, str]:
    """Name, uid, gid and home. `pwd` would ask for services that are not there."""
    for line in Path("/etc/passwd").read_text().splitlines():
        fields = line.split(":")
        if fields[0] == name:
            return name, int(fields[2]), int(fields[3]), fields[5]
    raise LookupError(name)


def open_port() -> int:
    """The port of the job; its number varies, its name does not."""
    for port in os.listdir("/sys/class/virtio-ports"):
        if Path("/sys/class/virtio-ports", port, "name").read_text().strip() == PORT:
            return os.open(f"/dev/{port}", os.O_RDWR | os.O_CLOEXEC)
    raise LookupError(PORT)


def send(port: int, kind: bytes, data: bytes = b"") -> None:
    """Send a message whole."""
    rest = memoryview(HEAD.pack(kind, len(data)) + data)
    while rest:
        rest = rest[os.write(port, rest) :]


def receive(port: int, count: int) -> bytes:
    """Exactly so many bytes."""
    data = b""
    while len(data) < count:
        data += os.read(port, count - len(data))
    return data


def enter(tree: str, seconds: float) -> None:
    """What is done when the job is there: the clock is set, the root can be written, the tree is mounted."""
    time.clock_settime(time.CLOCK_REALTIME, seconds)
    mount("none", "/", "", _REMOUNT | _NOATIME)
    add_swap()
    os.chmod("/srv", 0o1777)  # for live tests of the ordinary user: below /tmp they would be in what a box has of its own
    os.makedirs(tree, exist_ok=True)
    for above in Path(tree).parents:  # the repository may lie in root's home, and the ordinary user works there too
        above.chmod(above.stat().st_mode | 0o111)
    # This disk is another one than when the machine was saved.
    disk = os.open("/dev/vdc", os.O_RDONLY)
    fcntl.ioctl(disk, _BLKFLSBUF, 0)
    os.close(disk)
    mount("/dev/vdc", tree, "ext4", _NOATIME, f"context={TREE_CONTEXT}" if has_policy() else "")


def add_swap() -> None:
    """Swap space in a file of the root. Source: linux/swap.h, union swap_header; swapon(2)."""
    page = os.sysconf("SC_PAGE_SIZE")
    file = os.open(SWAP, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    os.posix_fallocate(file, 0, SWAP_BYTES)
    os.pwrite(file, struct.pack("<III", 1, SWAP_BYTES // page - 1, 0), 1024)  # version, last page, bad pages
    os.pwrite(file, b"SWAPSPACE2", page - 10)
    os.fsync(file)
    os.close(file)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.swapon(SWAP.encode(), 0):
        errno = ctypes.get_errno()
        raise OSError(errno, f"cannot swap to {SWAP}: {os.strerror(errno)}")


def start(job: dict[str, object]) -> tuple[int, dict[int, bytes]]:
    """Start the command as its user, in that user's group, with nothing to read: its pid, and what to read from it."""
    name, uid, gid, home = find_user(str(job["user"]))
    environment = {
        "HOME": home, "USER": name, "LOGNAME": name, "SHELL": "/bin/bash", "LANG": "C.UTF-8", "TERM": "dumb",
        "VM_RESULTS": RESULTS, "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    }  # fmt: skip
    environment.update(job["environment"])  # type: ignore[call-overload]

    read_out, write_out = os.pipe()
    read_err, write_err = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            Path(CGROUPS, name, "job/cgroup.procs").write_text("0")
            os.setsid()
            for source, target in ((os.open("/dev/null", os.O_RDONLY), 0), (write_out, 1), (write_err, 2)):
                os.dup2(source, target)
            os.setgroups([gid])
            os.setgid(gid)
            os.setuid(uid)
            os.chdir(str(job["directory"]))
            if has_policy():
                Path("/proc/self/attr/exec").write_text(JOB_CONTEXT)
            words = [str(word) for word in job["command"]]  # type: ignore[attr-defined]
            os.execvpe(words[0], words, environment)
        except OSError as error:
            os.write(2, f"{error}\n".encode())
        finally:
            os._exit(127)
    os.close(write_out)
    os.close(write_err)
    return pid, {read_out: OUT, read_err: ERR}


def pump(port: int, pid: int, streams: dict[int, bytes]) -> int:
    """Send what the job writes until it has ended; what its orphans write later is nobody's. The status, as a shell has it."""
    ended = os.pidfd_open(pid)
    with selectors.DefaultSelector() as selector:
        for stream in (ended, *streams):
            selector.register(stream, selectors.EVENT_READ)
        is_over = False
        while True:
            ready = [key.fd for key, _ in selector.select(0 if is_over else None)]
            for stream in ready:
                if stream == ended:
                    selector.unregister(ended)
                    is_over = True
                elif data := os.read(stream, 1 << 16):
                    send(port, streams[stream], data)
                else:
                    selector.unregister(stream)
            if is_over and not ready:
                break
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return status if status >= 0 else 128 - status


def serve() -> None:
    """The agent: one job, from the first word to the last."""
    port = open_port()
    send(port, READY)
    _, count = HEAD.unpack(receive(port, HEAD.size))
    job = json.loads(receive(port, count))
    enter(job["tree"], job["seconds"])
    status = pump(port, *start(job))
    for name in sorted(os.listdir(RESULTS)):
        send(port, FILE, name.encode() + b"\0" + Path(RESULTS, name).read_bytes())
    send(port, EXIT, str(status).encode())


def reap() -> None:
    """What pid 1 does."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    while True:
        try:
            os.wait()
        except ChildProcessError:
            signal.pause()


def main() -> None:
    """Prepare, then part into pid 1 and the agent."""
    prepare()
    if os.fork():
        reap()
    os.setsid()
    serve()
    signal.pause()  # the host ends the machine


if __name__ == "__main__":
    main()
