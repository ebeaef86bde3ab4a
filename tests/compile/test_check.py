"""Rules that cross rooms: each refuses what it is there for, and lets its allowed twin pass."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandboxer.abi.namespaces import CloneFlag
from sandboxer.compile.check import check_plan, check_policy
from sandboxer.errors import InternalError, ProfileError
from sandboxer.model.op import (
    NO_SLOT,
    U32,
    U64,
    Attach,
    BecomeInit,
    Blob,
    JoinNamespace,
    LandlockCreate,
    LandlockPath,
    LandlockRestrict,
    LoadWatchedFilter,
    MakeDirectory,
    MakeIdmap,
    OpenTree,
    PivotRoot,
    Text,
)
from sandboxer.model.place import Place
from sandboxer.model.policy import Override, Trait
from sandboxer.model.section import Section
from sandboxer.model.stage import Stage
from tests.compile.policies import PLACE, ROOT, USER, least_steps, make_plan, make_policy, said, step

START, PIVOT, CAPABILITIES, NO_NEW_PRIVS, FILTER = least_steps()
WATCHED = step(LoadWatchedFilter(U32(0), Blob(bytes(8))), Stage.FILTER)
NONE: frozenset[Trait] = frozenset()
OVERRIDE = Override("process.no_new_privs", "sudo is the job", Place("p.yaml", 1, 1))
DEVICES = said(dev="minimal")
REFUSED = {
    "fresh proc without pid namespace": (
        make_policy(Trait.FRESH_PROC, said={"namespaces": said(pid="host")}),
        USER,
        "a fresh /proc needs a pid namespace",
    ),
    "files in a joined mount namespace": (
        make_policy(said={"namespaces": said(mount="/proc/9/ns/mnt"), "filesystem": said(read="/usr")}),
        ROOT,
        "filesystem.read cannot be said",
    ),
    "devices in a joined mount namespace": (
        make_policy(said={"namespaces": said(mount="/proc/9/ns/mnt"), "devices": DEVICES}),
        ROOT,
        "devices.dev cannot be said",
    ),
    "joining without privilege": (
        make_policy(said={"namespaces": said(net="/run/netns/a")}),
        USER,
        "joining a net namespace needs privilege",
    ),
    "capabilities without user namespace": (
        make_policy(Trait.KEEPS_CAPABILITIES, said={"capabilities": said(keep="chown")}),
        ROOT,
        "capabilities can be kept only in a user namespace",
    ),
    "time offsets without time namespace": (
        make_policy(Trait.SHIFTS_CLOCKS, Trait.HAS_INIT, Trait.NEW_PID_NAMESPACE),
        ROOT,
        "time offsets need a time namespace",
    ),
    "time offsets without init": (
        make_policy(Trait.SHIFTS_CLOCKS, Trait.NEW_TIME_NAMESPACE),
        ROOT,
        "time offsets need a reaper",
    ),
    "host network and a joined one": (
        make_policy(Trait.HOST_NETWORK, said={"namespaces": said(net="/run/netns/a"), "network": said(mode="host")}),
        ROOT,
        "contradict each other",
    ),
    "loopback of a joined network": (
        make_policy(Trait.WANTS_LOOPBACK, said={"namespaces": said(net="/run/netns/a"), "network": said(mode="loopback")}),
        ROOT,
        "belongs to its owner",
    ),
    "init without pid namespace": (
        make_policy(Trait.HAS_INIT, said={"namespaces": said(pid="host")}),
        USER,
        "a reaper as pid 1 needs a pid namespace",
    ),
    "label without init": (
        make_policy(Trait.HAS_LABEL, Trait.NEW_PID_NAMESPACE),
        ROOT,
        "a label needs a reaper",
    ),
    "privilege gain without override": (
        make_policy(Trait.CAN_GAIN_PRIVILEGES, said={"process": said(no_new_privs=False)}),
        ROOT,
        "only by an override",
    ),
    "privilege gain of an ordinary user": (
        make_policy(Trait.CAN_GAIN_PRIVILEGES, overrides=(OVERRIDE,)),
        USER,
        "an ordinary user cannot load a system call filter",
    ),
    "groups of the host": (
        make_policy(Trait.SHOWS_GROUPS, said={"filesystem": said(cgroup="read")}),
        ROOT,
        "/sys/fs/cgroup needs a cgroup namespace",
    ),
    "groups for a job that sees the host": (
        make_policy(Trait.SHOWS_GROUPS, Trait.OWNS_GROUPS, Trait.NEW_CGROUP_NAMESPACE),
        USER,
        "delegated only to a box with a pid namespace",
    ),
    "terminal without devices": (
        make_policy(Trait.HAS_TERMINAL, said={"devices": said(dev="none")}),
        USER,
        "a terminal needs the minimal /dev",
    ),
}
ALLOWED = {
    "fresh proc with pid namespace": (make_policy(Trait.FRESH_PROC, Trait.NEW_PID_NAMESPACE), USER),
    "fresh proc in a joined pid namespace": (
        make_policy(Trait.FRESH_PROC, said={"namespaces": said(pid="/proc/9/ns/pid")}),
        ROOT,
    ),
    "no files in a joined mount namespace": (
        make_policy(said={"namespaces": said(mount="/proc/9/ns/mnt"), "filesystem": Section()}),
        ROOT,
    ),
    "joining with privilege": (make_policy(said={"namespaces": said(net="/run/netns/a")}), ROOT),
    "joining a namespace of a joined user namespace": (
        make_policy(said={"namespaces": said(net="/proc/9/ns/net", user="/proc/9/ns/user")}),
        USER,
    ),
    "label with init": (make_policy(Trait.HAS_LABEL, Trait.HAS_INIT, Trait.NEW_PID_NAMESPACE), USER),
    "capabilities in a user namespace": (make_policy(Trait.KEEPS_CAPABILITIES, Trait.NEW_USER_NAMESPACE), ROOT),
    "time offsets with all they need": (
        make_policy(
            Trait.SHIFTS_CLOCKS,
            Trait.NEW_TIME_NAMESPACE,
            Trait.HAS_INIT,
            Trait.NEW_PID_NAMESPACE,
            said={"namespaces": said(time_offsets="monotonic 10")},
        ),
        USER,
    ),
    "host network": (make_policy(Trait.HOST_NETWORK, said={"network": said(mode="host")}), USER),
    "loopback of its own": (make_policy(Trait.WANTS_LOOPBACK, said={"network": said(mode="loopback")}), USER),
    "privilege gain with override": (make_policy(Trait.CAN_GAIN_PRIVILEGES, overrides=(OVERRIDE,)), ROOT),
    "groups of its own": (make_policy(Trait.SHOWS_GROUPS, Trait.NEW_CGROUP_NAMESPACE), ROOT),
    "groups that it owns": (
        make_policy(Trait.SHOWS_GROUPS, Trait.OWNS_GROUPS, Trait.NEW_CGROUP_NAMESPACE, Trait.NEW_PID_NAMESPACE),
        USER,
    ),
    "terminal with devices": (make_policy(Trait.HAS_TERMINAL, Trait.FRESH_DEV, said={"devices": DEVICES}), USER),
}


@pytest.mark.parametrize("name", REFUSED)
def test_policy_that_contradicts_itself_is_refused(name: str) -> None:
    policy, host, message = REFUSED[name]
    with pytest.raises(ProfileError, match=message) as caught:
        check_policy(policy, host)
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("name", ALLOWED)
def test_policy_that_makes_sense_is_allowed(name: str) -> None:
    check_policy(*ALLOWED[name])


def test_refusal_points_at_the_value() -> None:
    with pytest.raises(ProfileError) as caught:
        check_policy(make_policy(Trait.HAS_INIT, said={"namespaces": said(pid="host")}), USER)
    assert caught.value.problems[0].where == PLACE


def test_all_contradictions_are_told_at_once() -> None:
    policy = make_policy(Trait.HAS_INIT, Trait.FRESH_PROC, said={"namespaces": said(pid="host")})
    with pytest.raises(ProfileError) as caught:
        check_policy(policy, USER)
    assert len(caught.value.problems) == 2


def test_plan_with_the_least_is_right() -> None:
    check_plan(make_plan(*least_steps()), NONE)


def test_plan_in_a_joined_mount_namespace_keeps_its_root() -> None:
    join = step(JoinNamespace(U64(CloneFlag.NEWNS), Text("/proc/1/ns/mnt")), Stage.JOIN)
    check_plan(make_plan(START, join, CAPABILITIES, NO_NEW_PRIVS, FILTER), NONE)


def test_plan_may_let_privileges_be_gained_where_the_policy_says_so() -> None:
    check_plan(make_plan(START, PIVOT, CAPABILITIES, FILTER), frozenset({Trait.CAN_GAIN_PRIVILEGES}))


def test_plan_with_a_filled_slot_is_right() -> None:
    idmap = step(MakeIdmap(U32(1), Text("0 1 1"), Text("0 1 1")), Stage.PREPARE)
    tree = step(OpenTree(U32(2), Text("/usr"), U64(1), U32(1), U32(1)), Stage.SOURCES)
    check_plan(make_plan(idmap, tree, step(Attach(U32(2), Text("/usr")), Stage.MOUNTS), *least_steps()), NONE)


def test_plan_with_a_watched_filter_ahead_of_the_others_is_right() -> None:
    check_plan(make_plan(START, PIVOT, CAPABILITIES, NO_NEW_PRIVS, WATCHED, FILTER, FILTER), NONE)


RULESET = step(LandlockCreate(U32(255), *[U64(1)] * 5), Stage.LANDLOCK)
RULE = step(LandlockPath(U32(255), Text("/usr"), U64(1)), Stage.LANDLOCK)
DOMAIN = step(LandlockRestrict(U32(255), U32(0)), Stage.LANDLOCK)


def test_plan_with_a_landlock_domain_is_right() -> None:
    init = step(BecomeInit(), Stage.INIT)
    check_plan(make_plan(START, PIVOT, CAPABILITIES, NO_NEW_PRIVS, init, RULESET, RULE, DOMAIN, FILTER), NONE)


WRONG = {
    "a Landlock domain is prepared and not entered": (START, PIVOT, CAPABILITIES, NO_NEW_PRIVS, RULESET, FILTER),
    "LandlockPath of .* uses slot 255, which is empty": (START, PIVOT, CAPABILITIES, NO_NEW_PRIVS, RULE, FILTER),
    "pid 1 is in a Landlock domain": (
        *(START, PIVOT, CAPABILITIES, NO_NEW_PRIVS, RULESET, DOMAIN),
        *(step(BecomeInit(), Stage.LANDLOCK), FILTER),
    ),
    "a Landlock domain comes after the filter": (START, PIVOT, CAPABILITIES, NO_NEW_PRIVS, FILTER, RULESET, DOMAIN),
    "starts 0 children": (PIVOT, CAPABILITIES, NO_NEW_PRIVS, FILTER),
    "starts 2 children": (START, *least_steps()),
    "no system call filter": (START, PIVOT, CAPABILITIES, NO_NEW_PRIVS),
    "something follows the system call filter": (*least_steps(), step(MakeDirectory(Text("/a"), U32(0)), Stage.FILTER)),
    "a watched system call filter is not the first one": (START, PIVOT, CAPABILITIES, NO_NEW_PRIVS, FILTER, WATCHED),
    "or not the only one": (START, PIVOT, CAPABILITIES, NO_NEW_PRIVS, WATCHED, WATCHED, FILTER),
    "something follows the system call": (START, PIVOT, CAPABILITIES, NO_NEW_PRIVS, WATCHED, NO_NEW_PRIVS, FILTER),
    "no_new_privs comes after": (START, PIVOT, CAPABILITIES, WATCHED, FILTER, NO_NEW_PRIVS),
    "capabilities are never set": (START, PIVOT, NO_NEW_PRIVS, FILTER),
    "no_new_privs is never set": (START, PIVOT, CAPABILITIES, FILTER),
    "no_new_privs comes after the filter": (START, PIVOT, CAPABILITIES, FILTER, NO_NEW_PRIVS),
    "the root is never changed": (START, CAPABILITIES, NO_NEW_PRIVS, FILTER),
    "the root is changed 2 times": (PIVOT, *least_steps()),
    "the root is changed outside its stage": (START, step(PivotRoot(), Stage.MOUNTS), CAPABILITIES, NO_NEW_PRIVS, FILTER),
    "uses slot 3, which is empty": (step(Attach(U32(3), Text("/a")), Stage.MOUNTS), *least_steps()),
    "uses slot 4, which is empty": (
        step(OpenTree(U32(2), Text("/usr"), U64(1), U32(1), U32(4)), Stage.SOURCES),
        *least_steps(),
    ),
    "uses slot 256; there are 256": (
        step(OpenTree(U32(256), Text("/usr"), U64(1), U32(1), NO_SLOT), Stage.SOURCES),
        *least_steps(),
    ),
}


@pytest.mark.parametrize("fault", WRONG)
def test_plan_that_cannot_work_is_our_bug(fault: str) -> None:
    with pytest.raises(InternalError, match=fault):
        check_plan(make_plan(*WRONG[fault]), NONE)


def test_plan_with_an_op_in_the_wrong_list_is_our_bug() -> None:
    plan = make_plan(*least_steps())
    moved = step(MakeDirectory(Text("/a"), U32(0)), Stage.MOUNTS)
    with pytest.raises(InternalError, match="stands in the list before"):
        check_plan(replace(plan, before=(moved, *plan.before)), NONE)
