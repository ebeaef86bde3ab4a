"""Fill a `Host` for this kernel and this caller: facts from /proc and /sys, and one trial in a child for what no file tells.

Cold path: about ten milliseconds, of which the trial takes four. The warm path compares `stamp.host_key` instead.
"""

from __future__ import annotations

import os
import pwd
import resource
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from sandboxer.abi.rlimits import RLIM_INFINITY, RLIMITS
from sandboxer.errors import Problem, UnsupportedError
from sandboxer.kernel.audit.log import find_audit_problem
from sandboxer.kernel.groups import find_device_program_problem, find_disks, find_groups, find_huge_pages, find_io_weights
from sandboxer.kernel.lsm.apparmor import find_apparmor_obstacle, find_own_label
from sandboxer.kernel.lsm.selinux import find_selinux_obstacle, is_permissive, read_own_context
from sandboxer.kernel.obstacle import (
    SYSCTLS,
    Obstacle,
    Surroundings,
    find_landlock_obstacle,
    find_proc_obstacle,
    find_user_namespace_obstacle,
)
from sandboxer.kernel.paths import find_facts
from sandboxer.kernel.proc import (
    NAMESPACE_NAMES,
    Mount,
    cgroup_layout,
    find_number,
    find_text,
    is_chrooted,
    parse_kernel_version,
    parse_mountinfo,
    parse_status,
    parse_subids,
)
from sandboxer.kernel.trials.trial import UNPRIVILEGED_ID, Trial, run_trial
from sandboxer.model.host import BOX_ID, Host, IdRange

if TYPE_CHECKING:
    from sandboxer.kernel.prctl import CapabilitySets

STAGE_DIRECTORIES = ("/tmp", "/run", "/mnt", "/var")
PROGRAM_DIRECTORIES = ("/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin")
ALL_IDS = ["0", "0", "4294967295"]
MOUNT_PROC = "mount -t proc proc /proc (in a container or a chroot: have it started with one)"
BASELINE_ACTIONS = frozenset({"kill_thread", "trap", "errno", "trace", "allow"})  # linux/seccomp.h, before 4.14


def probe(*, environment: Mapping[str, str] | None = None, paths: frozenset[str] = frozenset()) -> Host:
    """The facts of this machine and this caller.

    environment: where HOME is read (None: the process's). paths: host paths whose facts are wanted too.
    Raises: UnsupportedError where no /proc is mounted; OSError when no child can be started.
    """
    from sandboxer.kernel.prctl import read_capability_sets

    status_text = _read_status()
    status = parse_status(status_text)
    mounts = parse_mountinfo(find_text("/proc/self/mountinfo") or "")
    sets = read_capability_sets(status_text)
    stage = find_stage_directory()
    caller = find_caller(sets, os.environ if environment is None else environment)
    caller = replace(caller, has_unprivileged_id=_has_id(UNPRIVILEGED_ID))
    trial = run_trial(is_privileged=caller.is_privileged, scratch=stage)
    around = find_surroundings(status, mounts)
    obstacle = find_user_namespace_obstacle(trial, around)
    landlock = find_landlock_obstacle(trial.errnos, around.lsms)
    proc = find_proc_obstacle(trial.errnos, obstacle)
    has_privilege_gain = status.get("NoNewPrivs") != "1"
    host = replace(
        caller,
        box_id=BOX_ID if _has_id(BOX_ID) else UNPRIVILEGED_ID,
        namespaces=find_namespaces(trial, obstacle),
        user_namespace_problem=obstacle.why if obstacle else "",
        user_namespace_mend=obstacle.mend if obstacle else "",
        seccomp_actions=find_seccomp_actions(status),
        landlock_abi=trial.landlock_abi,
        landlock_problem=landlock.why if landlock else "",
        landlock_mend=landlock.mend if landlock else "",
        audit_problem=find_audit_problem(sets.effective),
        has_overlay=trial.works("overlay"),
        has_idmapped_mounts=trial.works("idmap"),
        owns_file_systems=(find_text("/proc/self/uid_map") or "").split() == ALL_IDS,
        can_bar_namespaces=trial.works("bar"),
        has_fresh_proc=trial.works("proc"),
        fresh_proc_problem=proc.why if proc else "",
        fresh_proc_mend=proc.mend if proc else "",
        subuids=find_subids("/etc/subuid", caller.user),
        subgids=find_subids("/etc/subgid", caller.user),
        newuidmap=find_map_program("newuidmap") if has_privilege_gain else "",
        newgidmap=find_map_program("newgidmap") if has_privilege_gain else "",
        stage_directory=stage,
        lsms=around.lsms,
        missing_calls=trial.missing_calls,
        tried=dict(trial.errnos),
        paths=find_facts(paths),
    )
    return _with_labels(_with_groups(host, mounts, trial))


def find_caller(sets: CapabilitySets, environment: Mapping[str, str]) -> Host:
    """Who calls, and on which kernel: what needs neither a trial nor a child. The rest is that of a pretended machine."""
    user, home = find_user(os.getuid(), environment)
    return Host(
        kernel=parse_kernel_version(os.uname().release),
        arch=os.uname().machine,
        uid=os.geteuid(),
        gid=os.getegid(),
        groups=tuple(sorted(os.getgroups())),
        user=user,
        home=home,
        cwd=find_working_directory(),
        capabilities=sets.effective,
        bounding=sets.bounding,
        last_capability=find_number("/proc/sys/kernel/cap_last_cap") or sets.bounding.bit_length() - 1,
        rlimits=read_rlimits(),
    )


def _read_status() -> str:
    text = find_text("/proc/self/status")
    if not text:
        raise UnsupportedError(
            Problem("there is no /proc here", why="what this kernel and this caller can do is read from it", attempt=MOUNT_PROC)
        )
    return text


def _with_labels(host: Host) -> Host:
    """The host with what stands in the way of labels."""
    apparmor, selinux = find_apparmor_obstacle() or Obstacle(""), find_selinux_obstacle() or Obstacle("")
    return replace(
        host,
        apparmor_problem=apparmor.why,
        apparmor_mend=apparmor.mend,
        apparmor_label="" if apparmor.why else find_own_label(),
        selinux_problem=selinux.why,
        selinux_mend=selinux.mend,
        selinux_context="" if selinux.why else read_own_context(),
        is_permissive=not selinux.why and is_permissive(),
    )


def _with_groups(host: Host, mounts: tuple[Mount, ...], trial: Trial) -> Host:
    """The host with what there is to say of control groups."""
    groups = find_groups(mounts)
    return replace(
        host,
        cgroup=cgroup_layout(mounts),
        hierarchies=groups.hierarchies,
        controller_problems=groups.problems,
        has_scope=groups.is_scope,
        is_login=groups.is_login,
        has_swap=os.path.exists("/proc/swaps"),
        disks=find_disks(),
        processors=sum(1 << number for number in os.sched_getaffinity(0)),
        io_weights=find_io_weights(mounts),
        huge_pages=find_huge_pages(),
        device_program_problem=find_device_program_problem(groups, trial, is_privileged=host.is_privileged),
    )


def find_surroundings(status: Mapping[str, str], mounts: tuple[Mount, ...]) -> Surroundings:
    """What may stand in the way of a user namespace."""
    values = {name: find_number("/proc/sys/" + name.replace(".", "/")) for name in SYSCTLS}
    return Surroundings(
        sysctls={name: value for name, value in values.items() if value is not None},
        seccomp_mode=int(status.get("Seccomp", "0") or 0),
        is_chrooted=is_chrooted(mounts),
        uid_is_mapped=_is_mapped("uid_map", os.geteuid()) and _is_mapped("gid_map", os.getegid()),
        label=find_own_label(),
        lsms=tuple((find_text("/sys/kernel/security/lsm") or "").strip().split(",")) if _has_lsm_list() else (),
    )


def find_user(uid: int, environment: Mapping[str, str]) -> tuple[str, str]:
    """Name and home directory: HOME where it is absolute, else the password file's; a uid without an entry is named by number."""
    said = environment.get("HOME", "")
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return str(uid), os.path.normpath(said) if said.startswith("/") else "/"
    return entry.pw_name, os.path.normpath(said if said.startswith("/") else entry.pw_dir or "/")


def find_working_directory() -> str:
    """The working directory; `/` when it was removed or cannot be seen."""
    try:
        return os.getcwd()
    except OSError:
        return "/"


def find_namespaces(trial: Trial, obstacle: Obstacle | None) -> frozenset[str]:
    """The kinds of namespaces that the kernel has, less those that the trial could not make although it had the right to."""
    try:
        existing = {NAMESPACE_NAMES[name] for name in os.listdir("/proc/self/ns") if name in NAMESPACE_NAMES}
    except OSError:
        existing = set(NAMESPACE_NAMES.values())
    if obstacle:
        return frozenset(existing)
    return frozenset(name for name in existing if trial.errno(name) <= 0)


def read_rlimits() -> dict[str, tuple[int, int]]:
    """Soft and hard limit of every resource, by the kernel's word in lower case; no limit is 2**64-1. getrlimit(2)."""
    found = {}
    for name, number in RLIMITS.items():
        soft, hard = resource.getrlimit(number)
        found[name.removeprefix("RLIMIT_").lower()] = (soft & RLIM_INFINITY, hard & RLIM_INFINITY)
    return found


def find_seccomp_actions(status: Mapping[str, str]) -> frozenset[str]:
    """What a filter can answer on this kernel; empty where it has no seccomp. seccomp(2), /proc interfaces."""
    text = find_text("/proc/sys/kernel/seccomp/actions_avail")
    if text is not None:
        return frozenset(text.split())
    return BASELINE_ACTIONS if "Seccomp" in status else frozenset()


def find_subids(path: str, user: str) -> tuple[IdRange, ...]:
    """The caller's subordinate ranges in a file of subuid(5); none where there is no file."""
    return parse_subids(find_text(path) or "", user, os.getuid())


def find_map_program(name: str) -> str:
    """The path of newuidmap or newgidmap where it is installed with its privilege (setuid or file capability); else empty."""
    for directory in PROGRAM_DIRECTORIES:
        path = f"{directory}/{name}"
        try:
            seen = os.stat(path)
        except OSError:
            continue
        if seen.st_mode & 0o111 and (seen.st_mode & 0o4000 or _has_file_capabilities(path)):
            return path
    return ""


def find_stage_directory() -> str:
    """A directory that exists on every machine, over which the launcher may put its own tmpfs; the first one of the list."""
    return next((path for path in STAGE_DIRECTORIES if os.path.isdir(path) and not os.path.islink(path)), "/")


def _has_lsm_list() -> bool:
    return os.path.exists("/sys/kernel/security/lsm")


def _has_file_capabilities(path: str) -> bool:
    try:
        return bool(os.getxattr(path, "security.capability"))
    except OSError:
        return False


def _has_id(number: int) -> bool:
    """Whether a number is a uid and a gid of our own user namespace."""
    return _is_mapped("uid_map", number) and _is_mapped("gid_map", number)


def _is_mapped(name: str, number: int) -> bool:
    """Whether an id of ours has a row in our own user namespace's map; the overflow id has none."""
    text = find_text(f"/proc/self/{name}")
    if text is None:
        return True
    rows = [tuple(int(word) for word in line.split()) for line in text.splitlines()]
    return any(row[0] <= number < row[0] + row[2] for row in rows if len(row) == 3)
