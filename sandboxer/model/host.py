"""The facts of one kernel and one user. A `Host` is a plain value: tests pretend one, `kernel/probe.py` fills a real one.

Lowering reads a Host and nothing else of the machine, so a plan can be made for any host on any host. Facts about paths that
a policy mentions are part of it (`paths`), for the same reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from sandboxer.abi.landlock import KERNELS, LOG_ABI

BOX_ID = 1_900_000_000  # no system hands it out. Source: systemd, UIDS-GIDS.md, 1879048192 to 2147483647 "unused"


class PathKind(Enum):
    """What a host path is, without following a final symlink."""

    DIRECTORY = "directory"
    FILE = "file"
    DEVICE = "device"
    SOCKET = "socket"
    OTHER = "other"
    SYMLINK = "symlink"
    MISSING = "missing"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class PathFact:
    """One host path. `target` is the text of a symlink; `filesystem` the type from mountinfo; ids are of the owner.

    number: major and minor of a device. is_block: it is a block device, else a character device.
    """

    kind: PathKind
    uid: int = 0
    gid: int = 0
    mode: int = 0o755
    target: str = ""
    filesystem: str = "ext4"
    number: tuple[int, int] = (0, 0)
    is_block: bool = False


@dataclass(frozen=True, slots=True)
class IdRange:
    """A range of subordinate ids from /etc/subuid or /etc/subgid. subuid(5)."""

    start: int
    count: int


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """A tree of control groups in which a box can get one. cgroups(7).

    group: the box's group there has this number in a plan: 0 in the v2 tree, 1 to 15 in those of v1. controllers: what the box's
    group can have. levels: how far above the caller's own group `sandboxer` lies: v2 gives controllers to groups below one
    without processes only. names: all controllers of a hierarchy of v1, as it is mounted.
    """

    group: int
    mount: str
    controllers: tuple[str, ...] = ()
    levels: int = 0
    names: tuple[str, ...] = field(default=(), compare=False)

    @property
    def is_v2(self) -> bool:
        """Whether it is the unified tree."""
        return self.group == 0


@dataclass(frozen=True, slots=True)
class Unloaded:
    """An AppArmor profile or a type of SELinux that the kernel does not have as it is wanted.

    found: what there is instead of it. mend: what loads it.
    why: it may be loaded, and this caller cannot have it.
    """

    name: str
    found: str
    mend: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Host:
    """What this kernel and this user can do. The defaults are a plain, current machine with an ordinary user.

    box_id: the host id of a job that root starts: nobody else's where it is mapped, so that no process of the host owns the
    box. has_unprivileged_id: id 65534 means something in the caller's user namespace. namespaces: the kinds that can be
    made. owns_file_systems: the caller is in the initial user namespace, whose are the file systems that the machine has mounted.
    can_bar_namespaces: /proc/sys/user can be written, from a user namespace of the box's own.
    user_namespace_problem: why an ordinary user gets none that is of use; empty: it works. user_namespace_mend: the
    one command that would change that. landlock_problem, landlock_mend: the same for an ABI of 0; fresh_proc_problem,
    fresh_proc_mend: for a /proc of the box's own. audit_problem: why the
    caller cannot read the kernel's audit log; empty: nothing is known that speaks against it. rlimits: soft and hard by the
    kernel's word in lower case (`nofile`); 2**64-1 is no limit. cgroup: v1, v2, hybrid or none. hierarchies: where a box
    can get a control group; controller_problems: why not with a controller. has_scope: the caller's group is a scope that
    its systemd was asked for. is_login: it is that of a login. device_program_problem: why a group can have no device
    program; empty: it can. has_swap: the kernel can swap at all. processors: those that the caller can run on, a bit for
    each. io_weights: how the kernel shares a disk by weight, `cost` or `bfq`; empty: not at all. disks: the numbers of its
    block devices (`8:0`), without partitions; huge_pages: the sizes of its huge pages as control groups name them (`2MB`).
    apparmor_problem, apparmor_mend: why the caller can give no box an AppArmor profile. apparmor_label: the one that
    it is under itself, with its mode; empty: none. selinux_problem, selinux_mend: why it can give no box an SELinux context.
    selinux_context: the caller's own. is_permissive: SELinux refuses nothing. unloaded: labels that were asked for.
    missing_calls: system calls that the launcher uses and this kernel lacks. tried: steps of the trial (kernel/trials)
    and their errnos, 0 for success.
    """

    kernel: tuple[int, int] = (6, 12)
    arch: str = "x86_64"
    uid: int = 1000
    gid: int = 1000
    groups: tuple[int, ...] = (1000,)
    user: str = "user"
    home: str = "/home/user"
    cwd: str = "/home/user/project"
    capabilities: int = 0
    bounding: int = (1 << 41) - 1
    last_capability: int = 40
    has_unprivileged_id: bool = True
    box_id: int = BOX_ID
    namespaces: frozenset[str] = frozenset({"mount", "pid", "net", "ipc", "uts", "user", "cgroup", "time"})
    user_namespace_problem: str = ""
    user_namespace_mend: str = ""
    rlimits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    seccomp_actions: frozenset[str] = frozenset(
        {"kill_process", "kill_thread", "trap", "errno", "user_notif", "trace", "log", "allow"}
    )
    landlock_abi: int = 6
    landlock_problem: str = ""
    landlock_mend: str = ""
    audit_problem: str = "only root may read the kernel's audit log"
    has_overlay: bool = True
    has_idmapped_mounts: bool = True
    owns_file_systems: bool = True
    can_bar_namespaces: bool = True
    has_fresh_proc: bool = True
    fresh_proc_problem: str = ""
    fresh_proc_mend: str = ""
    subuids: tuple[IdRange, ...] = ()
    subgids: tuple[IdRange, ...] = ()
    newuidmap: str = ""
    newgidmap: str = ""
    stage_directory: str = "/tmp"
    cgroup: str = "none"
    hierarchies: tuple[Hierarchy, ...] = ()
    controller_problems: Mapping[str, str] = field(default_factory=dict)
    has_scope: bool = False
    is_login: bool = False
    has_swap: bool = True
    processors: int = 0xFF
    io_weights: str = ""
    disks: tuple[str, ...] = ()
    huge_pages: tuple[str, ...] = ()
    device_program_problem: str = "no cgroup v2 tree is mounted"
    lsms: tuple[str, ...] = ()
    apparmor_problem: str = ""
    apparmor_mend: str = ""
    apparmor_label: str = ""
    selinux_problem: str = ""
    selinux_mend: str = ""
    selinux_context: str = "unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023"
    is_permissive: bool = False
    unloaded: tuple[Unloaded, ...] = ()
    missing_calls: tuple[str, ...] = ()
    tried: Mapping[str, int] = field(default_factory=dict)
    paths: Mapping[str, PathFact] = field(default_factory=dict)

    @property
    def is_privileged(self) -> bool:
        """The caller is root, can become nobody, and has what building a box from outside needs (SYS_ADMIN, SETUID, SETGID)."""
        needed = (1 << 21) | (1 << 7) | (1 << 6)
        return self.uid == 0 and self.has_unprivileged_id and self.capabilities & needed == needed

    @property
    def has_user_namespaces(self) -> bool:
        """The caller can make a user namespace that is of use."""
        return "user" in self.namespaces and not self.user_namespace_problem

    @property
    def can_make_namespaces(self) -> bool:
        """The caller has the rights to make the other kinds: its own, or those that a user namespace gives."""
        return self.is_privileged or self.has_user_namespaces

    @property
    def hides_clone3(self) -> bool:
        """A filter around the caller hides it, as those of containers do, for its flags lie in memory: clone is left."""
        return "clone3" in self.missing_calls

    @property
    def has_boxes(self) -> bool:
        """A box can have a root of its own: a mount namespace, in which something could be mounted when that was tried."""
        return self.can_make_namespaces and "mount" in self.namespaces and not self.tried.get("mount")

    @property
    def can_become_other(self) -> bool:
        """The caller is root, can become nobody, and can still signal it then (SETUID, SETGID, KILL, CHOWN for its pipes)."""
        needed = (1 << 7) | (1 << 6) | (1 << 5) | (1 << 0)
        return self.uid == 0 and self.has_unprivileged_id and self.capabilities & needed == needed

    @property
    def unheard(self) -> str:
        """Why the caller cannot hear what Landlock refuses; empty: it can, where the kernel gives what it promises."""
        if 0 < self.landlock_abi < LOG_ABI:
            return f"Landlock of ABI {self.landlock_abi} records nothing: it does since Linux {KERNELS[LOG_ABI]}"
        return self.audit_problem

    def hierarchy_of(self, controller: str) -> Hierarchy | None:
        """Where a box's group can have this controller; None: nowhere, and `controller_problems` may say why."""
        return next((tree for tree in self.hierarchies if controller in tree.controllers), None)

    def path(self, path: str) -> PathFact:
        """The fact about a path that the policy mentions; a path that nobody asked about is missing."""
        return self.paths.get(path, PathFact(PathKind.MISSING))

    def with_paths(self, paths: Mapping[str, PathFact]) -> Host:
        """The same host with these path facts added."""
        return replace(self, paths={**self.paths, **paths})
