"""Short texts that change when a fact changes: one for a path, one for this kernel and caller.

The plan cache compares them on every warm start, so this module imports `os` and nothing else, and reads a handful of small
files. It knows what a plan depends on; it does not know what the facts mean.
"""

from __future__ import annotations

import os

MISSING = "-"
_IS_FILE = 0o100000
_IS_SYMLINK = 0o120000
_KIND = 0o170000

HOST_FILES = (
    "/proc/sys/kernel/random/boot_id",
    "/proc/sys/user/max_user_namespaces",
    "/proc/sys/user/max_mnt_namespaces",
    "/proc/sys/kernel/unprivileged_userns_clone",
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
    "/proc/self/attr/current",
    "/sys/fs/selinux/enforce",
    "/proc/self/limits",
)
HOST_PATHS = ("/etc/subuid", "/etc/subgid", "/usr/bin/newuidmap", "/usr/bin/newgidmap")
HOST_LINKS = ("/proc/self/ns/user", "/proc/self/ns/mnt", "/proc/self/ns/pid", "/proc/self/root")
HOST_LISTS = ("/sys/block",)
HOST_MOUNTS = ("/proc/sys/user",)
"""Where a mount that was made read-only later would change a plan."""
STATUS_LINES = ("CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:", "NoNewPrivs:", "Seccomp:", "Seccomp_filters:",
                "Cpus_allowed:")  # fmt: skip


def stamp(path: str) -> str:
    """What a plan may depend on of a path: existence, kind, mode, owner, file system, inode; for files also time and size.

    Times and sizes of all but files are left out: a directory's change with every file made in it, a terminal's with every
    key, and no plan reads them. A symbolic link adds its target and the stamp of what it leads to. An unreadable path is
    stamped with its errno.
    """
    try:
        seen = os.lstat(path)
    except OSError as error:
        return MISSING if error.errno in (2, 20) else f"!{error.errno}"
    text = f"{seen.st_mode:o} {seen.st_uid} {seen.st_gid} {seen.st_dev} {seen.st_ino}"
    kind = seen.st_mode & _KIND
    if kind == _IS_SYMLINK:
        return f"{text} {_link(path)} {_followed(path)}"
    return f"{text} {seen.st_mtime_ns} {seen.st_ctime_ns} {seen.st_size}" if kind == _IS_FILE else text


def host_key(environment: dict[str, str] | None = None) -> str:
    """Everything cheap that would change what `probe` finds: kernel, boot, ids, capabilities, limits, namespaces, sysctls.

    environment: the caller's variables (only HOME is read); None: the process's own.
    """
    home = os.environ.get("HOME", "") if environment is None else environment.get("HOME", "")
    kernel = os.uname()
    parts = [
        kernel.release,
        kernel.version,
        kernel.machine,
        f"{os.getresuid()} {os.getresgid()} {os.getgroups()}",
        home,
        _working_directory(),
        _status(),
    ]
    parts += [_text(path) for path in HOST_FILES]
    parts.append(_groups(_text("/proc/self/cgroup")))
    parts += [_link(path) for path in HOST_LINKS]
    parts += [stamp(path) for path in HOST_PATHS]
    parts += [_names(path) for path in HOST_LISTS]
    parts += [_mount_flags(path) for path in HOST_MOUNTS]
    return "\n".join(parts)


def _groups(text: str) -> str:
    """The groups of the caller, without what is new at each run or login, and no plan depends on.

    That is the name of a scope that was made for this run (kernel/systemd/scope.py), and the number of a session.
    """
    for beginning, ending in (("/sandboxer-", ".scope/front\n"), ("/session-", ".scope\n")):
        above, found, rest = text.partition(beginning)
        name, end, below = rest.partition(ending)
        if end and name.isalnum():
            text = f"{above}{found}{end}{below}"
    return text


def _followed(path: str) -> str:
    try:
        seen = os.stat(path)
    except OSError as error:
        return f"!{error.errno}"
    text = f"{seen.st_mode:o} {seen.st_uid} {seen.st_gid} {seen.st_dev} {seen.st_ino}"
    return f"{text} {seen.st_mtime_ns} {seen.st_ctime_ns} {seen.st_size}" if seen.st_mode & _KIND == _IS_FILE else text


def _working_directory() -> str:
    try:
        return os.getcwd()
    except OSError:
        return MISSING


def _names(path: str) -> str:
    try:
        return " ".join(sorted(os.listdir(path)))
    except OSError:
        return MISSING


def _mount_flags(path: str) -> str:
    try:
        return f"{os.statvfs(path).f_flag:x}"
    except OSError:
        return MISSING


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return MISSING


def _text(path: str) -> str:
    """The file's text, or MISSING. Raw reads: `open()` costs three times as much."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return MISSING
    try:
        return os.read(descriptor, 8192).decode("utf-8", "surrogateescape")
    except OSError:
        return MISSING
    finally:
        os.close(descriptor)


def _status() -> str:
    lines = _text("/proc/self/status").splitlines()
    return " ".join(line for line in lines if line.startswith(STATUS_LINES))
