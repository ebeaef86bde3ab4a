"""From what the trial met to why, and the command that mends it: every cause that people meet, pretended."""

from __future__ import annotations

import errno

import pytest

from sandboxer.kernel.obstacle import (
    APPARMOR_SYSCTL,
    CLONE_SYSCTL,
    MAX_USER,
    OUTER_FILTER_MEND,
    Obstacle,
    Surroundings,
    find_idmap_obstacle,
    find_landlock_obstacle,
    find_overlay_obstacle,
    find_proc_obstacle,
    find_user_namespace_obstacle,
)
from sandboxer.kernel.trials.trial import NOT_TRIED, Trial

WORKING = Trial({"user": 0, "maps": 0, "mount": 0})
REFUSED = Trial({"user": errno.EPERM, "mount": errno.EPERM})


def why_and_mend(trial: Trial, around: Surroundings) -> tuple[str, str]:
    found = find_user_namespace_obstacle(trial, around)
    assert found is not None
    return found.why, found.mend


def test_working_namespace_has_no_obstacle() -> None:
    assert find_user_namespace_obstacle(WORKING, Surroundings({APPARMOR_SYSCTL: 1})) is None


def test_working_namespace_of_root_has_no_obstacle() -> None:
    assert find_user_namespace_obstacle(Trial({"mount": 0, "user": 0, "maps": 0, "inside": 0}), Surroundings()) is None


@pytest.mark.parametrize(
    ("trial", "around", "why", "mend"),
    [
        (Trial({"user": errno.ENOSPC}), Surroundings({MAX_USER: 0}), "is 0", f"sudo sysctl -w {MAX_USER}=15000"),
        (
            Trial({"user": errno.ENOSPC}),
            Surroundings({MAX_USER: 20000}),
            "in use",
            f"sudo sysctl -w {MAX_USER}=40000",
        ),
        (Trial({"user": errno.EUSERS}), Surroundings(), "nested", f"sudo sysctl -w {MAX_USER}=15000"),
        (Trial({"user": errno.EINVAL}), Surroundings(), "CONFIG_USER_NS", ""),
        (REFUSED, Surroundings({CLONE_SYSCTL: 0}), "is 0", "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
        (REFUSED, Surroundings(seccomp_mode=2), "system call filter", "docker run --security-opt seccomp=unconfined"),
        (REFUSED, Surroundings(is_chrooted=True, seccomp_mode=2), "chroot", "bwrap"),
        (REFUSED, Surroundings(uid_is_mapped=False), "not mapped", ""),
        (REFUSED, Surroundings(lsms=("selinux",)), "SELinux", "ausearch"),
        (
            REFUSED,
            Surroundings({APPARMOR_SYSCTL: 1}),
            "AppArmor",
            f"sudo sysctl -w {APPARMOR_SYSCTL}=0",
        ),
        (REFUSED, Surroundings(), "forbids", ""),
        (
            Trial({"user": 0, "maps": 0, "mount": errno.EPERM}),
            Surroundings({APPARMOR_SYSCTL: 1}),
            "AppArmor takes the capabilities away",
            f"sudo sysctl -w {APPARMOR_SYSCTL}=0",
        ),
        (
            Trial({"user": 0, "maps": errno.EPERM}),
            Surroundings({APPARMOR_SYSCTL: 1}),
            "AppArmor",
            f"sudo sysctl -w {APPARMOR_SYSCTL}=0",
        ),
        (Trial({"user": 0, "maps": 0, "mount": errno.EPERM}), Surroundings(seccomp_mode=2), "filter", "docker run"),
        (
            Trial({"mount": 0, "user": 0, "maps": 0, "inside": errno.EPERM}),
            Surroundings({APPARMOR_SYSCTL: 1}),
            "AppArmor",
            "sudo sysctl",
        ),
        (REFUSED, Surroundings(label="job (enforce)"), "AppArmor's job (enforce), which this process is", "start it"),
        (REFUSED, Surroundings(label="docker-default (enforce)", seccomp_mode=2), "system call filter", "docker run"),
        (
            Trial({"user": 0, "maps": 0, "mount": errno.EACCES}),
            Surroundings(label="job (enforce)"),
            "takes its capabilities away inside, or forbids to mount",
            "start it from outside of that profile",
        ),
        (Trial({"user": 0, "maps": errno.EROFS}), Surroundings(), "EROFS", ""),
        (Trial({}, killed_by=31), Surroundings(), "signal 31", "docker run"),
        (Trial({}), Surroundings(), "could not be tried", ""),
    ],
)
def test_obstacle_is_named_with_its_mend(trial: Trial, around: Surroundings, why: str, mend: str) -> None:
    found_why, found_mend = why_and_mend(trial, around)
    assert why in found_why
    assert mend in found_mend
    assert bool(mend) == bool(found_mend)


def test_proc_that_is_too_revealing_names_the_container() -> None:
    found = find_proc_obstacle({"proc": errno.EPERM})
    assert found is not None
    assert "too revealing" in found.why
    assert "systempaths=unconfined" in found.mend


@pytest.mark.parametrize("tried", [NOT_TRIED, errno.EPERM])
def test_proc_that_could_not_be_tried_for_want_of_a_user_namespace_blames_that(tried: int) -> None:
    found = find_proc_obstacle({"user": errno.EPERM, "proc": tried}, Obstacle("a wall", "remove it"))
    assert found is not None
    assert ("user namespace" in found.why, found.mend) == (True, "remove it")
    assert find_proc_obstacle({"user": errno.EPERM, "proc": 0}, Obstacle("a wall", "remove it")) is None


def test_overlay_that_is_not_loaded_names_modprobe() -> None:
    found = find_overlay_obstacle({"overlay": errno.ENODEV})
    assert found is not None
    assert found.mend == "sudo modprobe overlay"


@pytest.mark.parametrize("find", [find_proc_obstacle, find_overlay_obstacle, find_idmap_obstacle])
def test_what_works_or_was_never_tried_has_no_obstacle(find) -> None:  # type: ignore[no-untyped-def]
    assert find({}) is None
    assert find({"proc": 0, "overlay": 0, "idmap": 0}) is None


@pytest.mark.parametrize("find", [find_proc_obstacle, find_overlay_obstacle, find_idmap_obstacle])
def test_odd_errno_is_named(find) -> None:  # type: ignore[no-untyped-def]
    found = find({"proc": errno.EIO, "overlay": errno.EIO, "idmap": errno.EIO})
    assert found is not None
    assert "EIO" in found.why


BOOT = "boot with lsm={} on the kernel's command line"


@pytest.mark.parametrize(
    ("number", "lsms", "why", "mend"),
    [
        (errno.EOPNOTSUPP, ("lockdown", "yama"), "did not start it", BOOT.format("landlock,lockdown,yama")),
        (errno.EOPNOTSUPP, (), "did not start it", BOOT.format("landlock,...")),
        (errno.ENOSYS, (), "CONFIG_SECURITY_LANDLOCK", ""),
        (errno.EPERM, (), "a system call filter", OUTER_FILTER_MEND),
        (errno.EIO, (), "fails with EIO", ""),
    ],
)
def test_landlock_that_does_not_answer(number: int, lsms: tuple[str, ...], why: str, mend: str) -> None:
    found = find_landlock_obstacle({"landlock": number}, lsms)
    assert found is not None
    assert why in found.why
    assert found.mend == mend


@pytest.mark.parametrize("tried", [{"landlock": 0}, {}])
def test_landlock_that_answers_or_was_never_asked_has_no_obstacle(tried: dict[str, int]) -> None:
    assert find_landlock_obstacle(tried, ()) is None
