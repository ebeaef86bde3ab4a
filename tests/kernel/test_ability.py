"""The rows of `sandboxer check`, on pretended hosts."""

from __future__ import annotations

import errno

import pytest

from sandboxer.kernel.ability import Ability, State, find_abilities
from sandboxer.model.host import Hierarchy, Host, IdRange

ROOT = (1 << 41) - 1
RANGES = (IdRange(100000, 65536),)


def row(host: Host, name: str) -> Ability:
    (found,) = [ability for ability in find_abilities(host) if ability.name == name]
    return found


def test_plain_host_lacks_nothing() -> None:
    assert not [ability for ability in find_abilities(Host()) if ability.state is State.NO]


@pytest.mark.parametrize(
    ("host", "word"),
    [(Host(), "ordinary user"), (Host(uid=0, capabilities=ROOT), "with privilege"), (Host(uid=0), "root without")],
)
def test_caller_row_says_how_boxes_are_built(host: Host, word: str) -> None:
    assert word in row(host, "the caller").says


def test_user_namespace_problem_carries_its_mend() -> None:
    found = row(Host(user_namespace_problem="a wall", user_namespace_mend="remove it"), "user namespaces")
    assert (found.state, found.why, found.mend) == (State.NO, "a wall", "remove it")


def test_user_namespace_that_the_kernel_lacks_is_a_no() -> None:
    assert row(Host(namespaces=frozenset({"mount"})), "user namespaces").state is State.NO


def test_missing_namespace_names_its_sysctl() -> None:
    found = row(Host(namespaces=Host().namespaces - {"mount"}), "namespaces")
    assert (found.state, found.mend) == (State.PART, "sudo sysctl -w user.max_mnt_namespaces=15000")


def test_id_range_of_a_user_with_helpers_and_rows_is_whole() -> None:
    host = Host(newuidmap="/usr/bin/newuidmap", newgidmap="/usr/bin/newgidmap", subuids=RANGES, subgids=RANGES)
    assert row(host, "a range of ids").state is State.YES


def test_id_range_without_helpers_names_the_package() -> None:
    assert "uidmap" in row(Host(subuids=RANGES, subgids=RANGES), "a range of ids").mend


def test_id_range_without_rows_names_usermod() -> None:
    host = Host(newuidmap="/usr/bin/newuidmap", newgidmap="/usr/bin/newgidmap")
    assert "usermod" in row(host, "a range of ids").mend


def test_id_range_of_root_needs_no_helpers() -> None:
    assert row(Host(uid=0, capabilities=ROOT, subuids=RANGES, subgids=RANGES), "a range of ids").state is State.YES


def test_proc_that_is_too_revealing_is_a_no_with_a_mend() -> None:
    host = Host(has_fresh_proc=False, fresh_proc_problem="something covers part of /proc", fresh_proc_mend="docker run")
    found = row(host, "a /proc of its own")
    assert (found.state, found.why, found.mend) == (State.NO, "something covers part of /proc", "docker run")


def test_overlay_behind_a_missing_user_namespace_points_at_that() -> None:
    found = row(Host(has_overlay=False, user_namespace_problem="a wall", user_namespace_mend="remove it"), "overlays")
    assert (found.why, found.mend) == ("it needs a user namespace first", "remove it")


def test_idmapped_mounts_are_no_loss_for_an_ordinary_user() -> None:
    assert row(Host(has_idmapped_mounts=False), "idmapped mounts").state is State.NOTE


def test_idmapped_mounts_that_root_lacks_are_a_no() -> None:
    host = Host(uid=0, capabilities=ROOT, has_idmapped_mounts=False, tried={"idmap": errno.EINVAL})
    assert row(host, "idmapped mounts").state is State.NO


def test_seccomp_without_kill_process_is_a_no() -> None:
    assert row(Host(seccomp_actions=frozenset({"errno", "allow"})), "system call filters").state is State.NO


def test_missing_calls_are_named() -> None:
    assert row(Host(missing_calls=("mount_setattr",)), "system calls").says == "missing: mount_setattr"


@pytest.mark.parametrize(
    ("cgroup", "trees", "says"),
    [
        ("none", (), "not mounted"),
        ("v2", (Hierarchy(0, "/c", ("pids", "memory"), 1),), "v2; boxes can have: memory pids"),
        ("v1", (), "v1; boxes can have: no controllers"),
    ],
)
def test_control_groups_are_a_note(cgroup: str, trees: tuple[Hierarchy, ...], says: str) -> None:
    assert row(Host(cgroup=cgroup, hierarchies=trees), "control groups").says == says


def test_control_groups_that_were_asked_for_and_those_that_are_missing_say_so() -> None:
    tree = Hierarchy(0, "/c", ("memory",), 1)
    assert row(Host(cgroup="v2", hierarchies=(tree,), has_scope=True), "control groups").says.endswith("makes for each run")
    found = row(Host(cgroup="v2", controller_problems={"memory": "no bus"}), "control groups")
    assert (found.why, "systemd-run --user" in found.mend) == ("no bus", True)


def test_landlock_row_names_what_newer_kernels_know() -> None:
    assert row(Host(landlock_abi=10), "Landlock").says == "ABI 10"
    found = row(Host(landlock_abi=9), "Landlock")
    assert (found.state, found.says) == (State.YES, "ABI 9; newer kernels know more: bind_udp (7.2), connect_send_udp (7.2)")


def test_landlock_that_was_not_started_carries_its_mend() -> None:
    found = row(Host(landlock_abi=0, landlock_problem="not started", landlock_mend="boot with it"), "Landlock")
    assert (found.state, found.why, found.mend) == (State.NO, "not started", "boot with it")


def test_refusals_of_landlock_are_heard_or_it_is_said_why_not() -> None:
    assert row(Host(landlock_abi=7, audit_problem=""), "Landlock's refusals").says == "told by exec --explain"
    assert "auditing is off" in row(Host(landlock_abi=7, audit_problem="auditing is off"), "Landlock's refusals").says
    assert "since Linux 6.15" in row(Host(landlock_abi=6, audit_problem=""), "Landlock's refusals").says
    assert not [found for found in find_abilities(Host(landlock_abi=0)) if found.name == "Landlock's refusals"]


def test_labels_of_apparmor_are_a_note_with_what_is_in_the_way() -> None:
    assert row(Host(), "AppArmor labels").says.startswith("can be given")
    assert "on top of the caller's own outer (enforce)" in row(Host(apparmor_label="outer (enforce)"), "AppArmor labels").says
    found = row(Host(apparmor_problem="the kernel has none"), "AppArmor labels")
    assert (found.state, found.says) == (State.NOTE, "cannot be given: the kernel has none")


def test_domains_of_selinux_are_a_note_with_what_is_in_the_way() -> None:
    assert row(Host(), "SELinux domains").says.startswith("can be given, when")
    found = row(Host(selinux_problem="the kernel has none"), "SELinux domains")
    assert (found.state, found.says) == (State.NOTE, "cannot be given: the kernel has none")
    assert "permissive" in row(Host(is_permissive=True), "SELinux domains").says


def test_clone3_that_is_hidden_is_no_more_than_slow() -> None:
    found = row(Host(missing_calls=("clone3",)), "system calls")
    assert (found.state, found.says) == (State.PART, "all but clone3; starts take some milliseconds longer")
    assert row(Host(missing_calls=("clone3", "fsopen")), "system calls").state is State.NO
