"""What this machine gives sandboxer, row by row for people, each with the one command that mends what is missing. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from sandboxer.abi.landlock import KERNELS, RIGHTS
from sandboxer.kernel.obstacle import Obstacle, find_idmap_obstacle, find_overlay_obstacle
from sandboxer.model.host import Host, IdRange

NEEDED_ACTIONS = frozenset({"kill_process", "errno", "allow"})
NAMESPACES = frozenset({"cgroup", "ipc", "mount", "net", "pid", "time", "user", "uts"})
RANGE = 65536


class State(Enum):
    """Whether something is there: whole, in part, or not. `note` is a fact that no profile of today depends on."""

    YES = "yes"
    PART = "part"
    NO = "no"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Ability:
    """One row. `says` is the fact, `why` what stands in the way, `mend` the command that removes it (it may be empty)."""

    name: str
    state: State
    says: str
    why: str = ""
    mend: str = ""


def find_abilities(host: Host) -> tuple[Ability, ...]:
    """All rows for a host, in the order in which a box is built."""
    rows = (
        _privilege(host),
        _user_namespaces(host),
        _namespaces(host),
        _id_ranges(host),
        _from_obstacle("a /proc of its own", host.has_fresh_proc, _proc_obstacle(host), "can be mounted", host),
        _from_obstacle("overlays", host.has_overlay, find_overlay_obstacle(host.tried), "can be mounted", host),
        _idmapped_mounts(host),
        _seccomp(host),
        _system_calls(host),
        _landlock(host),
        *_landlock_records(host),
        _control_groups(host),
        _device_programs(host),
        *_labels(host),
        Ability("security modules", State.NOTE, ", ".join(host.lsms) or "none named"),
    )
    return rows


def _proc_obstacle(host: Host) -> Obstacle | None:
    return Obstacle(host.fresh_proc_problem, host.fresh_proc_mend) if host.fresh_proc_problem else None


def _labels(host: Host) -> tuple[Ability, Ability]:
    """No profile that comes with sandboxer asks for one, so their lack is no fault of a machine."""
    stacked = f", on top of the caller's own {host.apparmor_label}" if host.apparmor_label else ""
    loaded = "when root has loaded them (sandboxer policy install)"
    domains = "and hold nothing: SELinux is permissive" if host.is_permissive else loaded
    return (
        Ability(
            "AppArmor labels",
            State.NOTE,
            f"cannot be given: {host.apparmor_problem}" if host.apparmor_problem else f"can be given{stacked}, {loaded}",
        ),
        Ability(
            "SELinux domains",
            State.NOTE,
            f"cannot be given: {host.selinux_problem}" if host.selinux_problem else f"can be given, {domains}",
        ),
    )


def _privilege(host: Host) -> Ability:
    if host.is_privileged:
        return Ability("the caller", State.NOTE, f"{host.user} ({host.uid}), with privilege: boxes are built from outside")
    if host.uid == 0 and not host.has_unprivileged_id:
        return Ability(
            "the caller", State.NOTE, "root of a user namespace in which id 65534 is not mapped, so it cannot become nobody"
        )
    if host.uid == 0:
        return Ability(
            "the caller", State.NOTE, "root without CAP_SYS_ADMIN, CAP_SETUID and CAP_SETGID: builds boxes like an ordinary user"
        )
    return Ability("the caller", State.NOTE, f"{host.user} ({host.uid}), an ordinary user: boxes are built in a user namespace")


def _user_namespaces(host: Host) -> Ability:
    name = "user namespaces"
    if host.user_namespace_problem:
        return Ability(name, State.NO, "cannot be used", host.user_namespace_problem, host.user_namespace_mend)
    if "user" not in host.namespaces:
        return Ability(name, State.NO, "cannot be used", "the kernel has none (CONFIG_USER_NS)")
    return Ability(name, State.YES, "can be made by an ordinary user")


def _namespaces(host: Host) -> Ability:
    missing = sorted(NAMESPACES - host.namespaces)
    there = " ".join(sorted(host.namespaces))
    if missing:
        why = f"the kernel has none of these kinds, or their number is limited to 0: {' '.join(missing)}"
        mend = f"sudo sysctl -w user.max_{_sysctl_word(missing[0])}_namespaces=15000"
        return Ability("namespaces", State.PART, there, why, mend)
    return Ability("namespaces", State.YES, there)


def _sysctl_word(kind: str) -> str:
    return "mnt" if kind == "mount" else kind


def _id_ranges(host: Host) -> Ability:
    name = "a range of ids"
    uids, gids = _count(host.subuids), _count(host.subgids)
    if host.is_privileged and uids and gids:
        return Ability(name, State.YES, f"{uids} uids, {gids} gids")
    if not host.is_privileged and not (host.newuidmap and host.newgidmap):
        why = "newuidmap and newgidmap are not installed, or may not gain privilege here; profiles map one id"
        return Ability(name, State.PART, "one id only", why, "sudo apt-get install uidmap")
    if not uids or not gids:
        why = f"/etc/subuid and /etc/subgid have no row for {host.user}; profiles that map one id need none"
        mend = f"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {host.user}"
        return Ability(name, State.PART, "one id only", why, mend)
    state = State.YES if min(uids, gids) >= RANGE else State.PART
    return Ability(name, state, f"{uids} uids, {gids} gids")


def _count(ranges: tuple[IdRange, ...]) -> int:
    return sum(item.count for item in ranges)


def _from_obstacle(name: str, is_there: bool, obstacle: Obstacle | None, works: str, host: Host) -> Ability:
    if is_there:
        return Ability(name, State.YES, works)
    if obstacle:
        return Ability(name, State.NO, "cannot be used", obstacle.why, obstacle.mend)
    return Ability(name, State.NO, "cannot be used", "it needs a user namespace first", host.user_namespace_mend)


def _idmapped_mounts(host: Host) -> Ability:
    name = "idmapped mounts"
    if host.has_idmapped_mounts:
        return Ability(name, State.YES, "can be made")
    if not host.is_privileged:
        return Ability(name, State.NOTE, "only for root; an ordinary user's files need none")
    obstacle = find_idmap_obstacle(host.tried)
    return Ability(name, State.NO, "cannot be made", obstacle.why if obstacle else "it could not be tried")


def _seccomp(host: Host) -> Ability:
    missing = sorted(NEEDED_ACTIONS - host.seccomp_actions)
    if missing:
        why = f"the kernel has no {', '.join(missing)} (CONFIG_SECCOMP_FILTER, 4.14 or later)"
        return Ability("system call filters", State.NO, "cannot be used", why)
    return Ability("system call filters", State.YES, "can be loaded")


def _landlock(host: Host) -> Ability:
    """Every ABI that Linux brought knows more rights; the profiles use what there is, and say what there is not."""
    abi = host.landlock_abi
    if not abi:
        return Ability("Landlock", State.NO, "cannot be used", host.landlock_problem, host.landlock_mend)
    newer = [right for right in RIGHTS if right.abi > abi]
    if not newer:
        return Ability("Landlock", State.YES, f"ABI {abi}")
    words = ", ".join(f"{right.name} ({KERNELS[right.abi]})" for right in newer)
    return Ability("Landlock", State.YES, f"ABI {abi}; newer kernels know more: {words}")


def _landlock_records(host: Host) -> tuple[Ability, ...]:
    """Whether `exec --explain` can tell what Landlock refuses."""
    if not host.landlock_abi:
        return ()
    says = f"not heard: {host.unheard}" if host.unheard else "told by exec --explain"
    return (Ability("Landlock's refusals", State.NOTE, says),)


def _system_calls(host: Host) -> Ability:
    name = "system calls"
    if host.missing_calls == ("clone3",):
        why = "a filter around this process hides clone3 (a container's default): a box enters a v2 control group after its start"
        return Ability(name, State.PART, "all but clone3; starts take some milliseconds longer", why)
    if host.missing_calls:
        why = "the kernel is older than 5.12, or a filter around this process hides them"
        return Ability(name, State.NO, f"missing: {' '.join(host.missing_calls)}", why)
    return Ability(name, State.YES, "all that the launcher uses")


def _device_programs(host: Host) -> Ability:
    name = "device programs"
    if not host.device_program_problem:
        return Ability(name, State.YES, "can be attached to control groups")
    if not host.is_privileged:
        return Ability(name, State.NOTE, "only for root; mounts hold an ordinary user's devices")
    return Ability(name, State.NO, "cannot be attached; the mounts alone hold devices", host.device_program_problem)


def _control_groups(host: Host) -> Ability:
    name = "control groups"
    if host.cgroup == "none":
        return Ability(name, State.NOTE, "not mounted")
    controllers = sorted({name for tree in host.hierarchies for name in tree.controllers})
    says = f"{host.cgroup}; boxes can have: {' '.join(controllers) or 'no controllers'}"
    if host.has_scope:
        says += "; in a scope that the user's systemd makes for each run"
    why = "" if controllers else host.controller_problems.get("memory", "")
    mend = "systemd-run --user --scope -p Delegate=yes sandboxer exec ..." if why and host.cgroup == "v2" and host.uid else ""
    return Ability(name, State.NOTE, says, why, mend)
