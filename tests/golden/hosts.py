"""The hosts that the golden plans pretend, and one small file system that all of them have. Plain data.

The file system is a Debian with a merged /usr. Of what the shipped profiles call optional or hide, some is there and some is
not, so that the plans show both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from sandboxer.model.host import Hierarchy, Host, IdRange, PathFact, PathKind

USER, ROOT = 1000, 0
ALL_CAPABILITIES = (1 << 41) - 1
UNLIMITED = (1 << 64) - 1
PROJECT = "/home/user/project"

SYSTEM_DIRECTORIES = (
    "/boot", "/dev", "/dev/pts", "/dev/shm", "/etc", "/etc/alternatives", "/etc/ca-certificates", "/etc/ssh", "/etc/ssl",
    "/etc/ssl/certs", "/home", "/media", "/mnt", "/opt", "/opt/toolchains", "/srv", "/sys", "/usr", "/usr/bin", "/usr/lib",
    "/usr/lib64", "/usr/sbin", "/var", "/var/tmp",
)  # fmt: skip
SYSTEM_FILES = (
    "/etc/gai.conf", "/etc/host.conf", "/etc/hosts", "/etc/ld.so.cache", "/etc/mime.types", "/etc/nsswitch.conf",
    "/etc/protocols", "/etc/resolv.conf", "/etc/services", "/etc/ssl/openssl.cnf", "/usr/bin/dash", "/usr/lib/os-release",
    "/usr/share/zoneinfo/UTC",
)  # fmt: skip
LINKS = {
    "/bin": "usr/bin",
    "/lib": "usr/lib",
    "/lib64": "usr/lib64",
    "/sbin": "usr/sbin",
    "/usr/bin/sh": "dash",
    "/etc/localtime": "/usr/share/zoneinfo/UTC",
    "/etc/os-release": "../usr/lib/os-release",
}
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty")
HOME_DIRECTORIES = (".config", ".ssh", ".cargo", ".cargo/bin", ".nvm", ".nvm/versions", ".pyenv", ".pyenv/versions")
HOME_FILES = (".netrc", ".bash_history", ".cargo/credentials.toml")
PROJECT_DIRECTORIES = (".git", ".git/hooks", ".sandboxer")
PROJECT_FILES = (".git/config",)
PROC_DIRECTORIES = {"/proc/acpi": 0o555, "/proc/bus": 0o555, "/proc/fs": 0o555, "/proc/irq": 0o555, "/proc/sys": 0o555}
PROC_FILES = {
    "/proc/interrupts": 0o444,
    "/proc/kallsyms": 0o444,
    "/proc/kcore": 0o400,
    "/proc/key-users": 0o444,
    "/proc/keys": 0o444,
    "/proc/slabinfo": 0o400,
    "/proc/sysrq-trigger": 0o200,
    "/proc/timer_list": 0o400,
    "/proc/vmallocinfo": 0o400,
}


def _facts(paths: Iterable[str], kind: PathKind, owner: int, mode: int, filesystem: str = "ext4") -> dict[str, PathFact]:
    return {path: PathFact(kind, owner, owner, mode, filesystem=filesystem) for path in paths}


def _file_system() -> Mapping[str, PathFact]:
    home = [f"/home/user/{name}" for name in HOME_DIRECTORIES]
    project = [f"{PROJECT}/{name}" for name in PROJECT_DIRECTORIES]
    return {
        "/": PathFact(PathKind.DIRECTORY),
        **_facts(SYSTEM_DIRECTORIES, PathKind.DIRECTORY, ROOT, 0o755),
        **_facts(SYSTEM_FILES, PathKind.FILE, ROOT, 0o644),
        **{link: PathFact(PathKind.SYMLINK, mode=0o777, target=target) for link, target in LINKS.items()},
        **_facts(DEVICES, PathKind.DEVICE, ROOT, 0o666, "devtmpfs"),
        "/etc/shadow": PathFact(PathKind.FILE, ROOT, 42, 0o640),
        "/root": PathFact(PathKind.DIRECTORY, mode=0o700),
        "/root/.ssh": PathFact(PathKind.DIRECTORY, mode=0o700),
        "/tmp": PathFact(PathKind.DIRECTORY, mode=0o1777, filesystem="tmpfs"),
        **_facts(["/home/user", PROJECT, *home, *project], PathKind.DIRECTORY, USER, 0o755),
        **_facts([f"/home/user/{name}" for name in HOME_FILES], PathKind.FILE, USER, 0o600),
        **_facts([f"{PROJECT}/{name}" for name in PROJECT_FILES], PathKind.FILE, USER, 0o644),
        "/proc": PathFact(PathKind.DIRECTORY, mode=0o555, filesystem="proc"),
        **{path: PathFact(PathKind.DIRECTORY, mode=mode, filesystem="proc") for path, mode in PROC_DIRECTORIES.items()},
        **{path: PathFact(PathKind.FILE, mode=mode, filesystem="proc") for path, mode in PROC_FILES.items()},
    }


FILE_SYSTEM = _file_system()
ORDINARY = Host(cwd=PROJECT, paths=FILE_SYSTEM)
PRIVILEGED = replace(
    ORDINARY, uid=ROOT, gid=ROOT, groups=(ROOT,), user="root", home="/root", capabilities=ALL_CAPABILITIES, kernel=(6, 18)
)

HOSTS: dict[str, Host] = {
    "root-6.18": replace(
        PRIVILEGED,
        landlock_abi=7,
        cgroup="v2",
        hierarchies=(Hierarchy(0, "/sys/fs/cgroup", ("cpu", "cpuset", "hugetlb", "io", "memory", "pids"), 1),),
        device_program_problem="",
        rlimits={"nofile": (1024, 1 << 20), "nproc": (UNLIMITED, UNLIMITED)},
    ),
    "user-6.12": replace(
        ORDINARY,
        landlock_abi=6,
        subuids=(IdRange(100000, 65536),),
        subgids=(IdRange(100000, 65536),),
        newuidmap="/usr/bin/newuidmap",
        newgidmap="/usr/bin/newgidmap",
    ),
    "user-6.1-bare": replace(
        ORDINARY,
        kernel=(6, 1),
        groups=(1000, 27, 999),
        landlock_abi=2,
        has_idmapped_mounts=False,
        has_overlay=False,
        rlimits={"nofile": (256, 512), "nproc": (100, 100), "core": (0, 0), "memlock": (8192, 8192)},
    ),
    "user-no-userns": replace(
        ORDINARY,
        user_namespace_problem="the sysctl user.max_user_namespaces is 0",
        user_namespace_mend="sudo sysctl -w user.max_user_namespaces=65536",
    ),
    "root-no-idmap": replace(
        PRIVILEGED, has_idmapped_mounts=False, landlock_abi=0, landlock_problem="the kernel did not start it"
    ),
}
"""root-6.18 gives everything. user-6.1-bare is an older kernel, without idmapped mounts, overlays and newuidmap, and its user has
low hard limits and further groups. On root-no-idmap the project cannot be shown as the job's own, and there is no Landlock."""
