"""Why something does not work here, and the one command that mends it: from errnos and sysctls to sentences. Pure."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass, field

from sandboxer.kernel.trials.trial import NOT_TRIED, Trial

MAX_USER = "user.max_user_namespaces"
CLONE_SYSCTL = "kernel.unprivileged_userns_clone"
APPARMOR_SYSCTL = "kernel.apparmor_restrict_unprivileged_userns"
SYSCTLS = (MAX_USER, CLONE_SYSCTL, APPARMOR_SYSCTL)
OUTER_FILTER_MEND = "docker run --security-opt seccomp=unconfined ... (or a seccomp profile that allows unshare, clone and mount)"
FRESH_PROC_MEND = "docker run --security-opt systempaths=unconfined ... (or --privileged; in Kubernetes procMount: Unmasked)"

_LABEL_MEND = (
    "start it from outside of that profile (docker run --security-opt apparmor=unconfined ...), "
    "or give the profile `userns,`, `capability,` and `mount,`"
)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What stands in the way, and the command that removes it (empty: no command can)."""

    why: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What may stand in the way of a user namespace. sysctls: name -> value, only those that exist.

    seccomp_mode: the `Seccomp:` number of /proc/self/status. uid_is_mapped: the caller's ids mean something to the parent.
    label: the AppArmor profile that the caller is under; empty: none.
    """

    sysctls: Mapping[str, int] = field(default_factory=dict)
    seccomp_mode: int = 0
    is_chrooted: bool = False
    uid_is_mapped: bool = True
    label: str = ""
    lsms: tuple[str, ...] = ()


def find_user_namespace_obstacle(trial: Trial, around: Surroundings) -> Obstacle | None:
    """Why an ordinary user gets no user namespace that is of use; None when one works.

    A namespace that can be made but gives no capability inside (AppArmor on Ubuntu 24.04) is of no use.
    """
    if trial.killed_by:
        return Obstacle(f"a filter around this process kills those who try (signal {trial.killed_by})", OUTER_FILTER_MEND)
    failed = trial.errno("user")
    if failed == NOT_TRIED:
        return Obstacle("it could not be tried: the trial ended early")
    if failed:
        return _creation_obstacle(failed, around)
    if trial.errno("maps"):
        return _maps_obstacle(trial.errno("maps"), around)
    useless = next((trial.errno(step) for step in ("inside", "mount") if trial.errno(step) != NOT_TRIED), 0)
    if useless in (errno.EPERM, errno.EACCES):
        return _useless_obstacle(around)
    return None


def _creation_obstacle(failed: int, around: Surroundings) -> Obstacle:
    match failed:
        case errno.ENOSPC | errno.EUSERS if around.sysctls.get(MAX_USER, 1) == 0:
            return Obstacle(f"{MAX_USER} is 0", f"sudo sysctl -w {MAX_USER}=15000")
        case errno.ENOSPC | errno.EUSERS:
            value = around.sysctls.get(MAX_USER)
            limit = "" if value is None else f" ({value})"
            return Obstacle(
                f"all user namespaces that {MAX_USER}{limit} allows are in use, or 32 are nested in one another",
                f"sudo sysctl -w {MAX_USER}={max(2 * (value or 0), 15000)}",
            )
        case errno.ENOSYS | errno.EINVAL:
            return Obstacle("this kernel was built without user namespaces (CONFIG_USER_NS)")
        case errno.EPERM | errno.EACCES:
            return _forbidden_obstacle(around)
        case errno.ENOMEM:
            return Obstacle("the kernel has no memory left for another namespace")
        case _:
            return Obstacle(f"unshare(CLONE_NEWUSER) fails with {errno.errorcode.get(failed, str(failed))}")


def _forbidden_obstacle(around: Surroundings) -> Obstacle:
    """Who answers EPERM, in the order in which the kernel asks: the filter, Debian's switch, the chroot, the ids, the LSM."""
    if around.sysctls.get(CLONE_SYSCTL) == 0:
        return Obstacle(f"{CLONE_SYSCTL} is 0", f"sudo sysctl -w {CLONE_SYSCTL}=1")
    if around.is_chrooted:
        return Obstacle(
            "this process lives in a chroot, and the kernel gives no user namespace to a chrooted process",
            "enter the directory by pivot_root instead of chroot: bwrap --bind DIR / --proc /proc --dev /dev ...",
        )
    if not around.uid_is_mapped:
        return Obstacle("the caller's uid or gid is not mapped in the user namespace around it")
    if around.sysctls.get(APPARMOR_SYSCTL) == 1:
        return Obstacle(f"AppArmor forbids it ({APPARMOR_SYSCTL} is 1)", f"sudo sysctl -w {APPARMOR_SYSCTL}=0")
    # A container has both, and says yes to the one mend with the other.
    if around.label and around.seccomp_mode != 2:
        return Obstacle(f"AppArmor's {around.label}, which this process is under, forbids it", _LABEL_MEND)
    if around.seccomp_mode == 2:
        return Obstacle("a system call filter around this process forbids it (a container's default)", OUTER_FILTER_MEND)
    if "selinux" in around.lsms:
        return Obstacle("a security module forbids it (SELinux, user_namespace create)", "sudo ausearch -m avc -ts recent")
    return Obstacle("a security module forbids it to this user, or the process lives in a chroot")


def _maps_obstacle(failed: int, around: Surroundings) -> Obstacle:
    if around.sysctls.get(APPARMOR_SYSCTL) == 1 or (around.label and failed in (errno.EPERM, errno.EACCES)):
        return _useless_obstacle(around)
    name = errno.errorcode.get(failed, str(failed))
    return Obstacle(f"a user namespace can be made, but its id map cannot be written ({name}); /proc may be read-only or masked")


def _useless_obstacle(around: Surroundings) -> Obstacle:
    if around.sysctls.get(APPARMOR_SYSCTL) == 1:
        return Obstacle(
            f"AppArmor takes the capabilities away inside a user namespace ({APPARMOR_SYSCTL} is 1)",
            f"sudo sysctl -w {APPARMOR_SYSCTL}=0",
        )
    if around.seccomp_mode == 2:
        return Obstacle("a system call filter around this process forbids further namespaces", OUTER_FILTER_MEND)
    if around.label:
        why = f"AppArmor's {around.label}, which this process is under, takes its capabilities away inside, or forbids to mount"
        return Obstacle(why, _LABEL_MEND)
    return Obstacle("a user namespace can be made, but a security module takes its capabilities away")


def find_proc_obstacle(tried: Mapping[str, int], user_namespace: Obstacle | None = None) -> Obstacle | None:
    """Why no new /proc can be mounted; None when one can, or when nothing was tried.

    user_namespace: what stands in the way of that, in which it is tried.
    """
    if user_namespace and tried.get("proc"):
        return Obstacle("it takes a user namespace of the box's own, and there can be none", user_namespace.mend)
    match tried.get("proc", 0):
        case 0:
            return None
        case errno.EPERM:
            return Obstacle("something covers part of /proc here (a container masks it): mount too revealing", FRESH_PROC_MEND)
        case errno.ENOSYS:
            return Obstacle("the kernel has no fsopen (before 5.2), or a filter hides it")
        case number:
            return Obstacle(f"mounting /proc fails with {errno.errorcode.get(number, str(number))}")


def find_overlay_obstacle(tried: Mapping[str, int]) -> Obstacle | None:
    """Why no overlay can be mounted; None when one can, or when it was never tried."""
    match tried.get("overlay", 0):
        case 0:
            return None
        case errno.ENODEV:
            return Obstacle("the overlay file system is not loaded", "sudo modprobe overlay")
        case errno.EPERM:
            return Obstacle("overlays in user namespaces need kernel 5.11, and no security module against them")
        case number:
            return Obstacle(f"mounting an overlay fails with {errno.errorcode.get(number, str(number))}")


def find_landlock_obstacle(tried: Mapping[str, int], lsms: tuple[str, ...]) -> Obstacle | None:
    """Why Landlock does not answer; None when it does, or when it was never asked. lsms: the modules that the kernel started."""
    match tried.get("landlock", 0):
        case 0:
            return None
        case errno.EOPNOTSUPP:
            order = ",".join(("landlock", *lsms)) if lsms else "landlock,..."
            return Obstacle("the kernel has Landlock and did not start it", f"boot with lsm={order} on the kernel's command line")
        case errno.ENOSYS:
            return Obstacle("the kernel was built without Landlock (CONFIG_SECURITY_LANDLOCK, 5.13), or a filter hides it")
        case errno.EPERM | errno.EACCES:
            return Obstacle("a system call filter around this process forbids Landlock", OUTER_FILTER_MEND)
        case number:
            return Obstacle(f"asking for Landlock fails with {errno.errorcode.get(number, str(number))}")


def find_idmap_obstacle(tried: Mapping[str, int]) -> Obstacle | None:
    """Why no mount can be idmapped; None when one can, or when it was never tried (an ordinary user needs none)."""
    match tried.get("idmap", 0):
        case 0:
            return None
        case errno.ENOSYS:
            return Obstacle("idmapped mounts need kernel 5.12")
        case errno.EINVAL:
            return Obstacle("neither the root's file system nor tmpfs can be idmapped on this kernel")
        case number:
            return Obstacle(f"idmapping a mount fails with {errno.errorcode.get(number, str(number))}")
