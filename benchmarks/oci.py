"""An OCI bundle with the isolation of `equal.yaml`, for runc.

Source: the OCI runtime specification, config.md and config-linux.md.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

NAMESPACES = ("user", "mount", "pid", "network", "ipc", "uts", "cgroup")
LINKS = ("bin", "lib", "lib64", "sbin")
MASKED = ("acpi", "kcore", "keys", "latency_stats", "timer_list", "timer_stats", "sched_debug", "scsi")
READ_ONLY = ("bus", "fs", "irq", "sys", "sysrq-trigger")


def write_root(root: Path) -> None:
    """An empty root whose /bin, /lib and /lib64 lead into /usr; /usr itself is bound there at each start."""
    for name in ("usr", "proc", "dev", "tmp", "etc", "sys", "run", "var"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in LINKS:
        if not (root / name).is_symlink():
            (root / name).symlink_to(f"usr/{name}")


def mounts() -> list[dict[str, object]]:
    """Fresh /proc, /dev, /dev/pts, /dev/shm and /tmp, and /usr read-only."""
    return [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "noexec", "newinstance"]},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "size=65536k"]},
        {"destination": "/tmp", "type": "tmpfs", "source": "tmp", "options": ["nosuid", "noexec", "nodev", "size=65536k"]},
        {"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro", "nosuid", "nodev"]},
    ]


def seccomp(allowed: Sequence[str]) -> dict[str, object]:
    """The same names as ours, EPERM for the rest; the rules on arguments are left out, which is less work for runc."""
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [{"names": list(allowed), "action": "SCMP_ACT_ALLOW"}],
    }


def write_bundle(bundle: Path, argv: Sequence[str], allowed: Sequence[str]) -> None:
    """Write `config.json` and the root. Ids 0 to 65535 inside are 100000 and up outside; the command runs as 1000."""
    write_root(bundle / "rootfs")
    ids = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    config = {
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "sandbox",
        "process": {
            "terminal": False,
            "user": {"uid": 1000, "gid": 1000},
            "args": list(argv),
            "env": ["PATH=/usr/bin:/bin"],
            "cwd": "/",
            "capabilities": {name: [] for name in ("bounding", "effective", "permitted", "inheritable", "ambient")},
            "noNewPrivileges": True,
        },
        "mounts": mounts(),
        "linux": {
            "namespaces": [{"type": name} for name in NAMESPACES],
            "uidMappings": ids,
            "gidMappings": ids,
            "maskedPaths": [f"/proc/{name}" for name in MASKED],
            "readonlyPaths": [f"/proc/{name}" for name in READ_ONLY],
            "seccomp": seccomp(allowed),
        },
    }
    (bundle / "config.json").write_text(json.dumps(config))
