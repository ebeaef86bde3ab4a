"""Control groups: the hierarchies in which a box can get one of its own, and with which controllers.

A box's group is made in `sandboxer`, below the caller's own group: whatever limits the caller limits the box too. In the v2 tree
a group that has processes cannot give controllers to those below it, the root of the machine alone excepted; there the nearest
one above without processes is taken, for as far as the caller may write. cgroups(7); Documentation/admin-guide/cgroup-v2.rst,
"No Internal Process Constraint" and "Delegation Containment".
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sandboxer.abi.errnos import Errno
from sandboxer.kernel.proc import Mount, find_text, parse_mountinfo
from sandboxer.kernel.trials.trial import NOT_TRIED, Trial
from sandboxer.model.host import Hierarchy

PREFIX, SUFFIX, FRONT = "sandboxer-", ".scope", "front"
"""The name of such a scope, and of the group below it. stamp.py knows them too: the name is new each time."""
PLAIN = "domain"
GROUPS = 16
V2 = ""
V2_CONTROLLERS = frozenset({"cpu", "cpuset", "memory", "pids", "io", "hugetlb"})
CONTROLLERS = V2_CONTROLLERS | {"cpuacct", "blkio", "devices"}
"""Those that something here makes use of: v2's, and v1's besides, where io is blkio."""


@dataclass(frozen=True, slots=True)
class Groups:
    """hierarchies: those where a group can be made. problems: why a controller cannot be had; V2: why the v2 tree cannot.

    is_scope: the caller's group is that of a scope which its systemd made for it (systemd/scope.py). is_login: it is that of a
    login of the caller's.
    """

    hierarchies: tuple[Hierarchy, ...] = ()
    problems: Mapping[str, str] = field(default_factory=dict)
    is_scope: bool = False
    is_login: bool = False


def find_groups(mounts: tuple[Mount, ...]) -> Groups:
    """Look at the caller's own groups. The launcher looks again, for a plan outlives the groups that it was made in."""
    lines = parse_groups(find_text("/proc/self/cgroup") or "")
    rows = [(names, path) for names, path in lines if CONTROLLERS & set(names)]
    trees: list[Hierarchy] = []
    problems: dict[str, str] = {}
    for number, (names, path) in enumerate(rows, 1):
        controllers = tuple(sorted(CONTROLLERS & set(names)))
        tree, problem = _look_v1(_mount_of(names, mounts), path, names, number)
        trees += [tree] if tree else []
        problems |= dict.fromkeys(controllers, problem) if problem else {}
    tree, problem = _look_v2(_mount_of((V2,), mounts), next((path for names, path in lines if names == (V2,)), ""))
    trees += [tree] if tree else []
    if problem:
        problems |= dict.fromkeys(V2_CONTROLLERS - {name for names, _ in rows for name in names}, problem)
        problems |= {} if tree else {V2: problem}
    own = next((path for names, path in lines if names == (V2,)), "")
    found = tuple(sorted(trees, key=lambda tree: tree.group))
    return Groups(found, problems, is_own_scope(own), is_own_login(own, os.geteuid()))


def is_own_scope(path: str) -> bool:
    """Whether a group is the one into which a process goes that has asked its systemd for a scope."""
    above, _, name = path.rpartition("/")
    scope = above.rpartition("/")[2]
    return name == FRONT and scope.startswith(PREFIX) and scope.endswith(SUFFIX)


def is_own_login(path: str, uid: int) -> bool:
    """Whether a group is the scope of a login of this user's. What bounds that is the user's slice, which its systemd is in too.

    Anything else, as a service that runs as the user, has bounds of its own, out of which nobody is to be moved. pam_systemd(8).
    """
    above, _, name = path.rpartition("/")
    return name.startswith("session-") and name.endswith(SUFFIX) and above.rpartition("/")[2] == f"user-{uid}.slice"


def parse_groups(text: str) -> list[tuple[tuple[str, ...], str]]:
    """The lines of /proc/self/cgroup: controllers and path. The v2 tree has none: `(V2,)`."""
    found = []
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if path.startswith("/"):
            found.append((tuple(controllers.split(",")), path))
    return found


def find_own_group() -> str:
    """The directory of this process's group in the v2 tree; empty where none is mounted that shows it."""
    mount = _mount_of((V2,), parse_mountinfo(find_text("/proc/self/mountinfo") or ""))
    lines = parse_groups(find_text("/proc/self/cgroup") or "")
    path = next((path for names, path in lines if names == (V2,)), "")
    return _directory(mount, path) if mount and path else ""


def _mount_of(controllers: tuple[str, ...], mounts: tuple[Mount, ...]) -> Mount | None:
    if controllers == (V2,):
        return next((mount for mount in mounts if mount.filesystem == "cgroup2"), None)
    return next(
        (mount for mount in mounts if mount.filesystem == "cgroup" and set(controllers) <= set(mount.super_options)), None
    )


def _directory(mount: Mount, path: str) -> str:
    """A group's directory; empty where the mount does not show it."""
    return os.path.normpath(f"{mount.point}/{path}") if mount.root == "/" and "/.." not in path else ""


def _look_v1(mount: Mount | None, path: str, names: tuple[str, ...], group: int) -> tuple[Hierarchy | None, str]:
    if mount is None:
        return None, "its v1 hierarchy is not mounted"
    directory = _directory(mount, path)
    if not directory or not os.path.isdir(directory):
        return None, f"the caller's control group is not in {mount.point}"
    if not _is_writable(directory) or group >= GROUPS:
        return None, f"no group can be made in {directory}"
    return Hierarchy(group, mount.point, tuple(sorted(CONTROLLERS & set(names))), names=names), ""


def _look_v2(mount: Mount | None, path: str) -> tuple[Hierarchy | None, str]:
    """The v2 tree: with controllers if a group above us can give them, else for a device program alone."""
    if mount is None or not path:
        return None, "no cgroup v2 tree is mounted"
    directory = _directory(mount, path)
    if not directory or not os.path.isdir(directory):
        return None, "the caller's control group is not in the tree that is mounted here"
    problem = ""
    for levels, base in enumerate(_upwards(directory, mount.point)):
        problem = _why_not_below(base)
        if not problem:
            available = (find_text(f"{base}/cgroup.controllers") or "").split()
            return Hierarchy(0, mount.point, tuple(sorted(CONTROLLERS & set(available))), levels), ""
    if not _is_writable(directory):
        return None, f"no group can be made in {directory}"
    kind = find_text(f"{directory}/cgroup.type")
    if kind is not None and kind.strip() != PLAIN:
        return None, f"the caller's control group is {kind.strip()}"
    return Hierarchy(0, mount.point), problem


def _upwards(directory: str, top: str) -> Iterator[str]:
    yield directory
    while directory != top and directory.startswith(top):
        directory = os.path.dirname(directory)
        yield directory


def _why_not_below(base: str) -> str:
    """Why the groups below one could have no controllers; empty: they can."""
    if not all(_is_writable(base + name) for name in ("", "/cgroup.procs", "/cgroup.subtree_control")):
        return f"{base} is not delegated to the caller"
    kind = find_text(f"{base}/cgroup.type")
    if kind is None:
        return ""  # the root of the machine: it alone may have processes besides
    if kind.strip() != PLAIN:
        return f"the control group {base} is {kind.strip()}"
    if find_text(f"{base}/cgroup.procs"):
        return f"the control group {base} has processes, and none above it is delegated to the caller"
    return ""


def _is_writable(path: str) -> bool:
    return os.access(path, os.W_OK, effective_ids=True)


def find_disks(blocks: str = "/sys/block") -> tuple[str, ...]:
    """The numbers of whole disks, by name: partitions are limited by their disk. Those without a size are nothing yet."""
    found = []
    for name in _names(blocks):
        number = find_text(f"{blocks}/{name}/dev")
        if number and (find_text(f"{blocks}/{name}/size") or "0").strip() != "0":
            found.append(number.strip())
    return tuple(found)


def find_io_weights(mounts: tuple[Mount, ...], blocks: str = "/sys/block") -> str:
    """How a disk is shared by weight: `cost` (io.cost, which the root of v2 tells), `bfq`, or empty: none is.

    Source: Documentation/admin-guide/cgroup-v2.rst, io.cost.qos; Documentation/block/bfq-iosched.rst, section 4.
    """
    top = _mount_of((V2,), mounts)
    if top and "enable=1" in (find_text(f"{top.point}/io.cost.qos") or "").split():
        return "cost"
    schedulers = (find_text(f"{blocks}/{name}/queue/scheduler") or "" for name in _names(blocks))
    return "bfq" if any("[bfq]" in text.split() for text in schedulers) else ""


def find_huge_pages(pages: str = "/sys/kernel/mm/hugepages") -> tuple[str, ...]:
    """The sizes of huge pages, as control groups name them. Source: mm/hugetlb_cgroup.c, mem_fmt."""
    sizes = sorted(int(name.removeprefix("hugepages-").removesuffix("kB")) for name in _names(pages) if name.endswith("kB"))
    return tuple(f"{kib >> 20}GB" if kib >= 1 << 20 else f"{kib >> 10}MB" if kib >= 1 << 10 else f"{kib}KB" for kib in sizes)


def find_spare_huge_pages(pages: str = "/sys/kernel/mm/hugepages") -> dict[int, int]:
    """Size in bytes -> how many of those pages nobody has or has been promised."""
    found = {}
    for name in _names(pages):
        free, promised = (int(find_text(f"{pages}/{name}/{file}_hugepages") or 0) for file in ("free", "resv"))
        found[int(name.removeprefix("hugepages-").removesuffix("kB")) << 10] = max(free - promised, 0)
    return found


def find_spare_swap_bytes(meminfo: str = "/proc/meminfo") -> int:
    """Swap space that nothing is in. proc_meminfo(5)."""
    line = next((line for line in (find_text(meminfo) or "").splitlines() if line.startswith("SwapFree:")), "SwapFree: 0 kB")
    return int(line.split()[1]) << 10


def find_disk_of(path: str, blocks: str = "/sys/dev/block") -> str:
    """The number of the whole disk that a file lies on (`8:0`); empty: on none, or not on a single one."""
    try:
        number = os.stat(path).st_dev
    except OSError:
        return ""
    device = os.path.realpath(f"{blocks}/{os.major(number)}:{os.minor(number)}")
    if os.path.exists(f"{device}/partition"):
        device = os.path.dirname(device)
    return (find_text(f"{device}/dev") or "").strip()


def find_large_file(directory: str, least_bytes: int) -> str:
    """A file of that size at least, in a directory, that everybody may read; empty: there is none."""
    for name in _names(directory):
        try:
            seen = os.lstat(f"{directory}/{name}")
        except OSError:
            continue
        if stat.S_ISREG(seen.st_mode) and seen.st_mode & stat.S_IROTH and seen.st_size >= least_bytes:
            return f"{directory}/{name}"
    return ""


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def find_device_program_problem(groups: Groups, trial: Trial, *, is_privileged: bool) -> str:
    """Why a box's group can have no device program; empty: it can. No controller is needed: a hybrid host gives what v2 does."""
    if not is_privileged:
        return "only root may attach one"
    if not any(tree.is_v2 for tree in groups.hierarchies):
        return groups.problems.get(V2, "no cgroup v2 tree is mounted")
    errno = trial.errno("devices")
    if errno:
        said = "could not be tried" if errno == NOT_TRIED else f"are refused by the kernel ({Errno(errno).name})"
        return f"device programs {said}"
    return ""


def find_box_group(launcher_pid: int, mount: str, controller: str, levels: int) -> str:
    """The group that a launcher of ours made for its box, once something is in it; empty before that.

    mount, controller, levels: as in MakeGroup. Source of the name: launcher/c/outside/group.c, name_group.
    """
    lines = parse_groups(find_text("/proc/self/cgroup") or "")
    path = next((path for names, path in lines if controller in names or (not controller and names == (V2,))), "/")
    directory = os.path.normpath(f"{mount}/{path}")
    for _ in range(levels):
        directory = os.path.dirname(directory)
    try:
        names = os.listdir(f"{directory}/sandboxer")
    except OSError:
        return ""  # nobody made one yet, or the last box took it away
    own = (f"{directory}/sandboxer/{name}" for name in names if name.startswith(f"{launcher_pid}-"))
    return next((group for group in own if _is_populated(group)), "")


def _is_populated(group: str) -> bool:
    """Whether something is in it, or in v2 below it: a delegated box is."""
    return bool((find_text(f"{group}/cgroup.procs") or "").strip()) or "populated 1" in (
        find_text(f"{group}/cgroup.events") or ""
    )
