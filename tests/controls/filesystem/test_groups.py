"""/sys/fs/cgroup of the box's own, on pretended hosts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandboxer.controls import filesystem, namespaces
from sandboxer.controls.room import Use
from sandboxer.model.host import Hierarchy, Host
from sandboxer.model.policy import Trait
from tests.controls.rooms import ALL_NEW, ORDINARY, PRIVILEGED, lowered, steps, understood

V2 = (Hierarchy(0, "/c", ("memory", "pids"), 1),)
HYBRID = (
    Hierarchy(0, "/c/unified"),
    Hierarchy(1, "/c/cpu,cpuacct", ("cpu", "cpuacct"), names=("cpu", "cpuacct")),
    Hierarchy(2, "/c/memory", ("memory",), names=("memory",)),
    Hierarchy(3, "/c/cpuset,pids", ("cpuset", "pids"), names=("cpuset", "pids")),
    Hierarchy(4, "/c/devices", ("devices",), names=("devices",)),
)
READ_ONLY, WRITABLE = 0x1 | 0x2 | 0x4 | 0x8, 0x2 | 0x4 | 0x8


def on(host: Host, trees: tuple[Hierarchy, ...], layout: str) -> Host:
    return replace(host, hierarchies=trees, cgroup=layout)


def mounts(text: str) -> list[str]:
    return [line for line in text.splitlines() if "cgroup" in line]


def test_nothing_said_shows_none_and_wants_no_group() -> None:
    result = lowered(filesystem, "", on(ORDINARY, V2, "v2"))
    assert (mounts(steps(result)), result.groups) == ([], ())


@pytest.mark.parametrize("host", [ORDINARY, PRIVILEGED])
def test_v2_tree_is_mounted_read_only_in_its_usual_place(host: Host) -> None:
    result = lowered(filesystem, "cgroup: read", on(host, V2, "v2"))
    assert mounts(steps(result)) == [
        "mounts: make the directory /sys/fs/cgroup (mode 755)",
        f"mounts: mount cgroup2 on /sys/fs/cgroup ((), attributes {READ_ONLY:#x})",
    ]
    assert [want.group for want in result.groups] == [0]
    assert next(one.use for one in result.shown if one.path == "/sys/fs/cgroup") == Use.LIST | Use.READ


def test_v1_hierarchies_are_mounted_beside_it_by_their_names() -> None:
    result = lowered(filesystem, "cgroup: read", on(PRIVILEGED, HYBRID, "hybrid"))
    assert [line for line in mounts(steps(result)) if "mount cgroup" in line] == [
        f"mounts: mount cgroup2 on /sys/fs/cgroup/unified ((), attributes {READ_ONLY:#x})",
        f"mounts: mount cgroup on /sys/fs/cgroup/cpu,cpuacct (('cpu', 'cpuacct'), attributes {READ_ONLY:#x})",
        f"mounts: mount cgroup on /sys/fs/cgroup/memory (('memory',), attributes {READ_ONLY:#x})",
    ]
    assert [(want.group, want.controller) for want in result.groups] == [(0, ""), (1, "cpu"), (2, "memory")]


def test_delegated_box_has_a_group_of_its_own_below_its_limits() -> None:
    result = lowered(filesystem, "cgroup: delegate", on(PRIVILEGED, V2, "v2"))
    text = steps(result)
    assert "prepare: write 256 to cgroup.max.descendants of the box's control group" in text
    assert "prepare: give the job a control group below that of the box (uid 1900000000, gid 1900000000)" in text
    assert f"mount cgroup2 on /sys/fs/cgroup ((), attributes {WRITABLE:#x})" in text
    assert {(want.group, want.controller) for want in result.groups} == {(0, "memory"), (0, "pids")}
    use = next(one.use for one in result.shown if one.path == "/sys/fs/cgroup")
    assert use == Use.LIST | Use.READ | Use.CHANGE | Use.MAKE


@pytest.mark.parametrize(
    ("said", "trees", "layout", "why"),
    [
        ("read", (), "v2", "no control groups"),
        ("read", (), "none", "no control groups"),
        ("delegate", (Hierarchy(0, "/c"),), "v2", "no control groups"),
        ("delegate", HYBRID, "hybrid", "v1's hierarchies"),
    ],
)
def test_what_a_host_cannot_show_is_a_lack(said: str, trees: tuple[Hierarchy, ...], layout: str, why: str) -> None:
    (lack,) = filesystem.need(understood(filesystem, f"cgroup: {said}"), on(ORDINARY, trees, layout))
    assert why in lack.why
    assert lack.attempt
    assert lack.lost == "there is no /sys/fs/cgroup"


def test_host_without_cgroup_namespaces_shows_none_of_its_own() -> None:
    host = replace(on(PRIVILEGED, V2, "v2"), namespaces=PRIVILEGED.namespaces - {"cgroup"})
    (lack,) = filesystem.need(understood(filesystem, "cgroup: delegate"), host)
    assert lack.why == "the kernel has no cgroup namespaces"
    result = lowered(filesystem, "cgroup: delegate", host)
    assert (mounts(steps(result)), result.groups) == ([], ())


def test_what_a_host_can_show_is_none() -> None:
    for said, trees, layout in (("read", V2, "v2"), ("read", HYBRID, "hybrid"), ("delegate", V2, "v2"), ("none", (), "none")):
        assert filesystem.need(understood(filesystem, f"cgroup: {said}"), on(ORDINARY, trees, layout)) == ()


@pytest.mark.parametrize("host", [ORDINARY, PRIVILEGED])
def test_cgroup_namespace_is_there_ahead_of_the_mount(host: Host) -> None:
    text = steps(lowered(namespaces, "", on(host, V2, "v2"), ALL_NEW | {Trait.SHOWS_GROUPS}))
    assert "join: enter new namespaces (flags 0x2000000)" in text
    assert ("join" in steps(lowered(namespaces, "", on(host, V2, "v2")))) == (host is ORDINARY)


def test_traits_sentences_and_widening() -> None:
    said = {word: understood(filesystem, f"cgroup: {word}") for word in ("none", "read", "delegate")}
    assert filesystem.traits(said["read"]) & {Trait.SHOWS_GROUPS, Trait.OWNS_GROUPS} == {Trait.SHOWS_GROUPS}
    assert filesystem.traits(said["delegate"]) >= {Trait.SHOWS_GROUPS, Trait.OWNS_GROUPS}
    assert not any("cgroup" in line for line in filesystem.explain(said["none"]))
    assert any("read-only" in line and "/sys/fs/cgroup" in line for line in filesystem.explain(said["read"]))
    assert filesystem.widens(said["read"], said["delegate"]) == ("has a /sys/fs/cgroup (delegate)",)
    assert filesystem.widens(said["delegate"], said["read"]) == ()
