"""The ops: one frozen dataclass for each small step that the launcher can perform.

An op is plain data. Its fields, in order, are its wire format: the annotation gives the type, `launcher/c/ops.def` has the
same row, and a parity test fails until the dataclass, the row and the C function agree. `WORDS` tells a person what the op
does. Ops hold no conditions: whatever depends on the host was decided in `lower`.

A *slot* is a number (0 to 255) under which the launcher keeps one descriptor between two ops. Paths named `path` in an op that
works on the new root are absolute inside it and are resolved there only (openat2, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NewType

U32 = NewType("U32", int)
U64 = NewType("U64", int)
Text = NewType("Text", str)  # surrogateescape for bytes that are not UTF-8; never holds NUL
Blob = NewType("Blob", bytes)
TextList = NewType("TextList", tuple[str, ...])
U32List = NewType("U32List", tuple[int, ...])

NO_SLOT = U32(0xFFFFFFFF)
SLOTS = 256

PAIR = "c???,c???"
"""In a context: two categories of SELinux that are chosen for each run, when the plan is launched (`compile/seal.py`)."""


@dataclass(frozen=True, slots=True)
class Op:
    """The base of all ops. `TAG` is the number on the wire; `WORDS` is a format string over `op`."""

    TAG: ClassVar[int] = 0
    WORDS: ClassVar[str] = ""

    def say(self) -> str:
        """One line for people: what this step does."""
        return self.WORDS.format(op=self)


# ── outside, ahead of the start (and, after Start, while the child waits) ─────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class MakeIdmap(Op):
    """Make a user namespace that serves only as the mapping of idmapped mounts. mount_setattr(2), MOUNT_ATTR_IDMAP."""

    TAG: ClassVar[int] = 1
    WORDS: ClassVar[str] = "prepare an id mapping for mounts (uid {op.uid_map}, gid {op.gid_map})"
    slot: U32
    uid_map: Text
    gid_map: Text


@dataclass(frozen=True, slots=True)
class JoinNamespace(Op):
    """Enter an existing namespace by path. `kind` is its CLONE_NEW* flag. setns(2)."""

    TAG: ClassVar[int] = 2
    WORDS: ClassVar[str] = "join the namespace {op.path}"
    kind: U64
    path: Text


@dataclass(frozen=True, slots=True)
class Start(Op):
    """Clone the child with these CLONE_NEW* flags; it begins the inside list at once. clone(2)."""

    TAG: ClassVar[int] = 3
    WORDS: ClassVar[str] = "start the child in new namespaces (clone flags {op.clone_flags:#x})"
    clone_flags: U64


@dataclass(frozen=True, slots=True)
class StartByClone(Op):
    """As Start, where clone3 is hidden: without a time namespace, and in the launcher's v2 group until MoveChild. clone(2)."""

    TAG: ClassVar[int] = 83
    WORDS: ClassVar[str] = "start the child in new namespaces, without clone3 (clone flags {op.clone_flags:#x})"
    clone_flags: U64


@dataclass(frozen=True, slots=True)
class MoveChild(Op):
    """Wait until the child reaches AwaitOutside, move it into its v2 group, and let it go on. cgroups(7), cgroup.procs."""

    TAG: ClassVar[int] = 84
    WORDS: ClassVar[str] = "move the child into its control group, ahead of all that it does"


@dataclass(frozen=True, slots=True)
class AwaitInside(Op):
    """Wait until the child reaches AwaitOutside."""

    TAG: ClassVar[int] = 4
    WORDS: ClassVar[str] = "wait for the child to ask"


@dataclass(frozen=True, slots=True)
class WriteChildMaps(Op):
    """Write the child's uid_map and gid_map from outside. `setgroups` is deny, allow or empty. user_namespaces(7)."""

    TAG: ClassVar[int] = 5
    WORDS: ClassVar[str] = "map ids for the child (uid {op.uid_map}, gid {op.gid_map})"
    uid_map: Text
    gid_map: Text
    setgroups: Text


@dataclass(frozen=True, slots=True)
class RunMapHelper(Op):
    """Run newuidmap or newgidmap with the child's pid as first argument, and `arguments` after it. newuidmap(1)."""

    TAG: ClassVar[int] = 6
    WORDS: ClassVar[str] = "ask {op.program} to map ids for the child"
    program: Text
    arguments: TextList


@dataclass(frozen=True, slots=True)
class BecomeSubreaper(Op):
    """Orphans of the box become the monitor's children and are killed at the end. PR_SET_CHILD_SUBREAPER(2const)."""

    TAG: ClassVar[int] = 7
    WORDS: ClassVar[str] = "adopt the orphans of the box"


@dataclass(frozen=True, slots=True)
class ArmWallClock(Op):
    """From the start of the command: after `limit_ms` send `signal`, after `grace_ms` more SIGKILL. 0 ms grace: at once."""

    TAG: ClassVar[int] = 8
    WORDS: ClassVar[str] = "end the box after {op.limit_ms} ms (signal {op.signal}, then SIGKILL {op.grace_ms} ms later)"
    limit_ms: U64
    grace_ms: U64
    signal: U32


@dataclass(frozen=True, slots=True)
class ArmCpuClock(Op):
    """End the box when it has used `limit_us` of CPU time, or none for `idle_ms`; 0: no such limit. cgroups(7).

    group, file, key, divisor: where the kernel counts that, in microseconds, as for ReadCounter. The command gets SIGXCPU or
    `idle_signal`, and everything SIGKILL after `grace_ms`; 0 ms: at once. The monitor looks once a second, and at the end more
    often.
    """

    TAG: ClassVar[int] = 69
    WORDS: ClassVar[str] = "end the box after {op.limit_us} us of CPU time, or {op.idle_ms} ms without any (0: never)"
    group: U32
    file: Text
    key: Text
    divisor: U32
    limit_us: U64
    idle_ms: U64
    grace_ms: U64
    idle_signal: U32


@dataclass(frozen=True, slots=True)
class LimitOutput(Op):
    """Bound what the command writes to its outputs, both together; they go through pipes of the monitor then. pipe(7)."""

    TAG: ClassVar[int] = 71
    WORDS: ClassVar[str] = "end the box when it has written {op.limit} bytes to its outputs"
    limit: U64


@dataclass(frozen=True, slots=True)
class OpenDirectory(Op):
    """Keep an O_PATH descriptor of a host directory in a slot. open(2)."""

    TAG: ClassVar[int] = 9
    WORDS: ClassVar[str] = "open the host directory {op.path}"
    slot: U32
    path: Text


# ── inside, in order, in the child ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class EnterGroups(Op):
    """Enter the v1 groups of the box, by writing 0 to `tasks` of each. cgroups(7)."""

    TAG: ClassVar[int] = 67
    WORDS: ClassVar[str] = "enter the box's control groups"


@dataclass(frozen=True, slots=True)
class AwaitOutside(Op):
    """Tell the monitor that the child is here, and wait until the rest of `before` is done."""

    TAG: ClassVar[int] = 20
    WORDS: ClassVar[str] = "wait for the outside to finish its part"


@dataclass(frozen=True, slots=True)
class CloseFds(Op):
    """Mark every descriptor above 2 close-on-exec, except `keep`. close_range(2)."""

    TAG: ClassVar[int] = 21
    WORDS: ClassVar[str] = "close every descriptor above 2 except {op.keep}"
    keep: U32List


@dataclass(frozen=True, slots=True)
class NewSession(Op):
    """Leave the caller's session and terminal. setsid(2)."""

    TAG: ClassVar[int] = 22
    WORDS: ClassVar[str] = "begin a new session without a terminal"


@dataclass(frozen=True, slots=True)
class SetParentDeathSignal(Op):
    """Die with the monitor; fails if the monitor is gone already. PR_SET_PDEATHSIG(2const)."""

    TAG: ClassVar[int] = 23
    WORDS: ClassVar[str] = "die when the monitor dies (signal {op.signal})"
    signal: U32


@dataclass(frozen=True, slots=True)
class Unshare(Op):
    """Move this process into new namespaces. unshare(2)."""

    TAG: ClassVar[int] = 24
    WORDS: ClassVar[str] = "enter new namespaces (flags {op.flags:#x})"
    flags: U64


@dataclass(frozen=True, slots=True)
class BarNamespaces(Op):
    """Let nobody in the box's own user namespace make namespaces of these kinds. /proc/sys/user in namespaces(7)."""

    TAG: ClassVar[int] = 82
    WORDS: ClassVar[str] = "let no more namespaces be made (flags {op.flags:#x})"
    flags: U64


@dataclass(frozen=True, slots=True)
class WriteOwnMaps(Op):
    """Write the process's own single-id uid_map and gid_map, after setgroups. user_namespaces(7)."""

    TAG: ClassVar[int] = 25
    WORDS: ClassVar[str] = "map ids (uid {op.uid_map}, gid {op.gid_map})"
    uid_map: Text
    gid_map: Text
    setgroups: Text


@dataclass(frozen=True, slots=True)
class SetIds(Op):
    """Become this uid and gid (real, effective, saved). `set_groups` 1: replace the supplementary groups. setresuid(2)."""

    TAG: ClassVar[int] = 26
    WORDS: ClassVar[str] = "become uid {op.uid}, gid {op.gid}"
    uid: U32
    gid: U32
    groups: U32List
    set_groups: U32


@dataclass(frozen=True, slots=True)
class SetDumpable(Op):
    """Whether /proc/self belongs to the process, and others of its uid may trace it. PR_SET_DUMPABLE(2const)."""

    TAG: ClassVar[int] = 27
    WORDS: ClassVar[str] = "set dumpable to {op.value}"
    value: U32


@dataclass(frozen=True, slots=True)
class MakePrivate(Op):
    """Cut every mount of the new mount namespace off from the host's. mount_setattr(2), MS_PRIVATE, recursive on /."""

    TAG: ClassVar[int] = 28
    WORDS: ClassVar[str] = "cut mounts off from the host's"


@dataclass(frozen=True, slots=True)
class OpenTree(Op):
    """Clone a host tree as a detached mount into a slot and set MOUNT_ATTR_* on it. open_tree(2), mount_setattr(2).

    `path` is resolved on the host. `recursive` 1 takes submounts too. `idmap_slot` names a MakeIdmap slot, or NO_SLOT.
    """

    TAG: ClassVar[int] = 29
    WORDS: ClassVar[str] = "take {op.path} from the host (attributes {op.attributes:#x})"
    slot: U32
    path: Text
    attributes: U64
    recursive: U32
    idmap_slot: U32


@dataclass(frozen=True, slots=True)
class MakeStage(Op):
    """Cover a host directory, in this mount namespace only, with a private tmpfs in which the root is built."""

    TAG: ClassVar[int] = 30
    WORDS: ClassVar[str] = "build the root on a private tmpfs over {op.path}"
    path: Text


@dataclass(frozen=True, slots=True)
class MakeRoot(Op):
    """Make the new, empty root: a tmpfs of this mode and size (0: kernel's default) inside the stage."""

    TAG: ClassVar[int] = 31
    WORDS: ClassVar[str] = "make an empty root (mode {op.mode:o})"
    mode: U32
    size_bytes: U64


@dataclass(frozen=True, slots=True)
class MakeDirectory(Op):
    """Make a directory and its missing parents in the new root; one that exists is left as it is. mkdirat(2)."""

    TAG: ClassVar[int] = 32
    WORDS: ClassVar[str] = "make the directory {op.path} (mode {op.mode:o})"
    path: Text
    mode: U32


@dataclass(frozen=True, slots=True)
class MakeSymlink(Op):
    """Make a symbolic link in the new root, and the missing parents of it. symlinkat(2)."""

    TAG: ClassVar[int] = 33
    WORDS: ClassVar[str] = "make the link {op.path} -> {op.target}"
    path: Text
    target: Text


@dataclass(frozen=True, slots=True)
class MakeFile(Op):
    """Make a file with this content in the new root, and the missing parents of it. openat(2), O_EXCL."""

    TAG: ClassVar[int] = 34
    WORDS: ClassVar[str] = "make the file {op.path} (mode {op.mode:o})"
    path: Text
    mode: U32
    content: Blob


@dataclass(frozen=True, slots=True)
class Attach(Op):
    """Attach the detached mount of a slot to an existing file or directory of the new root. move_mount(2)."""

    TAG: ClassVar[int] = 35
    WORDS: ClassVar[str] = "show it at {op.path}"
    slot: U32
    path: Text


@dataclass(frozen=True, slots=True)
class MountFilesystem(Op):
    """Mount a new instance of a filesystem. `options`: `key=value` or `flag`. fsopen(2), fsconfig(2), fsmount(2)."""

    TAG: ClassVar[int] = 36
    WORDS: ClassVar[str] = "mount {op.kind} on {op.path} ({op.options}, attributes {op.attributes:#x})"
    kind: Text
    path: Text
    attributes: U64
    options: TextList


@dataclass(frozen=True, slots=True)
class MountOverlay(Op):
    """Mount an overlay: the tree of `lower_slot` below, changes above. Kernel: filesystems/overlayfs.rst.

    The lower tree is first attached inside the stage. `upper_slot` NO_SLOT: changes go to a private tmpfs of `size_bytes`, owned
    by `uid`:`gid` with `mode`, and vanish; else the slot is an OpenDirectory or OpenTree that has `upper` and `work` in it.
    `options` are further overlay options, e.g. `userxattr`.
    """

    TAG: ClassVar[int] = 37
    WORDS: ClassVar[str] = "show {op.path} as an overlay; what the job changes stays above it"
    path: Text
    attributes: U64
    lower_slot: U32
    upper_slot: U32
    size_bytes: U64
    uid: U32
    gid: U32
    mode: U32
    options: TextList


@dataclass(frozen=True, slots=True)
class BindInside(Op):
    """Bind one path of the new root over another one of it, with MOUNT_ATTR_* set. open_tree(2), move_mount(2)."""

    TAG: ClassVar[int] = 38
    WORDS: ClassVar[str] = "cover {op.path} with {op.source} (attributes {op.attributes:#x})"
    source: Text
    path: Text
    attributes: U64
    recursive: U32


@dataclass(frozen=True, slots=True)
class MoveMount(Op):
    """Move a mount of the root, with all that is mounted below it. move_mount(2)."""

    TAG: ClassVar[int] = 91
    WORDS: ClassVar[str] = "move what is mounted on {op.source} to {op.path}"
    source: Text
    path: Text


@dataclass(frozen=True, slots=True)
class CheckMounts(Op):
    """Refuse to go on unless something is mounted on each of these paths of the root: whoever removes a directory of the host
    takes away what is mounted on it, in every mount namespace. openat2(2), RESOLVE_NO_XDEV."""

    TAG: ClassVar[int] = 92
    WORDS: ClassVar[str] = "see that something is mounted on {op.paths}"
    paths: TextList


@dataclass(frozen=True, slots=True)
class SetMountAttributes(Op):
    """Set and clear MOUNT_ATTR_* on the mount at a path of the new root. mount_setattr(2)."""

    TAG: ClassVar[int] = 39
    WORDS: ClassVar[str] = "set mount attributes {op.attributes:#x} on {op.path}"
    path: Text
    attributes: U64
    cleared: U64
    recursive: U32


@dataclass(frozen=True, slots=True)
class PivotRoot(Op):
    """Make the new root the root, and let go of everything of the host. pivot_root(2), umount2(2) MNT_DETACH."""

    TAG: ClassVar[int] = 40
    WORDS: ClassVar[str] = "make it the root and let go of the host's files"


@dataclass(frozen=True, slots=True)
class KeepRoot(Op):
    """The root stays the caller's, and paths of later ops are resolved from it: for a command without a box."""

    TAG: ClassVar[int] = 81
    WORDS: ClassVar[str] = "keep the caller's root"


@dataclass(frozen=True, slots=True)
class SetHostName(Op):
    """Name the host inside its UTS namespace. sethostname(2)."""

    TAG: ClassVar[int] = 41
    WORDS: ClassVar[str] = "name the host {op.name}"
    name: Text


@dataclass(frozen=True, slots=True)
class BringUpLoopback(Op):
    """Bring the interface lo of the network namespace up. netdevice(7)."""

    TAG: ClassVar[int] = 42
    WORDS: ClassVar[str] = "bring up the loopback interface"


@dataclass(frozen=True, slots=True)
class SetRlimit(Op):
    """Set the soft and the hard limit of a resource. setrlimit(2)."""

    TAG: ClassVar[int] = 43
    WORDS: ClassVar[str] = "limit resource {op.resource} to {op.soft} (hard {op.hard})"
    resource: U32
    soft: U64
    hard: U64


@dataclass(frozen=True, slots=True)
class SetScheduling(Op):
    """Give way to others on the processors, never less than the caller does. policy: SCHED_*. niceness: 0 to 19. sched(7)."""

    TAG: ClassVar[int] = 72
    WORDS: ClassVar[str] = "give way to others on the processors (policy {op.policy}, niceness {op.niceness})"
    policy: U32
    niceness: U32


@dataclass(frozen=True, slots=True)
class ShowSpace(Op):
    """Hand a file system of the box's own to the monitor, for ReadSpaces. It is where `path` is in the new root."""

    TAG: ClassVar[int] = 73
    WORDS: ClassVar[str] = "let the monitor see how full {op.path} is"
    path: Text


@dataclass(frozen=True, slots=True)
class HandOver(Op):
    """Hand a directory of the box's own to the supervisor by the socket of the watch, and wait until it has put files there."""

    TAG: ClassVar[int] = 90
    WORDS: ClassVar[str] = "let the caller put files into {op.path}"
    path: Text


@dataclass(frozen=True, slots=True)
class SetUmask(Op):
    """Set the file mode creation mask. umask(2)."""

    TAG: ClassVar[int] = 44
    WORDS: ClassVar[str] = "set the umask to {op.mask:03o}"
    mask: U32


@dataclass(frozen=True, slots=True)
class SetWorkingDirectory(Op):
    """Change into a directory of the root. chdir(2)."""

    TAG: ClassVar[int] = 45
    WORDS: ClassVar[str] = "work in {op.path}"
    path: Text


@dataclass(frozen=True, slots=True)
class SetTimeOffsets(Op):
    """Write /proc/self/timens_offsets, after Unshare(CLONE_NEWTIME) and before any fork. time_namespaces(7)."""

    TAG: ClassVar[int] = 46
    WORDS: ClassVar[str] = "shift the clocks ({op.offsets})"
    offsets: Text


@dataclass(frozen=True, slots=True)
class DropBounding(Op):
    """Drop every capability from 0 to `last` that is not in `keep` from the bounding set. PR_CAPBSET_DROP(2const)."""

    TAG: ClassVar[int] = 47
    WORDS: ClassVar[str] = "keep only capabilities {op.keep:#x} in the bounding set"
    keep: U64
    last: U32


@dataclass(frozen=True, slots=True)
class SetSecurebits(Op):
    """Set the securebits of the process. capabilities(7)."""

    TAG: ClassVar[int] = 48
    WORDS: ClassVar[str] = "set securebits {op.bits:#x}"
    bits: U32


@dataclass(frozen=True, slots=True)
class SetCapabilities(Op):
    """Set the capability sets of the process. capset(2)."""

    TAG: ClassVar[int] = 49
    WORDS: ClassVar[str] = "hold capabilities {op.permitted:#x} (inheritable {op.inheritable:#x})"
    effective: U64
    permitted: U64
    inheritable: U64


@dataclass(frozen=True, slots=True)
class SetAmbient(Op):
    """Clear the ambient set, then raise these capabilities in it. PR_CAP_AMBIENT(2const)."""

    TAG: ClassVar[int] = 50
    WORDS: ClassVar[str] = "pass capabilities {op.mask:#x} on to the command"
    mask: U64


@dataclass(frozen=True, slots=True)
class SetNoNewPrivs(Op):
    """Give up gaining privilege through execve, for good. PR_SET_NO_NEW_PRIVS(2const)."""

    TAG: ClassVar[int] = 51
    WORDS: ClassVar[str] = "give up gaining privileges"


@dataclass(frozen=True, slots=True)
class BecomeInit(Op):
    """Fork: the parent stays as pid 1, reaps, forwards signals and reports; the child goes on with the list."""

    TAG: ClassVar[int] = 52
    WORDS: ClassVar[str] = "leave a reaper as pid 1"


@dataclass(frozen=True, slots=True)
class OpenTerminal(Op):
    """Open a new pseudo-terminal in the root's /dev/pts, hand its master to the monitor, make it ours. pty(7)."""

    TAG: ClassVar[int] = 53
    WORDS: ClassVar[str] = "open a terminal of its own"


@dataclass(frozen=True, slots=True)
class LoadFilter(Op):
    """Load a seccomp filter: `program` is an array of struct sock_filter, `flags` are SECCOMP_FILTER_FLAG_*. seccomp(2)."""

    TAG: ClassVar[int] = 54
    WORDS: ClassVar[str] = "load a system call filter (flags {op.flags:#x})"
    flags: U32
    program: Blob


@dataclass(frozen=True, slots=True)
class NewKeyring(Op):
    """Leave the caller's session keyring for a new, empty one. KEYCTL_JOIN_SESSION_KEYRING(2const)."""

    TAG: ClassVar[int] = 55
    WORDS: ClassVar[str] = "begin with an empty session keyring"


@dataclass(frozen=True, slots=True)
class OwnPipes(Op):
    """Make the anonymous pipes among the standard streams the job's, so that it can open /dev/stdout. fchown(2)."""

    TAG: ClassVar[int] = 56
    WORDS: ClassVar[str] = "give the pipes of the standard streams to uid {op.uid}, gid {op.gid}"
    uid: U32
    gid: U32


@dataclass(frozen=True, slots=True)
class SetExecLabel(Op):
    """Have execve put the command under an AppArmor profile that is loaded, and read back that it will. apparmor(7).

    request: `exec NAME`, or `stack NAME` on the profile that the caller is under. answer: what the kernel notes of either then,
    `NAME (enforce)`. The streams must be pipes, sockets, terminals, devices or memfds: the kernel silently takes away a file that
    the profile does not grant.
    """

    TAG: ClassVar[int] = 78
    WORDS: ClassVar[str] = "put the command under the AppArmor profile {op.answer}"
    request: Text
    answer: Text


@dataclass(frozen=True, slots=True)
class SetExecContext(Op):
    """Have execve put the command under an SELinux context, and read back that it will. selinux(8), /proc/PID/attr/exec.

    The streams must be pipes, sockets, terminals, devices or memfds, as for SetExecLabel.
    """

    TAG: ClassVar[int] = 79
    WORDS: ClassVar[str] = "put the command under the SELinux context {op.context}"
    context: Text


@dataclass(frozen=True, slots=True)
class LabelMounts(Op):
    """Mount what follows with `context=`, if it is a file system of the box's own: tmpfs, devpts, overlay. mount(8)."""

    TAG: ClassVar[int] = 80
    WORDS: ClassVar[str] = "give the box's own file systems the SELinux context {op.context}"
    context: Text


@dataclass(frozen=True, slots=True)
class LandlockCreate(Op):
    """Make a Landlock ruleset that handles these rights, and keep it in a slot. landlock_create_ruleset(2).

    The standard streams may be opened again: with the rights of `readable` those that are open for reading, with those of
    `writable` those that are open for writing.
    """

    TAG: ClassVar[int] = 57
    WORDS: ClassVar[str] = (
        "prepare a Landlock domain (filesystem {op.filesystem:#x}, network {op.network:#x}, scoped {op.scoped:#x}; streams "
        "{op.readable:#x} or {op.writable:#x})"
    )
    slot: U32
    filesystem: U64
    network: U64
    scoped: U64
    readable: U64
    writable: U64


@dataclass(frozen=True, slots=True)
class LandlockPath(Op):
    """Allow rights at a path of the root and below it, in the ruleset of a slot. landlock_add_rule(2)."""

    TAG: ClassVar[int] = 58
    WORDS: ClassVar[str] = "let it do {op.rights:#x} in {op.path}"
    slot: U32
    path: Text
    rights: U64


@dataclass(frozen=True, slots=True)
class LandlockPort(Op):
    """Allow rights on a port, in the ruleset of a slot. landlock_add_rule(2)."""

    TAG: ClassVar[int] = 59
    WORDS: ClassVar[str] = "let it do {op.rights:#x} on port {op.port}"
    slot: U32
    port: U32
    rights: U64


@dataclass(frozen=True, slots=True)
class LandlockRestrict(Op):
    """Enter the domain of a slot for good, and empty the slot. landlock_restrict_self(2)."""

    TAG: ClassVar[int] = 60
    WORDS: ClassVar[str] = "enter the Landlock domain (flags {op.flags:#x})"
    slot: U32
    flags: U32


@dataclass(frozen=True, slots=True)
class LoadWatchedFilter(Op):
    """Load a seccomp filter with a listener, and send that over the socket `--watch-fd`. `flags` are those besides NEW_LISTENER.

    The program must allow sendmmsg, and what follows. seccomp_unotify(2).
    """

    TAG: ClassVar[int] = 61
    WORDS: ClassVar[str] = "load a watched system call filter (flags {op.flags:#x})"
    flags: U32
    program: Blob


@dataclass(frozen=True, slots=True)
class MakeGroup(Op):
    """Make a control group for the box, `sandboxer/PID-TIME` below the caller's own or `levels` above that. cgroups(7).

    group: 0 is that of the v2 tree, which Start clones into; others, up to 15, are those of v1 hierarchies, by EnterGroups.
    mount: where the hierarchy is. controller: one of v1, which finds the hierarchy in /proc/self/cgroup; empty for v2. enable:
    controllers of v2 to pass on (`+memory`), in the group that has `sandboxer` and in `sandboxer`. inherited: files that
    `sandboxer` and the box's group begin with as the one above has them: v1's cpuset takes no process without.
    """

    TAG: ClassVar[int] = 63
    WORDS: ClassVar[str] = "make a control group for the box in {op.mount}"
    group: U32
    mount: Text
    controller: Text
    levels: U32
    enable: TextList
    inherited: TextList


@dataclass(frozen=True, slots=True)
class WriteGroup(Op):
    """Write a file of a control group of the box: a limit. cgroups(7)."""

    TAG: ClassVar[int] = 66
    WORDS: ClassVar[str] = "write {op.text} to {op.file} of the box's control group"
    group: U32
    file: Text
    text: Text


@dataclass(frozen=True, slots=True)
class DelegateGroup(Op):
    """Make a group below the box's v2 group that is the job's, and let Start clone into that. cgroup-v2.rst, "Delegation".

    enable: controllers to pass on to it (`+memory`). The limits stay in the group above, which the job does not see.
    """

    TAG: ClassVar[int] = 76
    WORDS: ClassVar[str] = "give the job a control group below that of the box (uid {op.uid}, gid {op.gid})"
    uid: U32
    gid: U32
    enable: TextList


@dataclass(frozen=True, slots=True)
class KillByGroup(Op):
    """At the end kill all processes in a control group of the box: for one without a pid namespace. cgroups(7).

    file, text: what is written ahead of that, so that nothing escapes: it kills the whole group at once, or keeps it from
    starting more.
    """

    TAG: ClassVar[int] = 75
    WORDS: ClassVar[str] = "at the end kill whatever is in its control group (by {op.file})"
    group: U32
    file: Text
    text: Text


@dataclass(frozen=True, slots=True)
class AllowDevices(Op):
    """Attach a device program to the box's v2 group: an array of struct bpf_insn. bpf(2), BPF_PROG_TYPE_CGROUP_DEVICE."""

    TAG: ClassVar[int] = 64
    WORDS: ClassVar[str] = "refuse to open all devices but those that the profile names"
    program: Blob


# ── outside, when the box has ended ───────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class ClearWork(Op):
    """Remove the `work` that overlayfs leaves in the workdir of a mount, with mode 000 and a whiteout in it. unlinkat(2)."""

    TAG: ClassVar[int] = 62
    WORDS: ClassVar[str] = "remove what the kernel leaves in {op.path}"
    path: Text


@dataclass(frozen=True, slots=True)
class ReadCounter(Op):
    """Read a number that the kernel kept for a group into the record; what is missing stays unknown. cgroups(7).

    counter: its place in `COUNTERS` of launcher/record.py. key: what stands ahead of the number (`oom_kill `, `rbytes=`), of
    several the sum counts; empty: the number that the file begins with. divisor: for units other than the record's.
    """

    TAG: ClassVar[int] = 68
    WORDS: ClassVar[str] = "read {op.file} of the box's control group"
    counter: U32
    group: U32
    file: Text
    key: Text
    divisor: U32


@dataclass(frozen=True, slots=True)
class ReadSpaces(Op):
    """Read into the record what the file systems hold that were shown, and which is the first that is full. statfs(2)."""

    TAG: ClassVar[int] = 74
    WORDS: ClassVar[str] = "read how full the box's own file systems are"


@dataclass(frozen=True, slots=True)
class RemoveGroups(Op):
    """Remove the box's control groups. rmdir(2)."""

    TAG: ClassVar[int] = 65
    WORDS: ClassVar[str] = "remove the box's control groups"


@dataclass(frozen=True, slots=True)
class SweepGroups(Op):
    """If RemoveGroups has found groups of killed launchers, remove theirs in the hierarchies where this box has none. rmdir(2).

    hierarchies: three texts for each, `mount`, `controller` and `levels` of MakeGroup, the last one as `0-`.
    """

    TAG: ClassVar[int] = 77
    WORDS: ClassVar[str] = "remove what killed launchers left in other hierarchies"
    hierarchies: TextList


@dataclass(frozen=True, slots=True)
class RemoveDirectory(Op):
    """Remove an empty directory, and an empty `work` inside it first (overlayfs leaves one). unlinkat(2)."""

    TAG: ClassVar[int] = 70
    WORDS: ClassVar[str] = "remove {op.path}"
    path: Text


OPS: tuple[type[Op], ...] = (
    MakeIdmap, JoinNamespace, Start, AwaitInside, WriteChildMaps, RunMapHelper, BecomeSubreaper, ArmWallClock, OpenDirectory,
    AwaitOutside, CloseFds, NewSession, SetParentDeathSignal, Unshare, WriteOwnMaps, SetIds, SetDumpable, MakePrivate, OpenTree,
    MakeStage, MakeRoot, MakeDirectory, MakeSymlink, MakeFile, Attach, MountFilesystem, MountOverlay, BindInside,
    SetMountAttributes, PivotRoot, SetHostName, BringUpLoopback, SetRlimit, SetUmask, SetWorkingDirectory, SetTimeOffsets,
    DropBounding, SetSecurebits, SetCapabilities, SetAmbient, SetNoNewPrivs, BecomeInit, OpenTerminal, LoadFilter,
    NewKeyring, OwnPipes, LandlockCreate, LandlockPath, LandlockPort, LandlockRestrict, LoadWatchedFilter, ClearWork, MakeGroup,
    AllowDevices, RemoveGroups, WriteGroup, EnterGroups, ReadCounter, ArmCpuClock, RemoveDirectory, LimitOutput,
    SetScheduling, ShowSpace, ReadSpaces, KillByGroup, DelegateGroup, SweepGroups, SetExecLabel, SetExecContext,
    LabelMounts, KeepRoot, BarNamespaces, StartByClone, MoveChild, HandOver, MoveMount, CheckMounts,
)  # fmt: skip

IN_PLACE: frozenset[type[Op]] = frozenset({
    CloseFds, SetRlimit, SetScheduling, DropBounding, SetSecurebits, SetCapabilities, SetAmbient, SetNoNewPrivs, LoadFilter,
    LandlockCreate, LandlockPath, LandlockPort, LandlockRestrict,
})  # fmt: skip
"""What a plan in place may hold: ops that change the calling process alone, and can only narrow what it may do."""
