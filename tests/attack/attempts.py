"""The table of escape attempts: what each tries, what it is given, and the allowed twin of the same kind of action.

Every name is a row of the probe program in `probe/`. `given` names a thing that the test plants outside the box and hands to
the attempt: a readable file, a process, a listening socket, a secret.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parent / "probe"


def build_probe(program: Path) -> Path:
    """Compile the probe, static, so that it runs in a box that shows nothing of the host's libraries."""
    sources = sorted(str(path) for path in SOURCES.glob("*.c"))
    subprocess.run(["gcc", "-static", "-O1", "-Wall", "-Wextra", "-Werror", "-o", program, *sources, "-lpthread"], check=True)
    program.chmod(0o755)
    return program


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt. `killed`: the filter ends the process instead of answering. `twin_given`: the argument of the twin.

    answer: the error number that it has to get; empty: any.
    """

    name: str
    twin: str
    given: str = ""
    twin_given: str = ""
    killed: bool = False
    answer: str = ""


def _rows(twin: str, *names: str, given: str = "", twin_given: str = "") -> tuple[Attempt, ...]:
    return tuple(Attempt(name, twin, given, twin_given) for name in names)


ATTEMPTS: tuple[Attempt, ...] = (
    *_rows("twin-read-system", "open-outside", "climb-out", "symlink-out", "proc-root", "proc-cwd", "proc-fd", "double-chroot",
           given="file"),
    *_rows("twin-read-system", "stray-descriptor", "handle-out", "handle-name", "shadow", "reopen-writable"),
    *_rows("twin-read-proc", "unmount-proc", "unmount-mask", "mount-proc", "read-kernel-memory", "write-kernel-settings",
           "reach-cgroups"),
    *_rows("twin-write-tmp", "remount-writable", "remount-root", "mount-tmpfs", "bind-root", "api-fsopen", "api-open-tree",
           "api-move-mount", "api-fspick", "api-mount-setattr", "pivot", "chroot-here", "write-system", "write-passwd",
           "create-in-root", "create-in-usr", "create-in-dev"),
    *_rows("twin-write-tmp", "create-outside", given="new-file"),
    *_rows("twin-link", "link-out"),
    *_rows("twin-chmod", "set-id-by-chmod", "set-id-by-open", "set-id-by-openat2"),
    *_rows("twin-random", "make-device", "make-disk", "read-devices"),
    *_rows("twin-fork", "unshare-user", "unshare-mount", "unshare-net", "clone-user", "clone-user-high-bits", "clone3-user",
           "setns-init", "setns-own"),
    *_rows("twin-fork", "become-root", "become-root-all", "become-group", "drop-groups", "raise-capabilities",
           "holds-capability", "forget-no-new-privs", "nice-up", "raise-limit"),
    *_rows("twin-signal", "signal-host", "trace-host", given="process"),
    *_rows("twin-signal", "kill-init", "trace-init", "read-init-memory", "open-init-memory", "init-environment",
           "take-descriptor"),
    *_rows("twin-clock", "settimeofday", "clock-settime"),
    *_rows("twin-thread", "bpf", "perf", "userfaultfd", "io-uring-setup", "io-uring-enter", "kexec", "kexec-file",
           "init-module", "finit-module", "delete-module", "add-key", "request-key", "keyctl", "swapon", "reboot", "acct",
           "quotactl", "iopl", "ioperm", "syslog", "fanotify", "sethostname", "vhangup", "dcookie", "migrate-pages",
           "personality"),
    *_rows("twin-socketpair", "socket-alg", "socket-alg-high-bits", "socket-packet", "socket-vsock", "socket-raw",
           "socket-bluetooth", "other-interfaces"),
    *_rows("twin-socketpair", "connect-loopback", "send-datagram", given="port"),
    *_rows("twin-socketpair", "connect-abstract", given="abstract"),
    *_rows("twin-socketpair", "connect-path", given="socket"),
    *_rows("twin-shared-memory", "shared-memory", given="segment"),
    *_rows("twin-write-shm", "posix-shared-memory", given="shm"),
    *_rows("twin-memory", "leaked-environment", given="secret"),
    Attempt("newer-than-table", "twin-thread", answer="ENOSYS"),
    Attempt("int80", "twin-clock", killed=True),
    Attempt("x32", "twin-clock", killed=True),
)  # fmt: skip
